// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
)

// instance is one resource: what Open made, and how far it is.
type instance struct {
	// id is the RESID: ours, new in each life of the process. RA 2.0.
	id     string
	handle string
	name   string
	typ    string

	res     Resource
	lane    *lane
	monitor pb.MonitorServiceClient
	// ctx ends at Close, or with the process.
	ctx    context.Context
	cancel context.CancelFunc
	// terminate lets one Terminate in at a time.
	terminate chan struct{}
	// arbitration lets one Arbitrate or Release in at a time.
	arbitration chan struct{}

	mu    sync.Mutex
	state State
	// checkPoint counts the reports of the pending operation.
	checkPoint uint32
	// op is the state-changing operation under way, call and worker: at most one.
	op *operation
	// terminating counts the Terminates under way.
	terminating int
	// epoch under which the resource was last brought online.
	epoch    int64
	closing  bool
	controls *controls
	workers  workers
	// update is the SetProperties under way: at most one.
	update *update
}

// operation is an Online, Offline or Close with the worker that it may have left.
type operation struct {
	kind State // what it is to end in; 0 for Close
	// cancel ends the operation's context, which the monitor's going away does not.
	cancel    context.CancelFunc
	cancelled bool
	// working: the call was answered with 997 and a worker goes on.
	working bool
	// told: somebody other than its caller was told that it is pending, so its end
	// is reported even if it ends in the call.
	told bool
	// failure was signalled before the operation had ended.
	failure *Failure
	// done is closed when neither call nor worker runs any more.
	done chan struct{}
}

// busy is the answer to a second state-changing call. RA 2.0.
func (in *instance) busy() error {
	return status.Errorf(codes.Aborted, "%s: another state-changing call is under way", in.name)
}

// begin makes op the operation under way. The caller holds mu. The context keeps
// the call's deadline but not its cancellation: the monitor may die, and the call
// must go on without it.
func (in *instance) begin(ctx context.Context, kind State) (*operation, context.Context) {
	opCtx, cancel := context.WithCancel(in.ctx)
	op := &operation{kind: kind, cancel: cancel, done: make(chan struct{})}
	in.op = op
	in.checkPoint = 0
	return op, withDeadlineOf(opCtx, ctx)
}

// end says that op is over. The caller holds mu.
func (in *instance) end(op *operation, state State) {
	if in.op == op {
		in.op = nil
	}
	if !op.cancelled {
		in.state = state
	}
	op.cancel()
	close(op.done)
}

// withDeadlineOf gives ctx the deadline of a call, a little earlier so that the
// answer arrives before the caller gives up. Its timer is freed with ctx.
func withDeadlineOf(ctx, call context.Context) context.Context {
	deadline, ok := call.Deadline()
	if !ok {
		return ctx
	}
	left := time.Until(deadline)
	ctx, cancel := context.WithDeadline(ctx, deadline.Add(-min(left/8, 100*time.Millisecond)))
	context.AfterFunc(ctx, cancel)
	return ctx
}

// checkpoint queues a progress report of op.
func (in *instance) checkpoint(op *operation, message string) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.op != op || op.cancelled {
		return ErrTerminated
	}
	in.checkPoint++
	in.report(op, progressReport, &pb.ResourceStatusEx{
		ResourceState: pendingOf(op.kind),
		CheckPoint:    in.checkPoint,
		Message:       clip(message, maxMessage),
	})
	return nil
}

// report queues a SetResourceStatusEx of op, RA 1.2. If the monitor answers that
// the resource was terminated, the worker is told to end.
func (in *instance) report(op *operation, kind reportKind, st *pb.ResourceStatusEx) {
	req := &pb.SetResourceStatusExRequest{ResourceHandle: in.handle, ResourceStatus: st}
	in.lane.push(&report{kind: kind, send: func(ctx context.Context) error {
		resp, err := in.monitor.SetResourceStatusEx(ctx, req)
		if err == nil && resp.GetExitState() == pb.ResourceExitState_RESOURCE_EXIT_STATE_TERMINATE {
			in.mu.Lock()
			if in.op == op {
				in.abandon(op)
				in.state = StateFailed
			}
			in.mu.Unlock()
			in.workers.end()
		}
		return err
	}})
}

// abandon cancels op: what it still does counts for nothing. The caller holds mu.
func (in *instance) abandon(op *operation) {
	op.cancelled = true
	op.cancel()
}

// signalFailure queues a SignalFailure if the resource is online; if it is just
// coming online, once it is: a program may end sooner than its Online.
func (in *instance) signalFailure(f Failure) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.op != nil && in.op.kind == StateOnline && in.op.failure == nil {
		in.op.failure = &f
	}
	if in.state == StateOnline && in.op == nil && in.terminating == 0 {
		in.fail(f)
	}
}

// fail queues the SignalFailure of an online resource. The caller holds mu.
func (in *instance) fail(f Failure) {
	if f.Type == 0 {
		f.Type = FailureGeneral
	}
	if f.Exited {
		in.state = StateFailed // what Open tells a restarted monitor
	}
	req := &pb.SignalFailureRequest{
		ResourceHandle:               in.handle,
		FailureType:                  f.Type,
		ApplicationSpecificErrorCode: f.AppCode,
		Exited:                       f.Exited,
		Message:                      clip(f.Message, maxMessage),
	}
	in.lane.push(&report{kind: failureReport, send: func(ctx context.Context) error {
		resp, err := in.monitor.SignalFailure(ctx, req)
		if err == nil && Code(resp.GetStatus()) == ErrorInvalidState {
			return errNotYet
		}
		return err
	}})
}

// snapshot is what a repeated Open answers. An operation whose caller died goes
// on, and its end will be reported to whoever asked here.
func (in *instance) snapshot() *pb.OpenResponse {
	in.mu.Lock()
	defer in.mu.Unlock()
	state := in.state
	if in.op != nil {
		in.op.told = true
	}
	if in.terminating > 0 {
		state = StateFailed // on its way down, whatever it was
	}
	return &pb.OpenResponse{ResourceId: in.id, State: state, CheckPoint: in.checkPoint}
}

// pendingOf is the pending state on the way to a state.
func pendingOf(kind State) State {
	if kind == StateOnline {
		return StateOnlinePending
	}
	return StateOfflinePending
}
