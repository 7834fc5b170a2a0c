// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"time"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	"github.com/understudy-dev/understudy/monitor/instant"
)

// Action is what the machine orders: exactly one field is set. Actions of one
// Step are carried out in their order; Put, Create, Get and Persist without
// waiting for their answers, which come back as events.
type Action struct {
	Put     *Put     `json:"put,omitempty"`
	Create  *Create  `json:"create,omitempty"`
	Get     *Get     `json:"get,omitempty"`
	Persist *Persist `json:"persist,omitempty"`
	Guard   *Guard   `json:"guard,omitempty"`
	KillAll *KillAll `json:"killAll,omitempty"`
	Grant   *Grant   `json:"grant,omitempty"`
	Revoke  *Revoke  `json:"revoke,omitempty"`
	AskTick *AskTick `json:"askTick,omitempty"`
	Arm     *Arm     `json:"arm,omitempty"`
	Fact    *Fact    `json:"fact,omitempty"`
}

// Put replaces the Lease if UID and resource version are those of the record:
// one attempt, at once, whose time-out is Timing.A. The edge encodes the record
// over the object that it last read in that version (leasev1.Encode), and keeps
// labels, finalizers and foreign annotations. At most one Put, Create or Get is
// under way; a newer one supersedes an older one that the edge still has.
type Put struct {
	Seq    int64          `json:"seq"`
	Record leasev1.Record `json:"record"`
	// Timeout is Timing.A of the epoch.
	Timeout time.Duration `json:"timeout"`
}

// Create creates the Lease; like Put otherwise.
type Create struct {
	Seq     int64          `json:"seq"`
	Record  leasev1.Record `json:"record"`
	Timeout time.Duration  `json:"timeout"`
}

// Get reads the Lease. Quorum is a read that the API server must answer from the
// store and not from a cache: without a resourceVersion parameter.
type Get struct {
	ID      int64         `json:"id"`
	Quorum  bool          `json:"quorum"`
	Timeout time.Duration `json:"timeout"`
}

// Persist stores the disk state with fsync; Persisted answers. The write that
// depends on it follows only then.
type Persist struct {
	ID   int64 `json:"id"`
	Disk Disk  `json:"disk"`
}

// Guard sets the guard of every connected container, and of each that says hello
// later, until the next Guard: CLOCK_BOOTTIME in nanoseconds. It may move a
// deadline either way. G2 = 0 disarms it, which is ordered only when the stop is
// proven. A G2 in the past is for what still holds a guard: sent to an init that
// was just proven empty, it would only kill nothing, again and again.
type Guard struct {
	Epoch int64 `json:"epoch"`
	G1    int64 `json:"g1"`
	G2    int64 `json:"g2"`
}

// KillAll orders the init of the named container, or of every container if the
// name is empty, to kill all but itself at once.
type KillAll struct {
	Container string `json:"container,omitempty"`
}

// GrantReason says how the ownership came about.
type GrantReason string

const (
	// GrantReleased: the last owner released it with a proven stop.
	GrantReleased GrantReason = "Released"
	// GrantSilent: the record did not change for W.
	GrantSilent GrantReason = "Silent"
	// GrantFenced: a person declared the last owner's host stopped.
	GrantFenced GrantReason = "Fenced"
	// GrantReadopted: this host owned it before its monitor restarted, and what
	// runs goes on.
	GrantReadopted GrantReason = "Readopted"
	// GrantResumed: same owner, same epoch, after a stop that turned out not to
	// be needed. No failure is counted.
	GrantResumed GrantReason = "Resumed"
)

// Grant says that this host owns the group and that things may come online, once
// every container has acknowledged the Guard that always precedes it.
type Grant struct {
	Epoch int64 `json:"epoch"`
	// ValidFrom is before the first try of the write that made it so.
	ValidFrom instant.Instant `json:"validFrom"`
	Cause     GrantCause      `json:"cause"`
}

// GrantCause is the story behind a Grant, for the failover timeline.
type GrantCause struct {
	Reason GrantReason `json:"reason"`
	// PreviousHolder, PreviousUID and PreviousEpoch are the last owner; the names
	// are empty if nobody owned the group before.
	PreviousHolder string `json:"previousHolder,omitempty"`
	PreviousUID    string `json:"previousUID,omitempty"`
	PreviousEpoch  int64  `json:"previousEpoch,omitempty"`
	// LastHeard is when the last owner last wrote the record, by its wall clock.
	LastHeard time.Time `json:"lastHeard,omitzero"`
	// Detected is when this host first saw the record that it took.
	Detected instant.Instant `json:"detected"`
	// Cause and Release are set if the record was released.
	Cause   leasev1.Cause  `json:"cause,omitempty"`
	Release leasev1.Reason `json:"release,omitzero"`
	// FencedBy is the person, if it was fenced.
	FencedBy string `json:"fencedBy,omitempty"`
}

// RevokeMode is how fast a stop must be.
type RevokeMode string

const (
	// Ordered: Offline in order of dependency, with all its time-outs.
	Ordered RevokeMode = "Ordered"
	// Emergency: Terminate everything in parallel; the guard follows soon.
	Emergency RevokeMode = "Emergency"
	// Kill: no courtesy, KillAll and a Guard in the past accompany it.
	Kill RevokeMode = "Kill"
)

// Revoke withdraws the Grant and orders the stop. Stopped answers it. A later
// one may be harder; it is never softer until Stopped{Proven}.
type Revoke struct {
	ID     int64        `json:"id"`
	Mode   RevokeMode   `json:"mode"`
	Reason RevokeReason `json:"reason"`
	// Cause and To are those of the release, with RevokeRelease; To may be empty.
	Cause leasev1.Cause `json:"cause,omitempty"`
	To    string        `json:"to,omitempty"`
}

// RevokeReason says why the ownership ends or pauses.
type RevokeReason string

const (
	// RevokeRelease: hand-over, or the group is wanted offline.
	RevokeRelease RevokeReason = "Release"
	// RevokeSelfStop: no renewal was confirmed in time.
	RevokeSelfStop RevokeReason = "SelfStop"
	// RevokeLost: the record proves that this epoch is over.
	RevokeLost RevokeReason = "Lost"
	// RevokeExpired: the ownership ran out before the stop was proven.
	RevokeExpired RevokeReason = "Expired"
	// RevokeNotOwner: after a start that is no re-adoption, whatever is found
	// running must stop before this host may become a candidate.
	RevokeNotOwner RevokeReason = "NotOwner"
)

// AskTick asks the engine for the Tick that allows the next renewal.
type AskTick struct {
	ID int64 `json:"id"`
}

// Arm asks for a Timer at that CLOCK_BOOTTIME, in nanoseconds, even in the past.
// There is one timer: a new Arm replaces the one before.
type Arm struct {
	At int64 `json:"at"`
}
