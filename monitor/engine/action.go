// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import "encoding/json"

// Action is one thing to do. Exactly one field is set.
type Action struct {
	Call    *Call    `json:"call,omitempty"`
	Reply   *Reply   `json:"reply,omitempty"`
	Restart *Restart `json:"restart,omitempty"`
	Dump    *Dump    `json:"dump,omitempty"`
	Need    *Need    `json:"need,omitempty"`
	Proven  *Proven  `json:"proven,omitempty"`
	Claim   *Claim   `json:"claim,omitempty"`
	Finish  *Finish  `json:"finish,omitempty"`
	Status  *Status  `json:"status,omitempty"`
	Journal *Journal `json:"journal,omitempty"`
	Note    *Note    `json:"note,omitempty"`
	Arm     *Arm     `json:"arm,omitempty"`
	Tock    *Tock    `json:"tock,omitempty"`
}

// Op is an entry point (RA section 2.1).
type Op string

const (
	OpOpen                 Op = "Open"
	OpOnline               Op = "Online"
	OpOffline              Op = "Offline"
	OpTerminate            Op = "Terminate"
	OpClose                Op = "Close"
	OpLooksAlive           Op = "LooksAlive"
	OpIsAlive              Op = "IsAlive"
	OpBeginResourceControl Op = "BeginResourceControl"
	OpArbitrate            Op = "Arbitrate"
	OpRelease              Op = "Release"

	OpBeginResourceControlAsUser     Op = "BeginResourceControlAsUser"
	OpBeginResourceTypeControl       Op = "BeginResourceTypeControl"
	OpBeginResourceTypeControlAsUser Op = "BeginResourceTypeControlAsUser"

	OpCancel Op = "Cancel"
)

// Call calls an entry point. Returned answers it, exactly once.
type Call struct {
	ID        uint64 `json:"id"`
	Container string `json:"container"`
	// Nonce of the provider process that is meant; no other may get the call.
	Nonce string `json:"nonce,omitempty"`
	// Resource is the UID, which is also the handle for callbacks; empty for what
	// concerns a type.
	Resource string `json:"resource"`
	// ResourceID is the id that Open answered (RESID), or the UID.
	ResourceID string `json:"resourceID,omitempty"`
	Op         Op     `json:"op"`
	// Deadline on CLOCK_BOOTTIME. The engine watches it too.
	Deadline int64 `json:"deadline"`

	// Open and Online: what the resource is. TypeName is always set.
	Name       string          `json:"name,omitempty"`
	TypeName   string          `json:"typeName,omitempty"`
	Generation int64           `json:"generation,omitempty"`
	Properties json.RawMessage `json:"properties,omitempty"`
	// Flags of Open, Online, Offline (RA section 2.4).
	Flags uint32 `json:"flags,omitempty"`
	// Destination is the host that is to have the resource after Offline, if known.
	Destination string `json:"destination,omitempty"`
	// Reason of Offline and Terminate, Context of Online and Offline.
	Reason  StateChangeReason `json:"reason,omitempty"`
	Context OperationContext  `json:"context,omitempty"`
	// Epoch of Arbitrate, and of Online: announce it to the store before reading state.
	Epoch int64 `json:"epoch,omitempty"`
	// Control is set for the four Begin operations.
	Control *ControlArgs `json:"control,omitempty"`
}

// ControlArgs are the arguments of the four Begin operations (RA section 2.1). Beside the
// codes of control calls there is one of the engine's own: SET_PRIVATE_PROPERTIES (RA
// section 6.4), whose input is all properties as JSON, has a running resource take them
// over. It is answered with 0 if they are in force, and else with 5024 if they will be
// from the next Online on, which 1 means too. It can be repeated.
type ControlArgs struct {
	// Context names the call in EndControlCall; never used twice, also not by
	// a later life of the monitor.
	Context int64  `json:"context"`
	Code    uint32 `json:"code"`
	Name    string `json:"name,omitempty"`
	Input   []byte `json:"input,omitempty"`
	// User is set for the forms as a user.
	User *User `json:"user,omitempty"`
}

// Reply answers a Callback.
type Reply struct {
	ID uint64 `json:"id"`
	// Code: 0 or an error. For SetResourceStatus it explains ExitState.
	Code Code `json:"code,omitempty"`
	// ExitState answers SetResourceStatus(Ex).
	ExitState ExitState `json:"exitState,omitempty"`
	// Otherwise is what is answered if the journal, for which it waits, cannot be
	// written. 0: there is no other answer.
	Otherwise Code `json:"otherwise,omitempty"`
	// Resources answers EnumResources.
	Resources []EnumeratedResource `json:"resources,omitempty"`
}

