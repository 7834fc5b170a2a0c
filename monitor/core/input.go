// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core

import (
	"encoding/json"
	"time"

	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/engine"
	"github.com/understudy-dev/understudy/monitor/ownership"
)

// Input is one thing that an edge saw. Exactly one field is set; the JSON form is
// what a recording holds.
type Input struct {
	// Started is the first input of a life.
	Started *Started `json:"started,omitempty"`
	// Timer: the time of the last Arm has come.
	Timer *Timer `json:"timer,omitempty"`
	// Hello, Guarded, Emptied, Stopping, InitGone and Dumped come from the inits.
	Hello    *Hello         `json:"hello,omitempty"`
	Guarded  *Guarded       `json:"guarded,omitempty"`
	Emptied  *Emptied       `json:"emptied,omitempty"`
	Stopping *Stopping      `json:"stopping,omitempty"`
	InitGone *InitGone      `json:"initGone,omitempty"`
	Dumped   *engine.Dumped `json:"dumped,omitempty"`
	// ProviderUp, ProviderDown, ProviderAbsent, Returned, Callback and Tick come from
	// the providers and the executor of calls.
	ProviderUp     *engine.ProviderUp   `json:"providerUp,omitempty"`
	ProviderDown   *engine.ProviderDown `json:"providerDown,omitempty"`
	ProviderAbsent *ProviderAbsent      `json:"providerAbsent,omitempty"`
	Returned       *engine.Returned     `json:"returned,omitempty"`
	Callback       *engine.Callback     `json:"callback,omitempty"`
	Tick           *Tick                `json:"tick,omitempty"`
	// Observed, Wrote and Persisted answer ownership.
	Observed  *ownership.Observed  `json:"observed,omitempty"`
	Wrote     *ownership.Wrote     `json:"wrote,omitempty"`
	Persisted *ownership.Persisted `json:"persisted,omitempty"`
	// Group, Plan and ControlCall are what the API server says.
	Group       *Group       `json:"group,omitempty"`
	Plan        *Plan        `json:"plan,omitempty"`
	ControlCall *ControlCall `json:"controlCall,omitempty"`
	// Endpoint is the endpoint of the group's Service as it was last seen.
	Endpoint *EndpointDocument `json:"endpoint,omitempty"`
	// Written answers a Write.
	Written *Written `json:"written,omitempty"`
	// End: the monitor was asked to end.
	End *End `json:"end,omitempty"`
}

// Started is the first input.
type Started struct{}

// Timer has no content: the clock comes with every input.
type Timer struct{}

// Tick is the answer to the effect of that name, back from the executor.
type Tick struct {
	ID int64 `json:"id"`
}

// Hello: the init of a container introduced itself.
type Hello struct {
	Container string `json:"container"`
	Nonce     string `json:"nonce"`
	// Fresh: a new init life, nothing runs there yet.
	Fresh bool `json:"fresh,omitempty"`
	// Epoch, G1 and G2 are the guard that it holds.
	Epoch int64 `json:"epoch,omitempty"`
	G1    int64 `json:"g1,omitempty"`
	G2    int64 `json:"g2,omitempty"`
}

// Guarded: a guard is in force.
type Guarded struct {
	Container string `json:"container"`
	Nonce     string `json:"nonce"`
	Epoch     int64  `json:"epoch"`
	G2        int64  `json:"g2"`
}

// Emptied: init killed all but itself.
type Emptied struct {
	Container string `json:"container"`
	Nonce     string `json:"nonce"`
}

// Stopping: the container was asked to end.
type Stopping struct {
	Container string `json:"container"`
	Reason    string `json:"reason,omitempty"`
}

// InitGone: the connection to the init of a container ended.
type InitGone struct {
	Container string `json:"container"`
	// Cut: this side ended it, so that it says nothing about init.
	Cut bool `json:"cut,omitempty"`
}

