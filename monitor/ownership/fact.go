// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package ownership

import leasev1 "github.com/understudy-dev/understudy/api/lease/v1"

// Fact is something worth telling people: log, conditions, history. Nothing
// depends on it.
type Fact struct {
	Kind  FactKind `json:"kind"`
	Epoch int64    `json:"epoch,omitempty"`
	// Cause is set with Released.
	Cause leasev1.Cause `json:"cause,omitempty"`
	// Message is one line for people: why, and what happens next.
	Message string `json:"message,omitempty"`
}

// FactKind is one CamelCase word.
type FactKind string

const (
	// FactAcquired: this host owns the group in a new epoch.
	FactAcquired FactKind = "Acquired"
	// FactReadopted: a restarted monitor goes on in the same epoch.
	FactReadopted FactKind = "Readopted"
	// FactNotReadopted: a restarted monitor found that it does not own what runs.
	FactNotReadopted FactKind = "NotReadopted"
	// FactRaceLost: another host took first.
	FactRaceLost FactKind = "RaceLost"
	// FactSelfStop: no renewal was confirmed in time, everything stops.
	FactSelfStop FactKind = "SelfStop"
	// FactResumed: the API server answered again in time, same epoch.
	FactResumed FactKind = "Resumed"
	// FactExpired: the ownership ran out.
	FactExpired FactKind = "Expired"
	// FactLost: the record proves that this epoch is over.
	FactLost FactKind = "Lost"
	// FactReleased: the group was given up, the record says so.
	FactReleased FactKind = "Released"
	// FactNotReleased: a release is refused for now: no other ready host, or the
	// failover threshold is reached. The group stays as it is.
	FactNotReleased FactKind = "NotReleased"
	// FactStopFailed: the stop is not proven, so the ownership is kept.
	FactStopFailed FactKind = "StopFailed"
	// FactStopProven: the stop is proven after all.
	FactStopProven FactKind = "StopProven"
	// FactDeleted: the Lease is gone.
	FactDeleted FactKind = "Deleted"
	// FactRecreated: it was created again.
	FactRecreated FactKind = "Recreated"
	// FactRewound: the Lease is older than what was seen before, or another one.
	FactRewound FactKind = "Rewound"
	// FactUnreadable: the record is malformed or newer than this monitor.
	FactUnreadable FactKind = "Unreadable"
	// FactDiskFailed: the disk state could not be stored, so nothing is taken.
	FactDiskFailed FactKind = "DiskFailed"
	// FactEngineSilent: a renewal is due and the engine does not answer.
	FactEngineSilent FactKind = "EngineSilent"
)
