// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core

import (
	"encoding/json"
	"time"

	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/engine"
	"github.com/understudy-dev/understudy/monitor/ownership"
)

// Effect is one thing for an edge to do. Exactly one field is set. Effects are
// carried out in their order, without waiting, but for Journal with Barrier.
type Effect struct {
	// Put, Create and Get go to the Lease, on a client and connection of its own.
	Put    *ownership.Put    `json:"put,omitempty"`
	Create *ownership.Create `json:"create,omitempty"`
	Get    *ownership.Get    `json:"get,omitempty"`
	// Journal makes the state durable.
	Journal *Journal `json:"journal,omitempty"`
	// Guard, Kill, Exit and Dump go to the inits.
	Guard *Guard       `json:"guard,omitempty"`
	Kill  *Kill        `json:"kill,omitempty"`
	Exit  *Exit        `json:"exit,omitempty"`
	Dump  *engine.Dump `json:"dump,omitempty"`
	// Stuck tells kubelet, by way of the container's liveness probe.
	Stuck *Stuck `json:"stuck,omitempty"`
	// Expect tells the provider client of a container which process to talk to.
	Expect *Expect `json:"expect,omitempty"`
	// Call, Reply and Tick go to the providers, or to the executor of calls.
	Call  *engine.Call  `json:"call,omitempty"`
	Reply *engine.Reply `json:"reply,omitempty"`
	Tick  *Tick         `json:"tick,omitempty"`
	// FetchPlan reads a plan; Plan answers it.
	FetchPlan *FetchPlan `json:"fetchPlan,omitempty"`
	// Write stores a status or an endpoint; Written answers it.
	Write *Write `json:"write,omitempty"`
	// Log is a line for the cluster log, and an Event if it has an Action.
	Log *Log `json:"log,omitempty"`
	// Arm asks for a Timer.
	Arm *Arm `json:"arm,omitempty"`
	// Done: the host has handed over; the monitor may end.
	Done *Done `json:"done,omitempty"`
}

// Journal makes the state durable. The state is that after the whole Step, taken
// with Core.State.
type Journal struct {
	// ID is to be answered by Persisted; 0 if nobody waits.
	ID int64 `json:"id,omitempty"`
	// Barrier: the effects after this one wait until it is durable.
	Barrier bool `json:"barrier,omitempty"`
}

// Guard sets the guard of one container: absolute CLOCK_BOOTTIME, G2 0 disarms.
type Guard struct {
	Container string `json:"container"`
	Epoch     int64  `json:"epoch"`
	G1        int64  `json:"g1"`
	G2        int64  `json:"g2"`
}

// Kill has init kill all but itself.
type Kill struct {
	Container string `json:"container"`
	Reason    string `json:"reason,omitempty"`
	// AfterDump lets it wait a moment for a dump that is under way.
	AfterDump bool `json:"afterDump,omitempty"`
}

// Exit has init end the container.
type Exit struct {
	Container string `json:"container"`
}

// Stuck: the container was to be emptied, and whether the proof is overdue. At the
// start of a life it is not.
type Stuck struct {
	Container string `json:"container"`
	Stuck     bool   `json:"stuck"`
}

// Expect: the provider process of that nonce is, or will be, in the container.
type Expect struct {
	Container string `json:"container"`
	Nonce     string `json:"nonce"`
}

// FetchPlan reads the plan of that revision. A newer one replaces it; an empty one
// only ends what goes on.
type FetchPlan struct {
	Revision string `json:"revision"`
}

// Write stores one document. At most one is under way for each key.
type Write struct {
	Key string `json:"key"`
	Seq int64  `json:"seq"`
	// Exactly one of these is set.
	Resource *ResourceDocument `json:"resource,omitempty"`
	Group    *GroupDocument    `json:"group,omitempty"`
	Host     *HostDocument     `json:"host,omitempty"`
	Endpoint *EndpointDocument `json:"endpoint,omitempty"`
	Call     *CallDocument     `json:"call,omitempty"`
}

