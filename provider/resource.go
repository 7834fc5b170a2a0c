// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
)

// State is CLUSTER_RESOURCE_STATE, RA 3.5.
type State = pb.ResourceState

// The states of a resource, RA 3.1 and 3.5.
const (
	StateOnline                     = pb.ResourceState_RESOURCE_STATE_ONLINE
	StateOffline                    = pb.ResourceState_RESOURCE_STATE_OFFLINE
	StateFailed                     = pb.ResourceState_RESOURCE_STATE_FAILED
	StateOnlinePending              = pb.ResourceState_RESOURCE_STATE_ONLINE_PENDING
	StateOfflinePending             = pb.ResourceState_RESOURCE_STATE_OFFLINE_PENDING
	StateCannotComeOnlineOnAnyNode  = pb.ResourceState_RESOURCE_STATE_CANNOT_COME_ONLINE_ON_ANY_NODE
	StateCannotComeOnlineOnThisNode = pb.ResourceState_RESOURCE_STATE_CANNOT_COME_ONLINE_ON_THIS_NODE
)

// Flags of a status report, RA 3.2.
const (
	FlagOfflineBusy                 uint32 = 0x1
	FlagOfflineSourceThrottled      uint32 = 0x2
	FlagOfflineDestinationThrottled uint32 = 0x4
	FlagOfflineDestinationRejected  uint32 = 0x8
	FlagInsufficientMemory          uint32 = 0x10
	FlagInsufficientProcessor       uint32 = 0x20
	FlagInsufficientOther           uint32 = 0x40
	FlagInvalidParameters           uint32 = 0x80
	FlagNetworkNotAvailable         uint32 = 0x100
)

// Flags of Open, RA 2.4.
const (
	// OpenRecoverMonitorState: adopt what runs, do not stop it.
	OpenRecoverMonitorState uint32 = 0x1
	// OpenDontDeleteTempDisk has no meaning here.
	OpenDontDeleteTempDisk uint32 = 0x2
)

// Type is a resource type.
type Type interface {
	// Open makes the instance data of a resource, RA 2.1. It must not touch what
	// may be running; a resource that can be found running implements Prober.
	// It is called once for a resource in the life of the process, until Close.
	Open(ctx context.Context, args OpenArgs) (Resource, error)
}

// TypeFunc is a Type that is just its Open.
type TypeFunc func(ctx context.Context, args OpenArgs) (Resource, error)

// Open calls f.
func (f TypeFunc) Open(ctx context.Context, args OpenArgs) (Resource, error) { return f(ctx, args) }

// Starter is a Type that has to be prepared: once, before its first Open. RA 2.1 Startup.
type Starter interface {
	Startup(ctx context.Context) error
}

// Work is what a worker does, RA 1.18 WorkerStartRoutine. The context ends when
// the resource is terminated (ClusWorkerCheckTerminate): return then, soon. The
// SDK reports the end: nil is the state that was asked for, an error is Failed.
type Work func(ctx context.Context, w *Worker) error

// Resource is one instance, RA 2.1. Every call should return within 300 ms, IsAlive
// within 50 ms. The SDK never runs two of Online, Offline and Close at once for one
// resource. Terminate may run at the same time as any call but Open, Close and
// itself; LooksAlive, IsAlive and controls may run at the same time as any other.
type Resource interface {
	// Online brings the resource online, at once (no Work) or by a worker. The
	// context ends when the resource is terminated or the call's deadline comes,
	// not when the monitor goes away. After an error, Terminate follows.
	Online(ctx context.Context, args OnlineArgs) (Work, error)
	// Offline stops it gracefully. Offline means that nothing of it is left.
	Offline(ctx context.Context, args OfflineArgs) (Work, error)
	// Terminate makes it unavailable now. Nil means checked: nothing of it is left
	// running. It may come in any state, and again and again. TerminateReason(ctx) says why.
	Terminate(ctx context.Context) error
	// LooksAlive is the quick, cursory check.
	LooksAlive(ctx context.Context) bool
	// IsAlive is the full check: nil is alive, an error says why not.
	IsAlive(ctx context.Context) error
	// Close frees what Open made. The resource is offline by then.
	Close(ctx context.Context) error
}

// Prober is a Resource that may be found running when it is opened, because its
// effect can outlive the provider. The SDK asks once, right after Open.
type Prober interface {
	Probe(ctx context.Context) (State, error)
}

// EventReporter is a Resource that reports its failures by Handle.SignalFailure,
// so that LooksAlive is not polled: RA 2.3, EventHandle.
type EventReporter interface {
	EventHandle() bool
}

// Controller is a Resource that serves control codes of its own, RA 6.2.
type Controller interface {
	// Control serves a code, at once or by a ControlWork. A code that it does not
	// know is ErrorInvalidFunction.
	Control(ctx context.Context, call ControlCall) ([]byte, ControlWork, error)
}

// ControlWork ends a control call later, RA 1.5. Its context ends at Close.
type ControlWork func(ctx context.Context) ([]byte, error)

// ControlCall is a control code and its input, RA 6.1.
type ControlCall struct {
	// Code is laid out as in RA 6.1.
	Code uint32
	// In is the input buffer.
	In []byte
	// OutSize is the most bytes that the answer may have.
	OutSize uint32
	// User is who asks, if the call is made as a user; nil if not. RA 2.1.
	User *User

	extend func(ctx context.Context, timeout time.Duration) error
}

// Extend gives the call a new time limit, which counts from now: a ControlWork that
// goes on longer than its call was given asks for it in time. 87 once the call has
// ended, 5910 once its time was over. RA 1.7, 1.8.
func (c ControlCall) Extend(ctx context.Context, timeout time.Duration) error {
	return c.extend(ctx, timeout)
}

// User stands for TokenHandle, RA 2.1: names that the API server vouches for.
type User struct {
	Name, UID string
	Groups    []string
}

// Canceler is a Resource whose pending operation can be cancelled, RA 2.1 Cancel.
type Canceler interface {
	// Cancel cancels a queued or pending operation. Nil: it is cancelled.
	Cancel(ctx context.Context) error
}

// OpenArgs are the arguments of Open, RA 2.1.
type OpenArgs struct {
	// Name of the resource, namespace/name, for logs.
	Name string
	// Type is the name of the resource type.
	Type string
	// Flags: Open constants.
	Flags uint32
	// Properties are the private properties of the resource.
	Properties *structpb.Struct
	// Handle leads back to the monitor. Keep it.
	Handle *Handle
}

// OnlineArgs are the arguments of Online, RA 2.1.
type OnlineArgs struct {
	// Flags of RA 2.4.
	Flags uint32
	// Properties are the private properties as they are now; those of Open may be old.
	Properties *structpb.Struct
	// Epoch of ownership: larger than that of every owner before.
	Epoch int64
	// Context is what the start is part of.
	Context OperationContext
}

// OfflineArgs are the arguments of Offline, RA 2.1.
type OfflineArgs struct {
	// Flags of RA 2.4.
	Flags uint32
	// Destination is the host that is to own the resource next; may be empty.
	Destination string
	// Reason is why, and Context what the stop is part of.
	Reason  StateChangeReason
	Context OperationContext
}
