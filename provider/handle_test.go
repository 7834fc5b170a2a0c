// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
	"github.com/understudy-dev/understudy/provider"
)

// codeOf is the code of the contract in an error.
func codeOf(err error) provider.Code {
	if e, ok := errors.AsType[*provider.Error](err); ok {
		return e.Code
	}
	return 0
}

// Shows: SetResourceLockedModeEx, SetInternalState, SetResourceInMemoryNodeLocalProperties,
// RaiseResTypeNotification, ChangeResourceProcessForDumps, ChangeResTypeProcessForDumps, RequestDump.
func TestCallbacksOfAHandle(t *testing.T) {
	f := &fake{}
	s := newStage(t, f)
	h := f.args.Handle
	process := provider.DumpProcess{Name: "redis", PID: 7}
	list, err := structpb.NewStruct(map[string]any{"ResourceSpecificStatus": "well"})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		call func(context.Context) error
		want proto.Message
	}{
		"SetLockedMode": {func(ctx context.Context) error {
			return h.SetLockedMode(ctx, provider.LockedMode{Locked: true, Reason: 2, Flags: provider.LockedModeKeepQueue})
		}, &pb.SetResourceLockedModeExRequest{
			ResourceHandle: "uid", LockedModeEnabled: true, LockedModeReason: 2, LockedModeFlags: 1,
		}},
		"SetInternalState": {func(ctx context.Context) error {
			return h.SetInternalState(ctx, provider.ApplicationReady, true)
		}, &pb.SetInternalStateRequest{ResourceHandle: "uid", StateType: provider.ApplicationReady, Active: true}},
		"SetNodeLocalProperties": {func(ctx context.Context) error {
			return h.SetNodeLocalProperties(ctx, map[string]any{"ResourceSpecificStatus": "well"})
		}, &pb.SetResourceInMemoryNodeLocalPropertiesRequest{ResourceHandle: "uid", PropertyList: list}},
		"RaiseTypeNotification": {func(ctx context.Context) error {
			return h.RaiseTypeNotification(ctx, []byte("news"))
		}, &pb.RaiseResTypeNotificationRequest{ResourceType: "fake", Payload: []byte("news")}},
		"AddDumpProcess": {func(ctx context.Context) error { return h.AddDumpProcess(ctx, process) },
			&pb.ChangeResourceProcessForDumpsRequest{ResourceHandle: "uid", ProcessName: "redis", ProcessId: 7, IsAdd: true}},
		"RemoveDumpProcess": {func(ctx context.Context) error { return h.RemoveDumpProcess(ctx, process) },
			&pb.ChangeResourceProcessForDumpsRequest{ResourceHandle: "uid", ProcessName: "redis", ProcessId: 7}},
		"AddTypeDumpProcess": {func(ctx context.Context) error { return h.AddTypeDumpProcess(ctx, process) },
			&pb.ChangeResTypeProcessForDumpsRequest{ResourceTypeName: "fake", ProcessName: "redis", ProcessId: 7, IsAdd: true}},
		"RemoveTypeDumpProcess": {func(ctx context.Context) error { return h.RemoveTypeDumpProcess(ctx, process) },
			&pb.ChangeResTypeProcessForDumpsRequest{ResourceTypeName: "fake", ProcessName: "redis", ProcessId: 7}},
		"RequestDump": {func(ctx context.Context) error { return h.RequestDump(ctx, time.Second, true) },
			&pb.RequestDumpRequest{ResourceHandle: "uid", DumpDueToCallInProgress: true, DumpDelayInMs: 1000}},
	} {
		t.Run(name, func(t *testing.T) {
			s.monitor.Forget()
			s.monitor.Answer(nil)
			if err := c.call(s.ctx()); err != nil {
				t.Fatal(err)
			}
			if heard := s.monitor.Heard(); len(heard) != 1 || !proto.Equal(heard[0], c.want) {
				t.Errorf("the monitor heard %v", heard)
			}
			// A code is an error with that code, at once.
			s.monitor.Answer(func(_ context.Context, req proto.Message) (proto.Message, error) {
				return refusal(req, 5023), nil
			})
			if err := c.call(s.ctx()); codeOf(err) != provider.ErrorInvalidState {
				t.Errorf("refused: %v", err)
			}
			// A monitor that does not know the call has answered too.
			s.monitor.Answer(func(context.Context, proto.Message) (proto.Message, error) {
				return nil, status.Error(codes.Unimplemented, "an old monitor")
			})
			if err := c.call(s.ctx()); status.Code(err) != codes.Unimplemented {
				t.Errorf("not supported: %v", err)
			}
			// One that is away is waited for.
			tries := 0
			s.monitor.Answer(func(context.Context, proto.Message) (proto.Message, error) {
				if tries++; tries < 3 {
					return nil, status.Error(codes.Unavailable, "not now")
				}
				return nil, nil
			})
			if err := c.call(s.ctx()); err != nil || tries != 3 {
				t.Errorf("%d tries: %v", tries, err)
			}
		})
	}
}

