// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"time"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
)

// Event is what the machine is told: exactly one field is set. Events are plain
// data with stable JSON names, so that a recorded run replays as it was.
type Event struct {
	Started    *Started    `json:"started,omitempty"`
	Timer      *Timer      `json:"timer,omitempty"`
	Observed   *Observed   `json:"observed,omitempty"`
	Wrote      *Wrote      `json:"wrote,omitempty"`
	Persisted  *Persisted  `json:"persisted,omitempty"`
	Succession *Succession `json:"succession,omitempty"`
	Tick       *Tick       `json:"tick,omitempty"`
	Wish       *Wish       `json:"wish,omitempty"`
	Drain      *Drain      `json:"drain,omitempty"`
	GuardUp    *GuardUp    `json:"guardUp,omitempty"`
	GuardDown  *GuardDown  `json:"guardDown,omitempty"`
	Stopped    *Stopped    `json:"stopped,omitempty"`
}

// Started is the first event: the monitor runs, with the disk state that New got.
type Started struct{}

// Timer says that the time of the last Arm has come. An early or superfluous one
// is harmless: the machine compares clocks, it does not count timers.
type Timer struct{}

// Observed is news of the Lease: a watch event, or the answer to a Get.
type Observed struct {
	// Get is the ID of the Get that this answers; 0 for a watch, whose news may
	// be late: it is believed only as far as resource versions prove it newer.
	Get int64 `json:"get,omitempty"`
	// Failed: the Get has no answer (time-out, or any error other than 404).
	// Every Get is answered, at the latest after Timing.A.
	Failed bool `json:"failed,omitempty"`
	// Lease is the object as read; nil and not Failed: there is none.
	Lease *leasev1.Lease `json:"lease,omitempty"`
}

// Outcome is how a write ended, as far as the API server said.
type Outcome string

const (
	// Committed: 200 or 201. Wrote.Lease is the object in the answer.
	Committed Outcome = "Committed"
	// Conflict: 409, to a Put or (already exists) to a Create.
	Conflict Outcome = "Conflict"
	// NotFound: 404 to a Put.
	NotFound Outcome = "NotFound"
	// Unknown: everything else (time-out, broken connection, 5xx, 401, 403, 429).
	// The write may have committed, and may yet commit.
	Unknown Outcome = "Unknown"
)

// Wrote answers a Put or a Create. Every one is answered, at the latest after
// Timing.A: then the connection is dropped and the outcome is Unknown. The edge
// never repeats a write by itself.
type Wrote struct {
	// Seq is that of the action.
	Seq     int64          `json:"seq"`
	Outcome Outcome        `json:"outcome"`
	Lease   *leasev1.Lease `json:"lease,omitempty"`
	// Message is for people: status code, error.
	Message string `json:"message,omitempty"`
}

// Persisted answers a Persist: the state is on the disk, fsynced, unless Error
// says why not. The write that waited for it is not sent in that case.
type Persisted struct {
	ID    int64  `json:"id"`
	Error string `json:"error,omitempty"`
}

// Succession is the manager's hint who should take next (Ownership section 9),
// together with what the group's status says about hosts and epoch. It is never
// needed for safety. A new one replaces the old one.
type Succession struct {
	// Line and Reserve are pod UIDs in order; a host takes after those before it.
	Line    []string `json:"line,omitempty"`
	Reserve []string `json:"reserve,omitempty"`
	// Barred maps the pod UIDs that must not take to the reason.
	Barred map[string]string `json:"barred,omitempty"`
	// Ready are the pod UIDs that report themselves ready to own the group.
	Ready []string `json:"ready,omitempty"`
	// OwnerEpoch is the largest owner epoch in the group's status.
	OwnerEpoch int64 `json:"ownerEpoch,omitempty"`
}

// Tick is the engine's answer to the AskTick of that ID: it passed through the
// same queue and executor as a provider call.
type Tick struct {
	ID int64 `json:"id"`
}

// Wish is what the engine, the plan and the spec want of the ownership. A new
// one replaces the old one.
type Wish struct {
	// WantOnline: the group is wanted online, so that somebody should own it.
	WantOnline bool `json:"wantOnline,omitempty"`
	// Unfit says why this host cannot own the group now (no accepted plan yet, a
	// provider is missing, something was found running); empty if it can.
	Unfit string `json:"unfit,omitempty"`
	// Release asks the owner to give the group up. It stands until it is carried
	// out or a Wish without it comes, and is refused (Fact NotReleased) for as
	// long as the rules forbid it. nil: none.
	Release *Release `json:"release,omitempty"`
	// Hold has a release wait, with the lease kept, for what only this host can tell.
	Hold bool `json:"hold,omitempty"`
	// FailoverThreshold is how many failovers are allowed within FailoverPeriod;
	// a negative one means any number.
	FailoverThreshold int           `json:"failoverThreshold"`
	FailoverPeriod    time.Duration `json:"failoverPeriod,omitempty"`
	// Timing is that of the accepted plan; nil keeps the one before. An owner
	// goes on with the timing of its epoch: it is constant for an epoch.
	Timing *leasev1.Timing `json:"timing,omitempty"`
}

// Release asks for the end of the ownership by hand-over.
type Release struct {
	// Cause is one of Failover, Move and Arbitration. (Offline follows from
	// Wish.WantOnline and Drain from the event Drain.)
	Cause leasev1.Cause `json:"cause"`
	// To is the pod UID that should take; empty: the next in the succession. A
	// Move to a host that cannot take is refused.
	To string `json:"to,omitempty"`
	// Reason goes into the record, for the next owner's timeline.
	Reason leasev1.Reason `json:"reason"`
}

// Drain says that the host goes away: from now on it is no candidate, and an
// owner hands over. There is no way back.
type Drain struct {
	Reason leasev1.Reason `json:"reason"`
}

// GuardUp says that the init of a container said hello: new, or again, or with a
// new nonce. It comes for every hello.
type GuardUp struct {
	Container string `json:"container"`
	Nonce     string `json:"nonce"`
	// Epoch, G1 and G2 are the guard that init holds; G2 is 0 if none is armed.
	Epoch int64 `json:"epoch,omitempty"`
	G1    int64 `json:"g1,omitempty"`
	G2    int64 `json:"g2,omitempty"`
}

// GuardDown says that the connection to the init of a container ended. It proves
// nothing here: what is proven, the engine says by Stopped.
type GuardDown struct {
	Container string `json:"container"`
}

// Stopped answers Revoke. It may come again when more is known: first not
// proven, later proven.
type Stopped struct {
	// Revoke is the ID of the newest Revoke that the engine has taken in.
	Revoke int64 `json:"revoke"`
	// Proven: the stop is proven for every resource of the group on this host
	// (Ownership section 6, stopProven). Not proven: everything was tried, the
	// kill of the container included, and it may still run.
	Proven bool `json:"proven,omitempty"`
	// Left names what may still run, for people.
	Left []string `json:"left,omitempty"`
}
