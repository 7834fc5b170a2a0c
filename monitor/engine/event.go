// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"encoding/json"
	"time"
)

// Event is one thing that happened. Exactly one field is set; anything else is
// noted and ignored. The JSON form is what a recording holds.
type Event struct {
	Granted      *Granted      `json:"granted,omitempty"`
	Revoked      *Revoked      `json:"revoked,omitempty"`
	PlanChanged  *PlanChanged  `json:"planChanged,omitempty"`
	ProviderUp   *ProviderUp   `json:"providerUp,omitempty"`
	ProviderDown *ProviderDown `json:"providerDown,omitempty"`
	Emptied      *Emptied      `json:"emptied,omitempty"`
	InitGone     *InitGone     `json:"initGone,omitempty"`
	Guarded      *Guarded      `json:"guarded,omitempty"`
	Dumped       *Dumped       `json:"dumped,omitempty"`
	Returned     *Returned     `json:"returned,omitempty"`
	Callback     *Callback     `json:"callback,omitempty"`
	Control      *Control      `json:"control,omitempty"`
	Claimed      *Claimed      `json:"claimed,omitempty"`
	Recorded     *Recorded     `json:"recorded,omitempty"`
	Withdrawn    *Withdrawn    `json:"withdrawn,omitempty"`
	Stored       *Stored       `json:"stored,omitempty"`
	Timer        *Timer        `json:"timer,omitempty"`
	Tick         *Tick         `json:"tick,omitempty"`
}

// Granted: this host owns the group under Epoch. Again with the same epoch, it
// confirms (after Restore) or restarts (after a stop). A larger epoch begins
// afresh: restart counters start at 0, and what still runs under another epoch
// is stopped before it is brought online again. A grant while a stop is under way
// lets the stop finish, without Proven, and then brings everything online again
// without counting a failure.
type Granted struct {
	Epoch int64 `json:"epoch"`
	// Context and Flags of the first Online of each resource under a larger epoch.
	Context OperationContext `json:"context,omitempty"`
	Flags   uint32           `json:"flags,omitempty"`
}

// RevokeMode is how hard a stop is.
type RevokeMode string

const (
	// Ordered: dependents first, Offline, then Terminate where that fails.
	Ordered RevokeMode = "Ordered"
	// Emergency: Terminate everything in parallel.
	Emergency RevokeMode = "Emergency"
	// Kill: nothing is called any more. The caller has the inits kill all;
	// the engine waits for their proofs.
	Kill RevokeMode = "Kill"
)

// Revoked: stop everything and say Proven. A harder mode replaces a softer one
// that is under way; a softer one changes nothing. While nothing is granted it is
// valid too (an observer that must be sure): Proven follows as soon as it is true.
type Revoked struct {
	Mode RevokeMode `json:"mode"`
	// Reason is for people and for the ring of transitions.
	Reason string `json:"reason,omitempty"`
	// Cause, Context, Destination and Flags are what Offline and Terminate are told:
	// why, what it is part of, which host is to own the group next (empty: not known),
	// and OfflineFlags besides those that follow from the resource itself.
	Cause       StateChangeReason `json:"cause,omitempty"`
	Context     OperationContext  `json:"context,omitempty"`
	Destination string            `json:"destination,omitempty"`
	Flags       uint32            `json:"flags,omitempty"`
}

// PlanChanged: a plan was accepted. A plan that contradicts itself (two
// resources with one UID, a dependency on nothing, a cycle) is refused with a
// Note, and the last one goes on.
type PlanChanged struct {
	Plan Plan `json:"plan"`
}

// ProviderUp: the provider process of a container accepts calls. Feed it for
// each new process; a repetition for one that is up is harmless. A Nonce other
// than the last known one proves that all that ran before in the container is
// gone, as Emptied does. It is ignored for a process that is to be killed.
type ProviderUp struct {
	Container string `json:"container"`
	// Nonce of the init's hello: one provider process (guard protocol).
	Nonce string `json:"nonce"`
	// Types that the provider serves; empty means any.
	Types []string `json:"types,omitempty"`
	// Capabilities of the provider, by name.
	Capabilities []string `json:"capabilities,omitempty"`
}

