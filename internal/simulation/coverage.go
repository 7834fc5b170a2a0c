// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"strings"

	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
	"github.com/understudy-dev/understudy/monitor/ownership"
)

// Coverage counts what schedules reached.
type Coverage struct {
	Steps, Journals                      int
	Hosts, Faults, Grants                int
	Silent, Released, Fenced             int // take-overs
	UnknownCommit                        int // committed writes whose answer was lost
	SelfStop, Resumed, Expired           int
	Lost, RaceLost                       int
	Readopted, NotReadopted              int
	GuardKill                            int
	Deleted, Recreated, Rewound          int
	StopFailed, NotReleased, Threshold   int
	Drain, EngineSilent                  int
	DiskFailed, Unreadable               int
	Arbitrated, QuorumLost               int
	Restarts, Failures, UnexpectedlyOpen int
	CallsRun, CallsSucceeded             int
	CallsUnknown, CallsTimedOut          int
	CallsNotStarted                      int
	LateAnswers, Strays, Alone           int

	// TwoOwners counts what only schedules outside of the assumptions may reach.
	TwoOwners int
	// EpochLost counts the grants of an epoch that had been used already, by an
	// owner whose Lease was deleted before anybody took note.
	EpochLost int
}

// required is what a campaign must reach in at least one schedule of a hundred: an adversary
// that never gets there proves nothing.
var required = []string{
	"Expired", "UnknownCommit", "Readopted", "GuardKill", "Deleted", "StopFailed", "Drain", "Threshold", "SelfStop",
	"Lost",
	"Silent", "Released", "Fenced", "DiskFailed", "EngineSilent", "Arbitrated", "QuorumLost", "Restarts", "CallsRun",
	"CallsUnknown", "CallsNotStarted", "Alone", "LateAnswers", "Strays", "TwoOwners",
}

// Missed names what too few schedules reached.
func (r Report) Missed() []string {
	var missed []string
	for _, name := range required {
		if 100*r.Reached[name] < r.Schedules {
			missed = append(missed, name)
		}
	}
	return missed
}

// said counts a line of a monitor's log.
func (c *Coverage) said(l core.Log) {
	if l.Component != "OWN" {
		if strings.Contains(l.Text, "restarted in") {
			c.Restarts++
		}
		switch engine.Reason(l.Reason) {
		case engine.ReasonUnexpectedlyActive:
			c.UnexpectedlyOpen++
		case engine.ReasonExited, engine.ReasonIsAliveFailed, engine.ReasonProviderLost, engine.ReasonDeadlock,
			engine.ReasonOnlineFailed, engine.ReasonPendingTimeout, engine.ReasonReportedFailed:
			c.Failures++
		}
		return
	}
	counter := map[ownership.FactKind]*int{
		ownership.FactSelfStop: &c.SelfStop, ownership.FactResumed: &c.Resumed, ownership.FactExpired: &c.Expired,
		ownership.FactLost: &c.Lost, ownership.FactRaceLost: &c.RaceLost,
		ownership.FactReadopted: &c.Readopted, ownership.FactNotReadopted: &c.NotReadopted,
		ownership.FactDeleted: &c.Deleted, ownership.FactRecreated: &c.Recreated, ownership.FactRewound: &c.Rewound,
		ownership.FactStopFailed: &c.StopFailed, ownership.FactNotReleased: &c.NotReleased,
		ownership.FactEngineSilent: &c.EngineSilent, ownership.FactDiskFailed: &c.DiskFailed,
		ownership.FactUnreadable: &c.Unreadable,
	}[ownership.FactKind(l.Reason)]
	if counter != nil {
		*counter++
	}
	if l.Reason == string(ownership.FactNotReleased) && strings.Contains(l.Text, "threshold") {
		c.Threshold++
	}
}
