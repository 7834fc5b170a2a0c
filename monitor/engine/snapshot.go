// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"encoding/json"

	"github.com/understudy-dev/understudy/monitor/instant"
)

// Snapshot is all that the engine knows, for the status of the objects and for
// the journal. [Restore] makes an engine of it.
type Snapshot struct {
	// Epoch last granted, in whatever phase; 0: never.
	Epoch        int64      `json:"epoch,omitempty"`
	Phase        Phase      `json:"phase"`
	PlanRevision string     `json:"planRevision,omitempty"`
	Group        GroupState `json:"group"`
	// Need as last said, nil if none.
	Need       *Need               `json:"need,omitempty"`
	Containers []ContainerSnapshot `json:"containers,omitempty"`
	Resources  []ResourceSnapshot  `json:"resources,omitempty"`
	// Controls under way, and finished ones that are not Recorded yet.
	Controls []ControlSnapshot `json:"controls,omitempty"`
	// Types of which there is something to say, sorted by name.
	Types []TypeSnapshot `json:"types,omitempty"`
	// Grant began the epoch, nil if it said nothing for Online.
	Grant *Granted `json:"grant,omitempty"`
	// IgnoreLockedMode of the plan.
	IgnoreLockedMode bool `json:"ignoreLockedMode,omitempty"`
	// LastContext is the largest context given to a control call.
	LastContext int64 `json:"lastContext,omitempty"`
	// Halted: everything is being stopped because a quorum resource was lost.
	Halted bool `json:"halted,omitempty"`
	// Notifications of the types, sorted by name.
	Notifications []NotificationsSnapshot `json:"notifications,omitempty"`
}

// ContainerSnapshot is what is known of one supervised container.
type ContainerSnapshot struct {
	Name string `json:"name"`
	// Nonce of the last known provider process.
	Nonce string `json:"nonce,omitempty"`
	// Up: the provider accepts calls.
	Up bool `json:"up,omitempty"`
	// GuardEpoch is the epoch for which a guard is in force, 0 if none.
	GuardEpoch int64 `json:"guardEpoch,omitempty"`
	// Empty: proven that nothing that this engine started is left in it.
	Empty bool `json:"empty,omitempty"`
	// Gone: InitGone was the last that was heard of it.
	Gone bool `json:"gone,omitempty"`
	// KillReason is set from Restart until the proof.
	KillReason Reason `json:"killReason,omitempty"`
	// StopFailed: no proof came in time; Restart is being repeated.
	StopFailed bool `json:"stopFailed,omitempty"`
}

// ResourceSnapshot is all about one resource.
type ResourceSnapshot struct {
	// Spec as planned last.
	Spec Resource `json:"spec"`
	// Properties is set if what runs may have others than Spec.
	Properties *PropertiesSnapshot `json:"properties,omitempty"`
	// Was is where its instance still is while Spec already wants another
	// container or type.
	Was *Where `json:"was,omitempty"`
	// Removed: no longer in the plan; it is being stopped and closed.
	Removed bool  `json:"removed,omitempty"`
	State   State `json:"state"`
	// Since is when it entered State.
	Since instant.Instant `json:"since"`
	// Opened: the provider has an instance.
	Opened bool `json:"opened,omitempty"`
	// Waiting says why it is not as the plan wants, and for which resources.
	Waiting    Reason   `json:"waiting,omitempty"`
	WaitingFor []string `json:"waitingFor,omitempty"`
	// StopProven: nothing of it runs here.
	StopProven bool `json:"stopProven,omitempty"`
	// StartedEpoch belongs to the last Online, RunningGeneration to the properties of
	// what runs.
	StartedEpoch      int64 `json:"startedEpoch,omitempty"`
	RunningGeneration int64 `json:"runningGeneration,omitempty"`
	EventHandle       bool  `json:"eventHandle,omitempty"`
	// Arbitration is nil unless the type is quorum-capable.
	Arbitration *ArbitrationSnapshot `json:"arbitration,omitempty"`

	// What was reported last (RA sections 3.1, 3.2).
	CheckPoint           uint32 `json:"checkPoint,omitempty"`
	ApplicationErrorCode uint32 `json:"applicationErrorCode,omitempty"`
	StatusFlags          uint32 `json:"statusFlags,omitempty"`
	// LastOperationStatusCode of Open, Online, Offline, Terminate or the failure.
	LastOperationStatusCode Code   `json:"lastOperationStatusCode,omitempty"`
	StatusInformation       uint64 `json:"statusInformation,omitempty"`
	// LockedMode as reported last, nil if never since it came online.
	LockedMode *LockedMode `json:"lockedMode,omitempty"`
	// Held: the plan does not want it online, and locked mode keeps it so.
	Held bool `json:"held,omitempty"`
	// Recovering: it is taken down because of an embedded failure.
	Recovering bool `json:"recovering,omitempty"`
	// ApplicationStates of what runs, sorted by state (RA section 1.12).
	ApplicationStates []ApplicationReport `json:"applicationStates,omitempty"`
	// NodeLocalProperties is an object (RA section 1.11).
	NodeLocalProperties json.RawMessage `json:"nodeLocalProperties,omitempty"`
	// UnexpectedlyActive: found running without ownership, and not gone yet.
	UnexpectedlyActive bool `json:"unexpectedlyActive,omitempty"`

	// Failures within the RestartPeriod, oldest first, in this series.
	Failures []instant.Instant `json:"failures,omitempty"`
	// TotalFailures and TotalRestarts since the resource is known here.
	TotalFailures int64 `json:"totalFailures,omitempty"`
	TotalRestarts int64 `json:"totalRestarts,omitempty"`
	// LastFailure, nil if it never failed here.
	LastFailure *Failure `json:"lastFailure,omitempty"`
	// Verdict is the policy's answer to the last failure that still stands.
	Verdict Verdict `json:"verdict,omitempty"`
	// Failover: the verdict calls for another host; Immediate: nothing can be
	// done here at all.
	Failover  bool `json:"failover,omitempty"`
	Immediate bool `json:"immediate,omitempty"`
	// NextTry is when Online is tried again, nil if nothing is scheduled.
	NextTry *instant.Instant `json:"nextTry,omitempty"`
	// Transitions: the last 16, oldest first.
	Transitions []Transition `json:"transitions,omitempty"`
	// DumpProcesses are those of ChangeResourceProcessForDumps, LastDump the latest
	// dump, nil if there was none.
	DumpProcesses []DumpProcess `json:"dumpProcesses,omitempty"`
	LastDump      *LastDump     `json:"lastDump,omitempty"`
	// ControlResults: the last 4 finished control calls, oldest first.
	ControlResults []ControlResult `json:"controlResults,omitempty"`
}