// ProviderDown: the provider process ended or cannot be talked to any more. Its
// resources failed; that nothing of them runs is not proven. The engine answers
// with Restart for the nonce that it knew, so that a process which merely hangs
// does not linger.
type ProviderDown struct {
	Container string `json:"container"`
	Reason    string `json:"reason,omitempty"`
}

// Emptied: init killed all but itself and found nothing left. The stop of every
// resource in the container is proven, and the guard is gone with it: Guarded
// must come again before anything goes online there. Ignored if Nonce is the
// known one (a repetition).
type Emptied struct {
	Container string `json:"container"`
	// Nonce is the new one.
	Nonce string `json:"nonce"`
}

// InitGone: the guard socket of a container closed and its init was PID 1 of its
// own PID namespace. Config.KillBound later the stop is proven, unless init was
// heard of again.
type InitGone struct {
	Container string `json:"container"`
}

// Guarded: a guard is in force in the container for Epoch. Only then may anything
// there be brought online under that epoch. Epoch 0 withdraws it.
type Guarded struct {
	Container string `json:"container"`
	Epoch     int64  `json:"epoch"`
}

// Dumped answers a Dump.
type Dumped struct {
	Container string `json:"container"`
	// Resource is the UID that the Dump had.
	Resource string `json:"resource"`
	// File is the name of what was written, empty if nothing was; Bytes its size.
	File  string `json:"file,omitempty"`
	Bytes int64  `json:"bytes,omitempty"`
	// Message says why that is nothing, or not all.
	Message string `json:"message,omitempty"`
}

// Outcome of a call as the edge saw it.
type Outcome string

const (
	// Answered: the provider answered; Status and the rest count.
	Answered Outcome = ""
	// Unavailable: the process could not be reached, or went away meanwhile.
	Unavailable Outcome = "Unavailable"
	// DeadlineExceeded: no answer until the deadline.
	DeadlineExceeded Outcome = "DeadlineExceeded"
	// Broken: the answer was an error of the transport or made no sense.
	Broken Outcome = "Broken"
)

// Returned is the answer to a Call, exactly one each. Which fields count depends
// on the operation.
type Returned struct {
	Call    uint64  `json:"call"`
	Outcome Outcome `json:"outcome,omitempty"`
	// Status: 0, IOPending (Online, Offline) or an error (all operations).
	// For Terminate and Offline 0 says: the provider checked that nothing of
	// the resource runs any more.
	Status  Code   `json:"status,omitempty"`
	Message string `json:"message,omitempty"`
	// Open: the provider's own id, given back in every later Call; the state in
	// which the instance was found (a Reported number) and its checkpoint.
	// State 0 (not said) counts as offline, unless the call asked to recover:
	// then nobody knows, and the instance is terminated to be sure.
	ResourceID string `json:"resourceID,omitempty"`
	State      int32  `json:"state,omitempty"`
	CheckPoint uint32 `json:"checkPoint,omitempty"`
	// EventHandle (Online): the provider reports failures by itself, so LooksAlive
	// is not called (RA section 2.3).
	EventHandle bool `json:"eventHandle,omitempty"`
	// Alive (LooksAlive, IsAlive).
	Alive bool `json:"alive,omitempty"`
	// Async (BeginResourceControl): EndControlCall will follow.
	Async bool `json:"async,omitempty"`
	// Output (BeginResourceControl, not Async).
	Output []byte `json:"output,omitempty"`
	// BytesReturned is what the output needs, with CodeMoreData.
	BytesReturned uint32 `json:"bytesReturned,omitempty"`
}

