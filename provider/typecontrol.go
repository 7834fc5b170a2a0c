// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"strings"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
)

// TypeController is a Type that serves control codes of its own, RA 6.6.
type TypeController interface {
	// Control serves a code of the type, as Controller does one of a resource.
	Control(ctx context.Context, call ControlCall) ([]byte, ControlWork, error)
}

// begin serves the two Begin forms of a type.
func (s *service) beginTypeControl(
	ctx context.Context, name string, input *pb.ControlInput, id int64, user *pb.UserIdentity,
) (*pb.ControlOutput, bool, error) {
	t := s.types[strings.ToLower(name)]
	if t == nil {
		return &pb.ControlOutput{Status: uint32(ErrorNameNotFound)}, false, nil
	}
	return t.controls.begin(ctx, input, id, user, t.serveControl)
}

// serveControl is the type's own part of a control call.
func (t *resourceType) serveControl(ctx context.Context, call ControlCall) ([]byte, ControlWork, error) {
	c, ok := t.Type.(TypeController)
	if !ok {
		return nil, nil, Errorf(ErrorInvalidFunction, "the type serves no control codes")
	}
	return c.Control(ctx, call)
}

// newTypeControls are those of a type; their lane lives as long as the process.
func newTypeControls(ctx context.Context, name string, monitor pb.MonitorServiceClient) *controls {
	c := &controls{name: "type " + name, ctx: ctx, lane: newLane(), open: map[int64]*control{}}
	c.end = func(ctx context.Context, id int64, o *pb.ControlOutput) error {
		_, err := monitor.EndTypeControlCall(ctx, &pb.EndTypeControlCallRequest{
			Context: id, Status: o.GetStatus(), OutBuffer: o.GetOutBuffer(), BytesReturned: o.GetBytesReturned(),
		})
		return err
	}
	c.extend = func(ctx context.Context, id int64, timeout uint32) (coded, error) {
		return monitor.ExtendResTypeControlCall(ctx, &pb.ExtendResTypeControlCallRequest{
			Context: id, NewTimeoutInMs: timeout,
		})
	}
	go c.lane.run(ctx)
	return c
}