// refusal is the answer to a request with a code.
func refusal(req proto.Message, code uint32) proto.Message {
	switch req.(type) {
	case *pb.SetResourceLockedModeExRequest:
		return &pb.SetResourceLockedModeExResponse{Status: code}
	case *pb.SetInternalStateRequest:
		return &pb.SetInternalStateResponse{Status: code}
	case *pb.SetResourceInMemoryNodeLocalPropertiesRequest:
		return &pb.SetResourceInMemoryNodeLocalPropertiesResponse{Status: code}
	case *pb.RaiseResTypeNotificationRequest:
		return &pb.RaiseResTypeNotificationResponse{Status: code}
	case *pb.ChangeResourceProcessForDumpsRequest:
		return &pb.ChangeResourceProcessForDumpsResponse{Status: code}
	case *pb.ChangeResTypeProcessForDumpsRequest:
		return &pb.ChangeResTypeProcessForDumpsResponse{Status: code}
	case *pb.RequestDumpRequest:
		return &pb.RequestDumpResponse{Status: code}
	}
	return nil
}

func TestCallbackGivesUpWithItsContext(t *testing.T) {
	f := &fake{}
	s := newStage(t, f)
	s.monitor.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := f.args.Handle.SetInternalState(ctx, provider.ApplicationReady, true); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

// Shows: ResourceCallback, ResourceCallbackEx.
func TestEnumResources(t *testing.T) {
	f := &fake{}
	s := newStage(t, f)
	s.monitor.Resources = []*pb.EnumResourcesResponse{
		{ResourceName: "a", ResourceType: "x", ResourceState: provider.StateOnline, GroupName: "g"}, {ResourceName: "b"}, {ResourceName: "c"},
	}
	for name, enumerate := range map[string]func(context.Context, string, provider.ResourceCallback) error{
		"of the group": f.args.Handle.EnumResources, "of the namespace": f.args.Handle.EnumResourcesEx,
	} {
		s.monitor.Forget()
		var seen []provider.EnumeratedResource
		err := enumerate(s.ctx(), "x", func(r provider.EnumeratedResource) error {
			seen = append(seen, r)
			return nil
		})
		want := provider.EnumeratedResource{Name: "a", Type: "x", Group: "g", State: provider.StateOnline}
		if err != nil || len(seen) != 3 || seen[0] != want {
			t.Errorf("%s: %v %v", name, seen, err)
		}
		req := s.monitor.Heard()[0].(*pb.EnumResourcesRequest)
		if req.GetSelfHandle() != "uid" || req.GetResourceType() != "x" ||
			(req.GetScope() == pb.EnumScope_ENUM_SCOPE_NAMESPACE) != (name == "of the namespace") {
			t.Errorf("%s: asked for %v", name, req)
		}
		// RA 1.16: 259 stops without an error, any other error stops with it.
		for stop, want := range map[error]error{
			provider.Errorf(provider.ErrorNoMoreItems, ""): nil, errNo: errNo,
		} {
			n := 0
			err := enumerate(s.ctx(), "", func(provider.EnumeratedResource) error { n++; return stop })
			if n != 1 || !errors.Is(err, want) {
				t.Errorf("%s: stopped by %v after %d: %v", name, stop, n, err)
			}
		}
	}
}