// EnumeratedResource is one resource that EnumResources found: hEnum of RA section 1.16.
type EnumeratedResource struct {
	Name     string `json:"name"`
	TypeName string `json:"typeName"`
	State    State  `json:"state"`
}

// Restart asks init to kill all in the container, if Nonce is still the process
// there; Emptied proves it. It is repeated until the proof comes.
type Restart struct {
	Container string `json:"container"`
	Nonce     string `json:"nonce,omitempty"`
	Reason    Reason `json:"reason"`
	// AfterDump lets it wait for a dump that is under way, for 150 ms at most.
	AfterDump bool `json:"afterDump,omitempty"`
}

// Dump asks init to write down what processes of a container are doing, if Nonce is
// still the process there. Dumped answers it, or nothing does.
type Dump struct {
	Container string `json:"container"`
	Nonce     string `json:"nonce,omitempty"`
	// Resource is the UID of the resource that it is about, Name its name.
	Resource string `json:"resource"`
	Name     string `json:"name"`
	Reason   Reason `json:"reason"`
	// Processes to look at, 32 at most; none: all of the container. More were left out.
	Processes []DumpProcess `json:"processes,omitempty"`
	More      int           `json:"more,omitempty"`
	// Core asks for core files besides.
	Core bool `json:"core,omitempty"`
}

// Need says whether this host should give the group up. It is a level: each
// Need replaces the one before; Failover false withdraws it. Whether another
// host can take over is for ownership to know; until then restarts go on as
// the policy of the resource says.
type Need struct {
	Failover bool   `json:"failover"`
	Reason   Reason `json:"reason,omitempty"`
	// Resource that is the cause, and people's words for it.
	Resource string `json:"resource,omitempty"`
	Message  string `json:"message,omitempty"`
	// Immediate: nothing can be done here now (the container is lost, the
	// resource said that it cannot come online on this host); do not wait.
	Immediate bool `json:"immediate,omitempty"`
}

// Proven: after Revoked, the stop of every resource is proven. Once for each
// Revoked, unless Granted came in between.
type Proven struct {
	// Epoch that was stopped; 0 if none was granted.
	Epoch int64 `json:"epoch"`
}

// Claim asks to make durable that this host runs the control call. Claimed answers.
type Claim struct {
	ID string `json:"id"`
}

// FinishKind says what is known about a control call.
type FinishKind string

const (
	// FinishCompleted: it ran; Status is the provider's, or the monitor's own.
	FinishCompleted FinishKind = "Completed"
	// FinishRefused: it was not run; Status says why.
	FinishRefused FinishKind = "Refused"
	// FinishTimedOut: it was begun and not ended until the deadline (5910).
	FinishTimedOut FinishKind = "TimedOut"
	// FinishUnknown: it may or may not have run, and is not run again.
	FinishUnknown FinishKind = "OutcomeUnknown"
)

// Finish is the outcome of a control call, once for each Control whose claim was
// not refused. After a restart of the monitor it is repeated until Recorded.
type Finish struct {
	ID      string     `json:"id"`
	Kind    FinishKind `json:"kind"`
	Status  Code       `json:"status"`
	Message string     `json:"message,omitempty"`
	Output  []byte     `json:"output,omitempty"`
	// BytesReturned is what the output would need, with CodeMoreData.
	BytesReturned uint32 `json:"bytesReturned,omitempty"`
}

// Status: what Snapshot says of these resources, or of the group, has changed.
// At most one a Step. When and how it is written is core's affair.
type Status struct {
	Resources []string `json:"resources,omitempty"`
	// Group: the group's state, phase or need changed.
	Group bool `json:"group,omitempty"`
	// Urgent: a state or a failure, not just a checkpoint.
	Urgent bool `json:"urgent,omitempty"`
}

// Journal: the snapshot must be made durable. At most one a Step.
type Journal struct {
	// Barrier: the actions after this one wait until it is.
	Barrier bool `json:"barrier,omitempty"`
}

// Note is a line for the log, and an Event if Event is set.
type Note struct {
	Level    Level  `json:"level"`
	Resource string `json:"resource,omitempty"`
	Reason   Reason `json:"reason"`
	Text     string `json:"text"`
	Event    bool   `json:"event,omitempty"`
}

// Arm: feed Timer at At (CLOCK_BOOTTIME); it replaces the earlier one. 0: never.
type Arm struct {
	At int64 `json:"at"`
}

// Tock answers Tick.
type Tock struct {
	Token uint64 `json:"token"`
}
