// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
)

func (s *service) GetInfo(context.Context, *pb.GetInfoRequest) (*pb.GetInfoResponse, error) {
	return &pb.GetInfoResponse{
		Name:             s.provider.Name,
		VendorVersion:    s.provider.Version,
		ProtocolVersions: pb.Versions(),
		ResourceTypes:    s.typeNames(),
	}, nil
}

func (s *service) GetCapabilities(context.Context, *pb.GetCapabilitiesRequest) (*pb.GetCapabilitiesResponse, error) {
	// What a resource or a type does not implement, its call answers with 1.
	all := []pb.Capability{
		pb.Capability_CAPABILITY_RESOURCE_CONTROL, pb.Capability_CAPABILITY_RESOURCE_TYPE_CONTROL,
		pb.Capability_CAPABILITY_CANCEL, pb.Capability_CAPABILITY_AS_USER,
	}
	if s.quorumCapable() {
		all = append(all, pb.Capability_CAPABILITY_QUORUM)
	}
	return &pb.GetCapabilitiesResponse{Capabilities: all}, nil
}

func (s *service) Probe(context.Context, *pb.ProbeRequest) (*pb.ProbeResponse, error) {
	return &pb.ProbeResponse{Ready: true}, nil
}

func (s *service) Startup(ctx context.Context, req *pb.StartupRequest) (*pb.StartupResponse, error) {
	t := s.types[strings.ToLower(req.GetResourceType())]
	if t == nil {
		return &pb.StartupResponse{Status: uint32(ErrorNameNotFound)}, nil
	}
	i := slices.IndexFunc(versions, func(v uint32) bool {
		return v >= req.GetMinVersionSupported() && v <= req.GetMaxVersionSupported()
	})
	if i < 0 {
		return &pb.StartupResponse{Status: uint32(ErrorRevisionMismatch)}, nil
	}
	if e := asError(t.startup(withDeadlineOf(s.ctx, ctx), req.GetResourceType())); e != nil {
		s.logger.Error("startup failed", "type", req.GetResourceType(), "error", e)
		return &pb.StartupResponse{Status: uint32(e.Code)}, nil
	}
	return &pb.StartupResponse{Version: versions[i]}, nil
}

func (s *service) Open(ctx context.Context, req *pb.OpenRequest) (*pb.OpenResponse, error) {
	return s.open(ctx, req)
}

func (s *service) Close(ctx context.Context, req *pb.CloseRequest) (*pb.CloseResponse, error) {
	in, ok := s.find(req.GetResourceId())
	if !ok {
		return &pb.CloseResponse{}, nil // a repetition: it is closed
	}
	code, _, err := split(s.close(ctx, in))
	return &pb.CloseResponse{Status: code}, err
}

func (s *service) Online(ctx context.Context, req *pb.OnlineRequest) (*pb.OnlineResponse, error) {
	in, ok := s.find(req.GetResourceId())
	switch {
	case !ok:
		return &pb.OnlineResponse{Status: uint32(ErrorResourceNotFound), Message: unknown(req.GetResourceId())}, nil
	case s.isStopping():
		return &pb.OnlineResponse{Status: uint32(ErrorClusterShuttingDown), Message: "ownership ends"}, nil
	}
	o := in.start(ctx, StateOnline, req.GetEpoch(), func(ctx context.Context) (Work, error) {
		if err := in.updated(ctx); err != nil {
			return nil, err
		}
		return in.res.Online(ctx, OnlineArgs{
			Flags: req.GetOnlineFlags(), Properties: req.GetProperties(), Epoch: req.GetEpoch(),
			Context: req.GetOperationContext(),
		})
	})
	if o.err != nil {
		return nil, o.err
	}
	return &pb.OnlineResponse{
		Status:      uint32(o.code),
		Message:     o.message,
		EventHandle: o.code == Success && in.eventHandle(),
	}, nil
}

func (s *service) Offline(ctx context.Context, req *pb.OfflineRequest) (*pb.OfflineResponse, error) {
	in, ok := s.find(req.GetResourceId())
	if !ok {
		return &pb.OfflineResponse{Status: uint32(ErrorResourceNotFound), Message: unknown(req.GetResourceId())}, nil
	}
	o := in.start(ctx, StateOffline, 0, func(ctx context.Context) (Work, error) {
		return in.res.Offline(ctx, OfflineArgs{
			Flags: req.GetOfflineFlags(), Destination: req.GetDestinationNodeName(),
			Reason: req.GetStateChangeReason(), Context: req.GetOperationContext(),
		})
	})
	if o.err != nil {
		return nil, o.err
	}
	return &pb.OfflineResponse{Status: uint32(o.code), Message: o.message}, nil
}

func (s *service) Terminate(ctx context.Context, req *pb.TerminateRequest) (*pb.TerminateResponse, error) {
	in, ok := s.find(req.GetResourceId())
	if !ok {
		return &pb.TerminateResponse{Status: uint32(ErrorResourceNotFound), Message: unknown(req.GetResourceId())}, nil
	}
	code, message, err := split(in.runTerminate(withReason(ctx, req.GetStateChangeReason())))
	return &pb.TerminateResponse{Status: code, Message: message}, err
}

func (s *service) LooksAlive(ctx context.Context, req *pb.LooksAliveRequest) (*pb.LooksAliveResponse, error) {
	in, ok := s.find(req.GetResourceId())
	if !ok {
		return &pb.LooksAliveResponse{}, nil
	}
	alive, err := guarded(in.name, func() (bool, error) { return in.res.LooksAlive(ctx), nil })
	return &pb.LooksAliveResponse{Alive: alive && err == nil}, nil
}

