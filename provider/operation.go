// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"google.golang.org/grpc/status"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
)

// guarded runs a call of the provider's and turns a panic into 5930, RA 2.0.
func guarded[T any](what string, f func() (T, error)) (result T, err error) {
	defer func() {
		if r := recover(); r != nil {
			fmt.Fprintf(os.Stderr, "%s: panic: %v\n%s", what, r, debug.Stack())
			err = Errorf(ErrorExceptionInCall, "%s: panic: %v", what, r)
		}
	}()
	return f()
}

// outcome of the call part of a state-changing operation.
type outcome struct {
	code    Code
	message string
	err     error // a gRPC status instead
}

// start runs an Online or Offline and waits for the answer, or for the caller to
// go away: then the operation goes on, and a repeated call learns how far it is.
func (in *instance) start(
	ctx context.Context, kind State, epoch int64, call func(context.Context) (Work, error),
) outcome {
	in.mu.Lock()
	switch {
	case in.closing || in.terminating > 0:
		in.mu.Unlock()
		return outcome{err: in.busy()}
	case in.op != nil && in.op.kind == kind && !in.op.cancelled && (kind == StateOffline || epoch == in.epoch):
		in.op.told = true // a repetition continues where it was left off
		in.mu.Unlock()
		return outcome{code: ErrorIOPending}
	case in.op != nil:
		in.mu.Unlock()
		return outcome{err: in.busy()}
	case in.state == kind && kind == StateOnline && epoch != in.epoch:
		defer in.mu.Unlock()
		message := fmt.Sprintf("already online under epoch %d, asked for %d: terminate it first", in.epoch, epoch)
		return outcome{code: ErrorInvalidState, message: message}
	case in.state == kind:
		in.mu.Unlock()
		return outcome{code: Success}
	}
	op, opCtx := in.begin(ctx, kind)
	if kind == StateOnline {
		in.epoch = epoch
	}
	in.state = pendingOf(kind)
	in.lane.supersede()
	in.lane.hold() // a report must not overtake the answer that it refers to
	in.mu.Unlock()
	defer in.lane.release()

	answer := make(chan outcome, 1)
	go func() {
		work, err := guarded(in.name, func() (Work, error) { return call(opCtx) })
		answer <- in.settle(op, work, err)
	}()
	select {
	case o := <-answer:
		return o
	case <-ctx.Done():
		return outcome{err: status.FromContextError(ctx.Err()).Err()}
	}
}

// settle ends the call part of op and starts its worker if there is one.
func (in *instance) settle(op *operation, work Work, err error) outcome {
	failed := asError(err)
	// The provider's code runs without mu: it may hold a lock of its own while it
	// calls back.
	eventHandle := failed == nil && work == nil && op.kind == StateOnline && in.eventHandle()
	in.mu.Lock()
	defer in.mu.Unlock()
	if op.cancelled && failed == nil {
		failed = Errorf(ErrorOperationAborted, "terminated meanwhile")
	}
	if failed == nil && work != nil {
		op.working = true
		// The deadline was the call's; the worker has none but PendingTimeout.
		workCtx, cancel := context.WithCancel(in.ctx)
		callCancel := op.cancel
		op.cancel = func() { callCancel(); cancel() }
		go in.work(workCtx, op, work)
		return outcome{code: ErrorIOPending}
	}
	if op.told && !op.cancelled {
		in.reportEnd(op, failed, eventHandle)
	}
	in.finish(op, failed)
	if failed != nil {
		return outcome{code: failed.Code, message: failed.Message}
	}
	return outcome{code: Success}
}

// work runs a worker and reports its end, RA 1.18 and 2.2.
func (in *instance) work(ctx context.Context, op *operation, work Work) {
	_, err := guarded(in.name, func() (struct{}, error) {
		return struct{}{}, work(ctx, &Worker{in: in, op: op})
	})
	failed := asError(err)
	eventHandle := failed == nil && op.kind == StateOnline && in.eventHandle()
	in.mu.Lock()
	defer in.mu.Unlock()
	if !op.cancelled {
		in.reportEnd(op, failed, eventHandle)
	}
	in.finish(op, failed)
}

// reportEnd queues the final report of op. The caller holds mu.
func (in *instance) reportEnd(op *operation, failed *Error, eventHandle bool) {
	in.checkPoint++
	st := &pb.ResourceStatusEx{ResourceState: op.kind, CheckPoint: in.checkPoint, EventHandle: eventHandle}
	if failed != nil {
		st.ResourceState = StateFailed
		if failed.State != 0 {
			st.ResourceState = failed.State
		}
		st.ApplicationSpecificErrorCode = failed.AppCode
		if failed.AppCode == 0 {
			st.ApplicationSpecificErrorCode = uint32(failed.Code)
		}
		st.Flags, st.Message = failed.Flags, failed.Message
	}
	in.report(op, finalReport, st)
}

// finish ends op, and signals the failure that came before it had ended. The caller
// holds mu.
func (in *instance) finish(op *operation, failed *Error) {
	state := op.kind
	if failed != nil {
		state = StateFailed
	}
	cancelled := op.cancelled
	in.end(op, state)
	if failed == nil && !cancelled && op.failure != nil {
		in.fail(*op.failure)
	}
}

// eventHandle says whether failures are reported without polling, RA 2.3.
func (in *instance) eventHandle() bool {
	r, ok := in.res.(EventReporter)
	return ok && r.EventHandle()
}

// runTerminate makes the resource unavailable now, and nil means proven: neither
// the resource nor a call or worker that could start it again is left.
func (in *instance) runTerminate(ctx context.Context) error {
	in.mu.Lock()
	in.terminating++
	op, u := in.op, in.update
	if op != nil {
		in.abandon(op)
	}
	if u != nil {
		u.cancel()
	}
	in.lane.supersede()
	ws := in.workers.end()
	in.mu.Unlock()
	// Detached like any other call: the monitor may die, the stop goes on.
	termCtx := withReason(withDeadlineOf(in.ctx, ctx), TerminateReason(ctx))
	answer := make(chan error, 1)
	go func() {
		err := in.terminateAll(termCtx, op, u, ws)
		in.mu.Lock()
		in.terminating--
		if err == nil && in.op == nil {
			in.state = StateOffline
		} else if in.op == nil {
			in.state = StateFailed
		}
		in.mu.Unlock()
		answer <- err
	}()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}

// terminateAll calls the provider's Terminate, again after what was under way has
// ended: it may have started something before it noticed.
func (in *instance) terminateAll(ctx context.Context, op *operation, u *update, ws []*BackgroundWorker) error {
	select {
	case in.terminate <- struct{}{}:
		defer func() { <-in.terminate }()
	case <-ctx.Done():
		return Errorf(ErrorResourceCallTimedOut, "an earlier Terminate of %s still runs", in.name)
	}
	call := func() error {
		_, err := guarded(in.name, func() (struct{}, error) { return struct{}{}, in.res.Terminate(ctx) })
		return err
	}
	err := call()
	if op == nil && u == nil && len(ws) == 0 {
		return err
	}
	var ends []<-chan struct{}
	if op != nil {
		ends = append(ends, op.done)
	}
	if u != nil {
		ends = append(ends, u.done)
	}
	for _, w := range ws {
		ends = append(ends, w.done)
	}
	for _, end := range ends {
		select {
		case <-end:
		case <-ctx.Done():
			return errors.Join(err, Errorf(ErrorResourceCallTimedOut,
				"what was under way when %s was terminated still runs", in.name))
		}
	}
	return call()
}
