// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
)

// ApplicationState is CLUSTER_RESOURCE_APPLICATION_STATE, RA 1.12.
type ApplicationState = pb.ApplicationState

// The application states, RA 1.12.
const (
	ApplicationOSHeartBeat = pb.ApplicationState_APPLICATION_STATE_OS_HEARTBEAT
	ApplicationReady       = pb.ApplicationState_APPLICATION_STATE_READY
)

// LockedModeKeepQueue is LOCKED_MODE_FLAGS_DONT_REMOVE_FROM_MOVE_QUEUE, RA 1.19: moves
// that wait for the group go on waiting.
const LockedModeKeepQueue uint32 = 0x1

// LockedMode is what SetLockedMode reports, RA 1.10 and 1.19.
type LockedMode struct {
	// Locked enters locked mode, or leaves it.
	Locked bool
	// Reason is the provider's own; there is no public list.
	Reason uint32
	// Flags: LockedModeKeepQueue or 0.
	Flags uint32
}

// The callbacks below wait for the monitor's answer, as long as their context lets
// them, also for a monitor that is away and comes back. A code other than 0 is an
// *Error with that code. They may be called from any goroutine, but not from Open.

// SetLockedMode says that the resource is, or is no longer, locked in its state and
// place: moves and stops by people are refused meanwhile, never those that keep the
// group exclusive. 5023 if it is not online. RA 1.10, 1.19.
func (h *Handle) SetLockedMode(ctx context.Context, m LockedMode) error {
	return h.in.ask(ctx, "SetResourceLockedModeEx", func(ctx context.Context) (coded, error) {
		return h.in.monitor.SetResourceLockedModeEx(ctx, &pb.SetResourceLockedModeExRequest{
			ResourceHandle: h.in.handle, LockedModeEnabled: m.Locked, LockedModeReason: m.Reason, LockedModeFlags: m.Flags,
		})
	})
}

// SetInternalState says whether an application state is active, in whatever state the
// resource is otherwise. 5023 if it is neither online nor on the way. RA 1.12.
func (h *Handle) SetInternalState(ctx context.Context, state ApplicationState, active bool) error {
	return h.in.ask(ctx, "SetInternalState", func(ctx context.Context) (coded, error) {
		return h.in.monitor.SetInternalState(ctx, &pb.SetInternalStateRequest{
			ResourceHandle: h.in.handle, StateType: state, Active: active,
		})
	})
}

// SetNodeLocalProperties publishes values that live with the owner only; they are
// merged by name into those of before, and nil takes a name away. At most 16 KiB of
// JSON; no secrets. RA 1.11 SetResourceInMemoryNodeLocalProperties.
func (h *Handle) SetNodeLocalProperties(ctx context.Context, properties map[string]any) error {
	list, err := structpb.NewStruct(properties)
	if err != nil {
		return Errorf(ErrorInvalidParameter, "SetNodeLocalProperties: %v", err)
	}
	return h.in.ask(ctx, "SetResourceInMemoryNodeLocalProperties", func(ctx context.Context) (coded, error) {
		return h.in.monitor.SetResourceInMemoryNodeLocalProperties(ctx,
			&pb.SetResourceInMemoryNodeLocalPropertiesRequest{ResourceHandle: h.in.handle, PropertyList: list})
	})
}

// RaiseTypeNotification publishes a notification of the resource's type, at most 4 KiB.
// It may be raised twice: if the monitor dies before it answers, it is said again. RA 1.13.
func (h *Handle) RaiseTypeNotification(ctx context.Context, payload []byte) error {
	return h.in.ask(ctx, "RaiseResTypeNotification", func(ctx context.Context) (coded, error) {
		return h.in.monitor.RaiseResTypeNotification(ctx, &pb.RaiseResTypeNotificationRequest{
			ResourceType: h.in.typ, Payload: payload,
		})
	})
}

// DumpProcess names a process that is dumped when the resource fails or hangs.
type DumpProcess struct {
	// Name for people, at most 63 bytes of printable ASCII but \ " < > &.
	Name string
	// PID as the provider sees it.
	PID uint32
}

// AddDumpProcess has a process dumped with the resource. RA 1.14.
func (h *Handle) AddDumpProcess(ctx context.Context, p DumpProcess) error {
	return h.changeDumpProcess(ctx, p, true)
}

// RemoveDumpProcess takes that back. RA 1.14.
func (h *Handle) RemoveDumpProcess(ctx context.Context, p DumpProcess) error {
	return h.changeDumpProcess(ctx, p, false)
}

func (h *Handle) changeDumpProcess(ctx context.Context, p DumpProcess, add bool) error {
	return h.in.ask(ctx, "ChangeResourceProcessForDumps", func(ctx context.Context) (coded, error) {
		return h.in.monitor.ChangeResourceProcessForDumps(ctx, &pb.ChangeResourceProcessForDumpsRequest{
			ResourceHandle: h.in.handle, ProcessName: p.Name, ProcessId: p.PID, IsAdd: add,
		})
	})
}

// AddTypeDumpProcess has a process dumped with every resource of the type. RA 1.15.
func (h *Handle) AddTypeDumpProcess(ctx context.Context, p DumpProcess) error {
	return h.changeTypeDumpProcess(ctx, p, true)
}

// RemoveTypeDumpProcess takes that back. RA 1.15.
func (h *Handle) RemoveTypeDumpProcess(ctx context.Context, p DumpProcess) error {
	return h.changeTypeDumpProcess(ctx, p, false)
}

func (h *Handle) changeTypeDumpProcess(ctx context.Context, p DumpProcess, add bool) error {
	return h.in.ask(ctx, "ChangeResTypeProcessForDumps", func(ctx context.Context) (coded, error) {
		return h.in.monitor.ChangeResTypeProcessForDumps(ctx, &pb.ChangeResTypeProcessForDumpsRequest{
			ResourceTypeName: h.in.typ, ProcessName: p.Name, ProcessId: p.PID, IsAdd: add,
		})
	})
}

// RequestDump asks for a dump after a delay; if it is for the call in progress, one
// that ends in time cancels it. RA 1.19.
func (h *Handle) RequestDump(ctx context.Context, delay time.Duration, forCallInProgress bool) error {
	return h.in.ask(ctx, "RequestDump", func(ctx context.Context) (coded, error) {
		return h.in.monitor.RequestDump(ctx, &pb.RequestDumpRequest{
			ResourceHandle: h.in.handle, DumpDueToCallInProgress: forCallInProgress, DumpDelayInMs: milliseconds(delay),
		})
	})
}

// coded is an answer with a status of the contract.
type coded interface{ GetStatus() uint32 }

// ask makes a callback until it is answered or the context ends.
func (in *instance) ask(ctx context.Context, what string, call func(context.Context) (coded, error)) error {
	return ask(ctx, in.name+": "+what, call)
}

func ask(ctx context.Context, what string, call func(context.Context) (coded, error)) error {
	pause := retryFirst
	for {
		attempt, cancel := context.WithTimeout(ctx, attemptTimeout)
		answer, err := call(attempt)
		cancel()
		switch {
		case err == nil && answer.GetStatus() == 0:
			return nil
		case err == nil:
			return Errorf(Code(answer.GetStatus()), "%s: %s", what, Code(answer.GetStatus()))
		case !unanswered(err):
			return fmt.Errorf("%s: %w", what, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: no answer: %w", what, ctx.Err())
		case <-time.After(pause):
		}
		pause = min(2*pause, retryMost)
	}
}

// milliseconds is a duration on the wire.
func milliseconds(d time.Duration) uint32 {
	return uint32(min(max(d.Milliseconds(), 0), 1<<32-1))
}