func (s *service) IsAlive(ctx context.Context, req *pb.IsAliveRequest) (*pb.IsAliveResponse, error) {
	in, ok := s.find(req.GetResourceId())
	if !ok {
		return &pb.IsAliveResponse{Message: unknown(req.GetResourceId())}, nil
	}
	_, err := guarded(in.name, func() (struct{}, error) { return struct{}{}, in.res.IsAlive(ctx) })
	answer := &pb.IsAliveResponse{Alive: err == nil}
	if e := asError(err); e != nil {
		answer.Message = e.Message
	}
	return answer, nil
}

func (s *service) ResourceControl(
	ctx context.Context, req *pb.ResourceControlRequest,
) (*pb.ResourceControlResponse, error) {
	in, ok := s.find(req.GetResourceId())
	switch {
	case !ok:
		return &pb.ResourceControlResponse{Output: &pb.ControlOutput{Status: uint32(ErrorResourceNotFound)}}, nil
	case req.GetInput().GetControlCode() == setPrivateProperties:
		return &pb.ResourceControlResponse{Output: in.setProperties(ctx, req.GetInput().GetInBuffer())}, nil
	}
	return &pb.ResourceControlResponse{Output: once(ctx, in.name, req.GetInput(), in.serveControl)}, nil
}

func (s *service) ResourceTypeControl(
	ctx context.Context, req *pb.ResourceTypeControlRequest,
) (*pb.ResourceTypeControlResponse, error) {
	t := s.types[strings.ToLower(req.GetResourceTypeName())]
	if t == nil {
		return &pb.ResourceTypeControlResponse{Output: &pb.ControlOutput{Status: uint32(ErrorNameNotFound)}}, nil
	}
	return &pb.ResourceTypeControlResponse{Output: once(ctx, t.controls.name, req.GetInput(), t.serveControl)}, nil
}

func (s *service) BeginResourceControl(
	ctx context.Context, req *pb.BeginResourceControlRequest,
) (*pb.BeginResourceControlResponse, error) {
	o, later, err := s.beginControl(ctx, req.GetResourceId(), req.GetInput(), req.GetContext(), nil)
	return &pb.BeginResourceControlResponse{Output: o, ReturnedAsynchronously: later}, err
}

func (s *service) BeginResourceControlAsUser(
	ctx context.Context, req *pb.BeginResourceControlAsUserRequest,
) (*pb.BeginResourceControlAsUserResponse, error) {
	o, later, err := s.beginControl(ctx, req.GetResourceId(), req.GetInput(), req.GetContext(), asUser(req.GetUser()))
	return &pb.BeginResourceControlAsUserResponse{Output: o, ReturnedAsynchronously: later}, err
}

func (s *service) BeginResourceTypeControl(
	ctx context.Context, req *pb.BeginResourceTypeControlRequest,
) (*pb.BeginResourceTypeControlResponse, error) {
	o, later, err := s.beginTypeControl(ctx, req.GetResourceTypeName(), req.GetInput(), req.GetContext(), nil)
	return &pb.BeginResourceTypeControlResponse{Output: o, ReturnedAsynchronously: later}, err
}

func (s *service) BeginResourceTypeControlAsUser(
	ctx context.Context, req *pb.BeginResourceTypeControlAsUserRequest,
) (*pb.BeginResourceTypeControlAsUserResponse, error) {
	o, later, err := s.beginTypeControl(
		ctx, req.GetResourceTypeName(), req.GetInput(), req.GetContext(), asUser(req.GetUser()))
	return &pb.BeginResourceTypeControlAsUserResponse{Output: o, ReturnedAsynchronously: later}, err
}

func (s *service) beginControl(
	ctx context.Context, resource string, input *pb.ControlInput, id int64, user *pb.UserIdentity,
) (*pb.ControlOutput, bool, error) {
	in, ok := s.find(resource)
	if !ok {
		return &pb.ControlOutput{Status: uint32(ErrorResourceNotFound)}, false, nil
	}
	return in.beginControl(ctx, input, id, user)
}

// asUser is the identity, never nil: a call as nobody is not one without a user.
func asUser(u *pb.UserIdentity) *pb.UserIdentity {
	if u == nil {
		return &pb.UserIdentity{}
	}
	return u
}

func (s *service) Cancel(ctx context.Context, req *pb.CancelRequest) (*pb.CancelResponse, error) {
	in, ok := s.find(req.GetResourceId())
	if !ok {
		return &pb.CancelResponse{Status: uint32(ErrorResourceNotFound)}, nil
	}
	c, ok := in.res.(Canceler)
	if !ok {
		return &pb.CancelResponse{Status: uint32(ErrorInvalidFunction)}, nil
	}
	_, err := guarded(in.name, func() (struct{}, error) { return struct{}{}, c.Cancel(ctx) })
	code, _, err := split(err)
	return &pb.CancelResponse{Status: code}, err
}

func unknown(id string) string { return fmt.Sprintf("no open resource %q", clip(id, 64)) }

// split tells an error that is a status of the contract from one of the transport.
func split(err error) (uint32, string, error) {
	if err == nil {
		return 0, "", nil
	}
	if st, ok := status.FromError(err); ok && st.Code() != codes.Unknown {
		return 0, "", err
	}
	e := asError(err)
	return uint32(e.Code), e.Message, nil
}