// Callback is a callback of a provider (RA section 1); Reply answers it, always
// in the same Step. Exactly one of the pointers is set.
type Callback struct {
	// ID comes back in Reply.
	ID uint64 `json:"id"`
	// Container whose socket it came through. A provider speaks only for the
	// resources of its own container: another or an unknown handle is answered
	// with CodeInvalidHandle and ExitTerminate.
	Container string `json:"container"`
	// Handle is the UID of the resource, for what concerns one.
	Handle string `json:"handle,omitempty"`
	// TypeName is the type, for what concerns one, in any case: a type that no
	// resource of the container has is answered with CodeTypeNotFound.
	TypeName string `json:"typeName,omitempty"`

	// Of a resource.
	SetResourceStatus      *SetResourceStatus      `json:"setResourceStatus,omitempty"`
	SignalFailure          *SignalFailure          `json:"signalFailure,omitempty"`
	LogEvent               *LogEvent               `json:"logEvent,omitempty"`
	QuorumResourceLost     *QuorumResourceLost     `json:"quorumResourceLost,omitempty"`
	SetLockedMode          *SetLockedMode          `json:"setLockedMode,omitempty"`
	SetNodeLocalProperties *SetNodeLocalProperties `json:"setNodeLocalProperties,omitempty"`
	SetInternalState       *SetInternalState       `json:"setInternalState,omitempty"`
	RequestDump            *RequestDump            `json:"requestDump,omitempty"`
	// Of a resource, or of a type.
	ChangeProcessForDumps *ChangeProcessForDumps `json:"changeProcessForDumps,omitempty"`
	// Of a type.
	RaiseNotification *RaiseNotification `json:"raiseNotification,omitempty"`
	// Of a control call.
	EndControlCall    *EndControlCall    `json:"endControlCall,omitempty"`
	ExtendControlCall *ExtendControlCall `json:"extendControlCall,omitempty"`
	// Of the group.
	EnumResources *EnumResources `json:"enumResources,omitempty"`
}

// SetResourceStatus and its Ex form (RA sections 1.1, 1.2, 3.1, 3.2).
type SetResourceStatus struct {
	// Ex tells the two forms apart; the older one has no error code and flags.
	Ex          bool   `json:"ex,omitempty"`
	State       int32  `json:"state"`
	CheckPoint  uint32 `json:"checkPoint,omitempty"`
	EventHandle bool   `json:"eventHandle,omitempty"`
	// ApplicationErrorCode and Flags exist in the Ex form only.
	ApplicationErrorCode uint32 `json:"applicationErrorCode,omitempty"`
	Flags                uint32 `json:"flags,omitempty"`
	Message              string `json:"message,omitempty"`
}

// SignalFailure (RA section 1.3).
type SignalFailure struct {
	Type                 FailureType `json:"type"`
	ApplicationErrorCode uint32      `json:"applicationErrorCode,omitempty"`
	// Exited: the provider saw the program end. No verification is needed.
	Exited  bool   `json:"exited,omitempty"`
	Message string `json:"message,omitempty"`
}

// LogEvent (RA section 1.4).
type LogEvent struct {
	Level Level  `json:"level"`
	Text  string `json:"text"`
}

// EndControlCall and EndTypeControlCall (RA sections 1.5, 1.6).
type EndControlCall struct {
	// Type tells the two apart: a context of the other kind is unknown.
	Type    bool   `json:"type,omitempty"`
	Context int64  `json:"context"`
	Status  Code   `json:"status"`
	Output  []byte `json:"output,omitempty"`
	// BytesReturned is what the output needs, with CodeMoreData.
	BytesReturned uint32 `json:"bytesReturned,omitempty"`
}

// ExtendControlCall and ExtendResTypeControlCall (RA sections 1.7, 1.8).
type ExtendControlCall struct {
	Type    bool  `json:"type,omitempty"`
	Context int64 `json:"context"`
	// Timeout counts from now.
	Timeout time.Duration `json:"timeout"`
}

// QuorumResourceLost (RA section 1.9).
type QuorumResourceLost struct{}

// SetLockedMode is SetResourceLockedMode and its Ex form (RA sections 1.10, 1.19).
type SetLockedMode struct {
	Enabled bool   `json:"enabled,omitempty"`
	Reason  uint32 `json:"reason,omitempty"`
	Flags   uint32 `json:"flags,omitempty"`
}