// PropertiesSnapshot says which properties what runs has.
type PropertiesSnapshot struct {
	Running json.RawMessage `json:"running,omitempty"`
	// Stale names the top-level properties in which Spec differs, sorted.
	Stale []string `json:"stale,omitempty"`
	// Reason is Applied, Updating, NextOnline or PropertiesRefused.
	Reason Reason `json:"reason"`
	// Asked is the latest attempt to have others taken over, nil if none counts.
	Asked *AskedProperties `json:"asked,omitempty"`
}

// AskedProperties is an attempt to have what runs take over other properties.
type AskedProperties struct {
	Properties json.RawMessage `json:"properties,omitempty"`
	// Answered: Status is the outcome. Otherwise nobody knows it.
	Answered bool `json:"answered,omitempty"`
	Status   Code `json:"status,omitempty"`
}

// Where an instance lives.
type Where struct {
	Container string `json:"container"`
	TypeName  string `json:"typeName,omitempty"`
}

// Verdict of the restart policy (RA section 4.7).
type Verdict string

const (
	// VerdictNone: no failure stands.
	VerdictNone Verdict = ""
	// VerdictRestart: it is restarted here, at NextTry.
	VerdictRestart Verdict = "Restart"
	// VerdictRetry: it stays Failed; a new series begins at NextTry.
	VerdictRetry Verdict = "Retry"
	// VerdictStay: it stays Failed until somebody acts.
	VerdictStay Verdict = "Stay"
)

// Failure is one failure of a resource.
type Failure struct {
	Time    instant.Instant `json:"time"`
	Reason  Reason          `json:"reason"`
	Code    Code            `json:"code,omitempty"`
	Message string          `json:"message,omitempty"`
	// ApplicationErrorCode as the provider gave it.
	ApplicationErrorCode uint32 `json:"applicationErrorCode,omitempty"`
	// Verified: IsAlive said so, or no verification was needed.
	Verified bool `json:"verified,omitempty"`
}

// Transition is one change of state.
type Transition struct {
	State  State           `json:"state"`
	Time   instant.Instant `json:"time"`
	Reason Reason          `json:"reason,omitempty"`
}

// ControlPhase is where a control call stands.
type ControlPhase string

const (
	ControlClaiming ControlPhase = "Claiming" // Claim is out
	ControlRunning  ControlPhase = "Running"  // given to the provider
	ControlFinished ControlPhase = "Finished" // Finish is out, Recorded is awaited
)

// ControlSnapshot is one control call.
type ControlSnapshot struct {
	Control Control `json:"control"`
	// Spec is the code that was found for it.
	Spec     ControlSpec  `json:"spec"`
	Phase    ControlPhase `json:"phase"`
	Context  int64        `json:"context,omitempty"`
	Deadline int64        `json:"deadline,omitempty"`
	// Extended: the provider moved the deadline.
	Extended bool `json:"extended,omitempty"`
	// Withdrawn: nobody waits for its outcome any more.
	Withdrawn bool `json:"withdrawn,omitempty"`
	// Container and Nonce of the process that runs it.
	Container string `json:"container,omitempty"`
	Nonce     string `json:"nonce,omitempty"`
	// Unheard: Begin has not returned.
	Unheard bool    `json:"unheard,omitempty"`
	Finish  *Finish `json:"finish,omitempty"`
}

// ControlResult is what is kept of a finished control call on its target.
type ControlResult struct {
	ID     string          `json:"id"`
	Name   string          `json:"name,omitempty"`
	Code   uint32          `json:"code,omitempty"`
	Kind   FinishKind      `json:"kind"`
	Status Code            `json:"status"`
	Time   instant.Instant `json:"time"`
}
