// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import "github.com/understudy-dev/understudy/monitor/ownership"

// Coverage counts what schedules reached.
type Coverage struct {
	Hosts, Faults, Grants       int
	Silent, Released, Fenced    int // takeovers
	UnknownCommit               int // committed writes whose answer was lost
	SelfStop, Resumed, Expired  int
	Lost, RaceLost              int
	Readopted, NotReadopted     int
	GuardKill                   int
	Deleted, Recreated, Rewound int
	StopFailed, NotReleased     int
	Drain, EngineSilent         int
	DiskFailed, Unreadable      int
	Arbitrated, QuorumLost      int
	GivenUp                     int // released because an arbitration was lost

	// EpochLost counts the grants of an epoch that had been used already, by an
	// owner whose Lease was deleted before anybody took note.
	EpochLost int
}

func (c *Coverage) grant(g *ownership.Grant) {
	c.Grants++
	switch g.Cause.Reason {
	case ownership.GrantSilent:
		c.Silent++
	case ownership.GrantReleased:
		c.Released++
	case ownership.GrantFenced:
		c.Fenced++
	}
}

func (c *Coverage) fact(f *ownership.Fact) {
	counter := map[ownership.FactKind]*int{
		ownership.FactSelfStop: &c.SelfStop, ownership.FactResumed: &c.Resumed, ownership.FactExpired: &c.Expired,
		ownership.FactLost: &c.Lost, ownership.FactRaceLost: &c.RaceLost,
		ownership.FactReadopted: &c.Readopted, ownership.FactNotReadopted: &c.NotReadopted,
		ownership.FactDeleted: &c.Deleted, ownership.FactRecreated: &c.Recreated, ownership.FactRewound: &c.Rewound,
		ownership.FactStopFailed: &c.StopFailed, ownership.FactNotReleased: &c.NotReleased,
		ownership.FactEngineSilent: &c.EngineSilent, ownership.FactDiskFailed: &c.DiskFailed,
		ownership.FactUnreadable: &c.Unreadable,
	}[f.Kind]
	if counter != nil {
		*counter++
	}
	if f.Kind == ownership.FactReleased && f.Cause == "Arbitration" {
		c.GivenUp++
	}
	if f.Kind == ownership.FactReleased && f.Cause == "Drain" {
		c.Drain++
	}
}
