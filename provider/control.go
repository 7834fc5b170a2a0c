// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
)

const (
	// maxBuffer is the most bytes of a control call's buffers.
	maxBuffer = 64 << 10
	// maxControls is how many control calls of one resource may be open.
	maxControls = 64
)

// control is a control call that is under way, or whose end is not yet delivered.
type control struct {
	code uint32
	// later: BeginResourceControl was answered, EndControlCall is to come.
	later bool
}

// beginControl serves BeginResourceControl, RA 2.1 and 6.3.
func (in *instance) beginControl(
	ctx context.Context, input *pb.ControlInput, id int64,
) (*pb.BeginResourceControlResponse, error) {
	if input.GetControlCode() == setPrivateProperties {
		return ended(in.setProperties(ctx, input.GetInBuffer())), nil
	}
	c, ok := in.res.(Controller)
	if !ok {
		return ended(&pb.ControlOutput{Status: uint32(ErrorInvalidFunction)}), nil
	}
	if len(input.GetInBuffer()) > maxBuffer {
		return ended(&pb.ControlOutput{Status: uint32(ErrorInvalidParameter)}), nil
	}
	in.mu.Lock()
	if open := in.controls[id]; open != nil {
		defer in.mu.Unlock()
		if !open.later || open.code != input.GetControlCode() {
			return nil, status.Errorf(codes.Aborted, "%s: a control call with context %d is under way", in.name, id)
		}
		return &pb.BeginResourceControlResponse{Output: &pb.ControlOutput{}, ReturnedAsynchronously: true}, nil
	}
	if len(in.controls) >= maxControls {
		in.mu.Unlock()
		return ended(&pb.ControlOutput{Status: uint32(ErrorSystemResourcesLacking)}), nil
	}
	open := &control{code: input.GetControlCode()}
	in.controls[id] = open
	in.mu.Unlock()

	call := ControlCall{
		Code: input.GetControlCode(), In: input.GetInBuffer(), OutSize: min(input.GetOutBufferSize(), maxBuffer),
	}
	var work ControlWork
	out, err := guarded(in.name, func() (out []byte, err error) {
		out, work, err = c.Control(ctx, call)
		return out, err
	})
	in.mu.Lock()
	defer in.mu.Unlock()
	if err != nil || work == nil {
		delete(in.controls, id)
		return ended(controlOutput(call, out, err)), nil
	}
	open.later = true
	go in.endControl(id, call, work)
	return &pb.BeginResourceControlResponse{Output: &pb.ControlOutput{}, ReturnedAsynchronously: true}, nil
}

// endControl runs the rest of a control call and queues its EndControlCall, RA 1.5.
func (in *instance) endControl(id int64, call ControlCall, work ControlWork) {
	out, err := guarded(in.name, func() ([]byte, error) { return work(in.ctx) })
	o := controlOutput(call, out, err)
	req := &pb.EndControlCallRequest{
		Context: id, Status: o.GetStatus(), OutBuffer: o.GetOutBuffer(), BytesReturned: o.GetBytesReturned(),
	}
	in.lane.push(&report{kind: endReport, send: func(ctx context.Context) error {
		_, err := in.monitor.EndControlCall(ctx, req)
		if !unanswered(err) {
			in.mu.Lock()
			delete(in.controls, id)
			in.mu.Unlock()
		}
		return err
	}})
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

func ended(o *pb.ControlOutput) *pb.BeginResourceControlResponse {
	return &pb.BeginResourceControlResponse{Output: o}
}