// SetNodeLocalProperties is SetResourceInMemoryNodeLocalProperties (RA section 1.11).
type SetNodeLocalProperties struct {
	// Properties is a JSON object, merged into what is there; null removes a name.
	Properties json.RawMessage `json:"properties,omitempty"`
}

// SetInternalState (RA section 1.12).
type SetInternalState struct {
	State  ApplicationState `json:"state"`
	Active bool             `json:"active,omitempty"`
}

// RaiseNotification is RaiseResTypeNotification (RA section 1.13).
type RaiseNotification struct {
	Payload []byte `json:"payload,omitempty"`
}

// ChangeProcessForDumps is ChangeResourceProcessForDumps with a Handle, and
// ChangeResTypeProcessForDumps with a TypeName (RA sections 1.14, 1.15).
type ChangeProcessForDumps struct {
	Name string `json:"name,omitempty"`
	PID  uint32 `json:"pid,omitempty"`
	Add  bool   `json:"add,omitempty"`
}

// RequestDump (RA section 1.19).
type RequestDump struct {
	// DueToCallInProgress: a call that ends in time cancels the dump.
	DueToCallInProgress bool          `json:"dueToCallInProgress,omitempty"`
	Delay               time.Duration `json:"delay,omitempty"`
}

// EnumResources is ResUtilEnumResources (RA section 1.16) over the resources of the group.
type EnumResources struct {
	// Self is the handle of the resource that is left out; it may be empty.
	Self string `json:"self,omitempty"`
	// TypeName is the filter, in any case; empty: all.
	TypeName string `json:"typeName,omitempty"`
}

// Control asks for one control call. The same ID again, while it is known, is
// ignored.
type Control struct {
	// ID names the request, usually the UID of the ControlCall.
	ID string `json:"id"`
	// Resource is the UID of the resource that is called. Without one it is the type,
	// and without that the group.
	Resource string `json:"resource"`
	TypeName string `json:"typeName,omitempty"`
	// Name or Code select a control code of the target; Name wins.
	Name  string `json:"name,omitempty"`
	Code  uint32 `json:"code,omitempty"`
	Input []byte `json:"input,omitempty"`
	// Read says that the caller may only read: a code that writes is refused.
	Read bool `json:"read,omitempty"`
	// User is in whose name the provider is to do it; nil: in its own.
	User *User `json:"user,omitempty"`
	// Timeout is what it has from the claim on; 0 means DeadlockTimeout.
	Timeout time.Duration `json:"timeout,omitempty"`
	// Claimed says that the request is claimed by this host already, in an
	// earlier life of the monitor. If the engine does not know the call, nobody
	// does: it finishes with FinishUnknown and is not run again.
	Claimed bool `json:"claimed,omitempty"`
}

// User stands for TokenHandle (RA section 2.1): who asked, as admission vouched for it.
type User struct {
	Name   string   `json:"name"`
	UID    string   `json:"uid,omitempty"`
	Groups []string `json:"groups,omitempty"`
}

// Claimed: the claim that Claim asked for is durable (OK), or was refused: then
// the call is somebody else's, and is forgotten without Finish.
type Claimed struct {
	ID string `json:"id"`
	OK bool   `json:"ok"`
}

// Recorded: the outcome that Finish gave is durable where the user reads it, so
// the engine may forget it.
type Recorded struct {
	ID string `json:"id"`
}

// Withdrawn: the request was deleted. If it is not claimed yet, it is not run; if it
// runs, Cancel is called (RA section 2.1), and what becomes of it is told to nobody.
type Withdrawn struct {
	ID string `json:"id"`
}

// Timer: the armed time has come.
type Timer struct{}

// Tick asks for a Tock: proof that the engine and the queue before it are alive.
// The renewal of the lease depends on it (ownership section 6).
type Tick struct {
	Token uint64 `json:"token"`
}