// Condition is a condition without its times, which the writer fills in.
type Condition struct {
	Type    string `json:"type"`
	Status  bool   `json:"status"`
	Reason  string `json:"reason"`
	Message string `json:"message,omitempty"`
	// Absent: there is no such condition now.
	Absent bool `json:"absent,omitempty"`
}

// ResourceDocument is what the owner says of a resource.
type ResourceDocument struct {
	Name  string                       `json:"name"`
	UID   string                       `json:"uid"`
	Owner v1alpha1.ResourceOwnerStatus `json:"owner"`
	// NodeLocalProperties is what Owner.NodeLocalProperties shall be: an object, or nil.
	NodeLocalProperties json.RawMessage `json:"nodeLocalProperties,omitempty"`
	Conditions          []Condition     `json:"conditions"`
}

// GroupDocument is what the owner says of the group.
type GroupDocument struct {
	UID string `json:"uid"`
	// Seen is the version of the group that this goes by. It may not replace what an owner of
	// another epoch says in a later one: that would be forgotten.
	Seen  string                    `json:"seen,omitempty"`
	Owner v1alpha1.GroupOwnerStatus `json:"owner"`
	// Types is all of status.types. It may only be stored if it Continues what is.
	Types      []v1alpha1.GroupTypeStatus `json:"types,omitempty"`
	Conditions []Condition                `json:"conditions"`
}

// HostDocument is what a host says of itself.
type HostDocument struct {
	GroupUID string              `json:"groupUID"`
	Name     string              `json:"name"`
	Host     v1alpha1.HostStatus `json:"host"`
}

// EndpointDocument is the endpoint of the group's Service, as it shall be, or was seen.
type EndpointDocument struct {
	Epoch int64 `json:"epoch"`
	// Address is the owner's pod IP; empty if the group is offline.
	Address  string `json:"address,omitempty"`
	PodName  string `json:"podName,omitempty"`
	PodUID   string `json:"podUID,omitempty"`
	NodeName string `json:"nodeName,omitempty"`
	Ports    []Port `json:"ports"`
}

// Port is one TCP port of the endpoint.
type Port struct {
	Name string `json:"name,omitempty"`
	Port int32  `json:"port"`
}

// CallDocument is the claim or the outcome of a ControlCall.
type CallDocument struct {
	Name  string                    `json:"name"`
	UID   string                    `json:"uid"`
	Owner v1alpha1.ControlCallOwner `json:"owner"`
	// Start is when it was claimed.
	Start time.Time `json:"start"`
	// Queued says for whom a claimed move waits; empty: for nobody.
	Queued string `json:"queued,omitempty"`
	// Finish is nil for a claim.
	Finish *CallFinish `json:"finish,omitempty"`
	// Unclaimed: this outcome holds only if no other host has claimed the call.
	Unclaimed bool `json:"unclaimed,omitempty"`
	// Deadline is when it is given up.
	Deadline time.Time `json:"deadline,omitzero"`
}

// CallFinish is the outcome of a ControlCall.
type CallFinish struct {
	Reason     string    `json:"reason"`
	StatusCode int64     `json:"statusCode"`
	StatusName string    `json:"statusName"`
	Message    string    `json:"message,omitempty"`
	Output     []byte    `json:"output,omitempty"`
	Time       time.Time `json:"time"`
	// BytesReturned is what the output would need, with ERROR_MORE_DATA.
	BytesReturned uint32 `json:"bytesReturned,omitempty"`
}

// Log is a line for the cluster log.
type Log struct {
	Level engine.Level `json:"level"`
	// Component is RES, RCM or OWN: provider, engine or ownership.
	Component string `json:"component"`
	// Resource is a resource's name, if the line is about one.
	Resource string `json:"resource,omitempty"`
	Reason   string `json:"reason"`
	Text     string `json:"text"`
	// Event: an Event on the resource, or on the group, as well.
	Event bool `json:"event,omitempty"`
}

// Arm asks for a Timer at that CLOCK_BOOTTIME; it replaces the earlier one.
type Arm struct {
	At int64 `json:"at"`
}

// Done: nothing runs here any more and nothing will.
type Done struct{}
