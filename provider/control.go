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

const (
	// maxBuffer is the most bytes of a control call's buffers.
	maxBuffer = 64 << 10
	// maxControls is how many control calls of one resource, or type, may be open.
	maxControls = 64
)

// controls are the control calls of a resource, or of a type, that are under way, or
// whose end is not yet delivered.
type controls struct {
	name string
	// ctx is that of their work.
	ctx  context.Context
	lane *lane
	// end and extend are the two callbacks of RA 1.5 to 1.8, as they are for a
	// resource or for a type.
	end    func(ctx context.Context, id int64, o *pb.ControlOutput) error
	extend func(ctx context.Context, id int64, timeout uint32) (coded, error)

	mu   sync.Mutex
	open map[int64]*control
}

// control is one control call.
type control struct {
	code uint32
	// later: Begin was answered, the end is to come.
	later bool
}

// serve is the provider's own part of a control call.
type serve func(ctx context.Context, call ControlCall) ([]byte, ControlWork, error)

// begin serves a Begin, RA 2.1 and 6.3; later: the end is to come.
func (c *controls) begin(
	ctx context.Context, input *pb.ControlInput, id int64, user *pb.UserIdentity, f serve,
) (o *pb.ControlOutput, later bool, err error) {
	if len(input.GetInBuffer()) > maxBuffer {
		return &pb.ControlOutput{Status: uint32(ErrorInvalidParameter)}, false, nil
	}
	c.mu.Lock()
	if open := c.open[id]; open != nil {
		defer c.mu.Unlock()
		if !open.later || open.code != input.GetControlCode() {
			return nil, false, status.Errorf(codes.Aborted, "%s: a control call with context %d is under way", c.name, id)
		}
		return &pb.ControlOutput{}, true, nil
	}
	if len(c.open) >= maxControls {
		c.mu.Unlock()
		return &pb.ControlOutput{Status: uint32(ErrorSystemResourcesLacking)}, false, nil
	}
	open := &control{code: input.GetControlCode()}
	c.open[id] = open
	c.mu.Unlock()

	call := controlCall(input, user)
	call.extend = func(ctx context.Context, timeout time.Duration) error {
		return ask(ctx, c.name+": ExtendControlCall", func(ctx context.Context) (coded, error) {
			return c.extend(ctx, id, milliseconds(timeout))
		})
	}
	var work ControlWork
	out, err := guarded(c.name, func() (out []byte, err error) {
		out, work, err = f(ctx, call)
		return out, err
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil || work == nil {
		delete(c.open, id)
		return controlOutput(call, out, err), false, nil
	}
	open.later = true
	go c.finish(id, call, work)
	return &pb.ControlOutput{}, true, nil
}

// finish runs the rest of a control call and queues its end, RA 1.5 and 1.6.
func (c *controls) finish(id int64, call ControlCall, work ControlWork) {
	out, err := guarded(c.name, func() ([]byte, error) { return work(c.ctx) })
	o := controlOutput(call, out, err)
	c.lane.push(&report{kind: endReport, send: func(ctx context.Context) error {
		err := c.end(ctx, id, o)
		if !unanswered(err) {
			c.mu.Lock()
			delete(c.open, id)
			c.mu.Unlock()
		}
		return err
	}})
}

// once serves a control code that has to be answered in the same call: RA 2.1
// ResourceControl and ResourceTypeControl, of before RA's version 3.
func once(ctx context.Context, name string, input *pb.ControlInput, f serve) *pb.ControlOutput {
	if len(input.GetInBuffer()) > maxBuffer {
		return &pb.ControlOutput{Status: uint32(ErrorInvalidParameter)}
	}
	call := controlCall(input, nil)
	call.extend = func(context.Context, time.Duration) error {
		return Errorf(ErrorInvalidFunction, "%s: this call was not begun with a context", name)
	}
	out, err := guarded(name, func() ([]byte, error) {
		out, work, err := f(ctx, call)
		if err != nil || work == nil {
			return out, err
		}
		return work(ctx)
	})
	return controlOutput(call, out, err)
}

func controlCall(input *pb.ControlInput, user *pb.UserIdentity) ControlCall {
	call := ControlCall{
		Code: input.GetControlCode(), In: input.GetInBuffer(), OutSize: min(input.GetOutBufferSize(), maxBuffer),
	}
	if user != nil {
		call.User = &User{Name: user.GetUsername(), UID: user.GetUid(), Groups: user.GetGroups()}
	}
	return call
}

// controlOutput is what a control call answers, RA 2.1 ResourceControl.
func controlOutput(call ControlCall, out []byte, err error) *pb.ControlOutput {
	if e := asError(err); e != nil {
		return &pb.ControlOutput{Status: uint32(e.Code)}
	}
	if uint32(min(len(out), maxBuffer+1)) > call.OutSize {
		return &pb.ControlOutput{Status: uint32(ErrorMoreData), BytesReturned: uint32(min(len(out), 1<<31))}
	}
	return &pb.ControlOutput{OutBuffer: out, BytesReturned: uint32(len(out))}
}

// newControls are those of a resource.
func (in *instance) newControls() *controls {
	return &controls{
		name: in.name, ctx: in.ctx, lane: in.lane, open: map[int64]*control{},
		end: func(ctx context.Context, id int64, o *pb.ControlOutput) error {
			_, err := in.monitor.EndControlCall(ctx, &pb.EndControlCallRequest{
				Context: id, Status: o.GetStatus(), OutBuffer: o.GetOutBuffer(), BytesReturned: o.GetBytesReturned(),
			})
			return err
		},
		extend: func(ctx context.Context, id int64, timeout uint32) (coded, error) {
			return in.monitor.ExtendControlCall(ctx, &pb.ExtendControlCallRequest{Context: id, NewTimeoutInMs: timeout})
		},
	}
}

// serveControl is the resource's own part of a control call.
func (in *instance) serveControl(ctx context.Context, call ControlCall) ([]byte, ControlWork, error) {
	c, ok := in.res.(Controller)
	if !ok {
		return nil, nil, Errorf(ErrorInvalidFunction, "%s serves no control codes", in.name)
	}
	return c.Control(ctx, call)
}

// beginControl serves BeginResourceControl and BeginResourceControlAsUser.
func (in *instance) beginControl(
	ctx context.Context, input *pb.ControlInput, id int64, user *pb.UserIdentity,
) (*pb.ControlOutput, bool, error) {
	if input.GetControlCode() == setPrivateProperties {
		return in.setProperties(ctx, input.GetInBuffer()), false, nil
	}
	return in.controls.begin(ctx, input, id, user, in.serveControl)
}