// ProviderAbsent: a provider that is expected does not come up.
type ProviderAbsent struct {
	Container string `json:"container"`
	Reason    string `json:"reason"`
}

// Group is the ResourceGroup as it was last seen, as far as monitors care.
type Group struct {
	// Gone: there is no such group (any more).
	Gone bool `json:"gone,omitempty"`
	// Deleting: it is being deleted, for which there is no way back.
	Deleting bool `json:"deleting,omitempty"`
	// UID and ResourceVersion of the object.
	UID             string `json:"uid,omitempty"`
	ResourceVersion string `json:"resourceVersion,omitempty"`
	// Status of the object.
	Status v1alpha1.ResourceGroupStatus `json:"status,omitzero"`
}

// Plan answers FetchPlan.
type Plan struct {
	Revision string `json:"revision"`
	// Plan is nil if it could not be read; Error says why.
	Plan  *planv1.Plan `json:"plan,omitempty"`
	Error string       `json:"error,omitempty"`
}

// ControlCall is a ControlCall of this group as it was last seen.
type ControlCall struct {
	UID  string `json:"uid"`
	Name string `json:"name"`
	// Gone: it was deleted.
	Gone bool `json:"gone,omitempty"`
	// ResourceName or TypeName is the target; neither: the group.
	ResourceName string `json:"resourceName,omitempty"`
	TypeName     string `json:"typeName,omitempty"`
	// Code is a name or a number.
	Code string `json:"code,omitempty"`
	// HostName is the pod or node on which it is to run; empty: the owner's.
	HostName    string `json:"hostName,omitempty"`
	Destination string `json:"destination,omitempty"`
	// IgnoreLockedMode and Queue of a move: what locked mode means for it.
	IgnoreLockedMode bool `json:"ignoreLockedMode,omitempty"`
	Queue            bool `json:"queue,omitempty"`
	// Read: the caller may only read.
	Read bool `json:"read,omitempty"`
	// Input is JSON, and InputBytes what is given instead of it. Of JSON that is too long
	// InputSize is all that is brought along.
	Input      json.RawMessage `json:"input,omitempty"`
	InputBytes []byte          `json:"inputBytes,omitempty"`
	InputSize  int             `json:"inputSize,omitempty"`
	// AsUser is who asks; nil: nobody in particular.
	AsUser *engine.User `json:"asUser,omitempty"`
	// StartBy is until when it may be claimed, zero if there is no such time.
	StartBy time.Time `json:"startBy,omitzero"`
	// TimeoutMilliseconds counts from the claim.
	TimeoutMilliseconds int64 `json:"timeoutMilliseconds,omitempty"`
	// Start is when it was claimed, zero if it is not.
	Start time.Time `json:"start,omitzero"`
	// Owner is the claim, nil if there is none.
	Owner *v1alpha1.ControlCallOwner `json:"owner,omitempty"`
	// Finished: its outcome stands.
	Finished bool `json:"finished,omitempty"`
}

// WriteOutcome is how a Write ended.
type WriteOutcome string

const (
	// WriteDone: it is stored.
	WriteDone WriteOutcome = "Done"
	// WriteSuperseded: the store holds something that wins: a larger epoch, another
	// claim, a finished call, or the object is gone. It is not repeated.
	WriteSuperseded WriteOutcome = "Superseded"
	// WriteStale: the object changed meanwhile; its new state comes as an input of
	// its own before this one. The write may be made anew.
	WriteStale WriteOutcome = "Stale"
	// WriteFailed: it is not known to be stored; it is repeated after a pause.
	WriteFailed WriteOutcome = "Failed"
)

// Written answers a Write, exactly once.
type Written struct {
	Key     string       `json:"key"`
	Seq     int64        `json:"seq"`
	Outcome WriteOutcome `json:"outcome"`
	Message string       `json:"message,omitempty"`
}

// End: the monitor was asked to end, to be replaced or with its pod.
type End struct {
	Reason string `json:"reason"`
}
