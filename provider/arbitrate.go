// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"

	"google.golang.org/grpc/status"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
)

// QuorumType is a Type whose resources are Arbitrators, RA 8. The process says
// CAPABILITY_QUORUM then; the ResourceType has spec.quorum.
type QuorumType interface {
	Type
	// QuorumCapable: its resources can be arbitrated.
	QuorumCapable() bool
}

// Arbitrator is a Resource of a QuorumType, RA 2.1 and 8.
type Arbitrator interface {
	// Arbitrate takes control of what only one host can have, and defends it from
	// then on: nil is won. Anything else is lost, ErrorResourceNotAvailable if another
	// system has it. It comes before Online, under a larger epoch for each owner. It
	// may come again under the same epoch, also while it holds already. When what was
	// won is lost later, call Handle.QuorumResourceLost at once.
	Arbitrate(ctx context.Context, epoch int64) error
	// Release ends the defence, after the whole group went offline in order. It does not
	// come if the host is lost, or stops in a hurry.
	Release(ctx context.Context) error
}

// QuorumResourceLost says that the control that Arbitrate won is lost: everything of the
// group stops at once, and the group goes to another host. It returns at once; it is
// delivered as soon as a monitor is there, unless Arbitrate or Release comes first. RA 1.9.
func (h *Handle) QuorumResourceLost() {
	req := &pb.QuorumResourceLostRequest{ResourceHandle: h.in.handle}
	h.in.lane.push(&report{kind: lostReport, send: func(ctx context.Context) error {
		_, err := h.in.monitor.QuorumResourceLost(ctx, req)
		return err
	}})
}

func (s *service) Arbitrate(ctx context.Context, req *pb.ArbitrateRequest) (*pb.ArbitrateResponse, error) {
	in, ok := s.find(req.GetResourceId())
	switch {
	case !ok:
		return &pb.ArbitrateResponse{Status: uint32(ErrorResourceNotFound), Message: unknown(req.GetResourceId())}, nil
	case s.isStopping():
		return &pb.ArbitrateResponse{Status: uint32(ErrorClusterShuttingDown), Message: "ownership ends"}, nil
	}
	code, message, err := split(in.arbitrate(ctx, func(ctx context.Context, a Arbitrator) error {
		return a.Arbitrate(ctx, req.GetEpoch())
	}))
	return &pb.ArbitrateResponse{Status: code, Message: message}, err
}

func (s *service) Release(ctx context.Context, req *pb.ReleaseRequest) (*pb.ReleaseResponse, error) {
	in, ok := s.find(req.GetResourceId())
	if !ok {
		return &pb.ReleaseResponse{Status: uint32(ErrorResourceNotFound)}, nil
	}
	code, _, err := split(in.arbitrate(ctx, func(ctx context.Context, a Arbitrator) error { return a.Release(ctx) }))
	return &pb.ReleaseResponse{Status: code}, err
}

// arbitrate makes one call after the other. A caller that goes away does not end it: a
// repeated one comes after it.
func (in *instance) arbitrate(ctx context.Context, call func(context.Context, Arbitrator) error) error {
	a, ok := in.res.(Arbitrator)
	if !ok {
		return Errorf(ErrorInvalidFunction, "%s does not arbitrate", in.name)
	}
	// What was lost before is not what this call wins.
	in.lane.forget(lostReport)
	callCtx := withDeadlineOf(in.ctx, ctx)
	answer := make(chan error, 1)
	go func() {
		select {
		case in.arbitration <- struct{}{}:
			defer func() { <-in.arbitration }()
		case <-callCtx.Done():
			answer <- Errorf(ErrorResourceCallTimedOut, "an earlier Arbitrate or Release of %s still runs", in.name)
			return
		}
		_, err := guarded(in.name, func() (struct{}, error) { return struct{}{}, call(callCtx, a) })
		answer <- err
	}()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}

// quorumCapable: a type says that it is.
func (s *service) quorumCapable() bool {
	for _, t := range s.types {
		if q, ok := t.Type.(QuorumType); ok && q.QuorumCapable() {
			return true
		}
	}
	return false
}
