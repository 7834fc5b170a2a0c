// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
	"github.com/understudy-dev/understudy/internal/testmonitor"
	"github.com/understudy-dev/understudy/provider"
)

// typed is a type with control codes of its own.
type typed struct {
	provider.Type
	control func(context.Context, provider.ControlCall) ([]byte, provider.ControlWork, error)
}

func (t typed) Control(ctx context.Context, c provider.ControlCall) ([]byte, provider.ControlWork, error) {
	return t.control(ctx, c)
}

// Shows: ExtendControlCall, EndControlCall, BeginResourceControlAsUser.
func TestControlExtendsAndKnowsItsUser(t *testing.T) {
	f := &fake{}
	var seen provider.ControlCall
	f.control = func(_ context.Context, c provider.ControlCall) ([]byte, provider.ControlWork, error) {
		seen = c
		return nil, func(ctx context.Context) ([]byte, error) {
			return []byte("done"), c.Extend(ctx, 90*time.Second)
		}, nil
	}
	s := newStage(t, f)
	resp, err := s.BeginResourceControlAsUser(s.ctx(), &pb.BeginResourceControlAsUserRequest{
		ResourceId: s.id, Context: 41, Input: &pb.ControlInput{ControlCode: 9, OutBufferSize: 100},
		User: &pb.UserIdentity{Username: "ada", Uid: "u", Groups: []string{"ops"}},
	})
	if err != nil || !resp.GetReturnedAsynchronously() {
		t.Fatalf("%v %v", resp, err)
	}
	extend, _ := testmonitor.Wait[*pb.ExtendControlCallRequest](t, s.monitor, nil)
	end, _ := testmonitor.Wait[*pb.EndControlCallRequest](t, s.monitor, nil)
	if extend.GetContext() != 41 || extend.GetNewTimeoutInMs() != 90_000 || end.GetContext() != 41 || end.GetStatus() != 0 {
		t.Errorf("%v %v", extend, end)
	}
	if seen.User == nil || seen.User.Name != "ada" || seen.User.UID != "u" || !slices.Equal(seen.User.Groups, []string{"ops"}) {
		t.Errorf("the user is %+v", seen.User)
	}
	if _, err := s.BeginResourceControl(s.ctx(), &pb.BeginResourceControlRequest{ResourceId: s.id, Context: 42}); err != nil || seen.User != nil {
		t.Errorf("a call without a user has %+v, %v", seen.User, err)
	}
}

// A call whose time was over is told so by its Extend.
func TestControlThatExtendsTooLate(t *testing.T) {
	f := &fake{}
	f.control = func(_ context.Context, c provider.ControlCall) ([]byte, provider.ControlWork, error) {
		return nil, func(ctx context.Context) ([]byte, error) { return nil, c.Extend(ctx, time.Hour) }, nil
	}
	s := newStage(t, f)
	s.monitor.Answer(func(_ context.Context, req proto.Message) (proto.Message, error) {
		if _, ok := req.(*pb.ExtendControlCallRequest); ok {
			return &pb.ExtendControlCallResponse{Status: 5910}, nil
		}
		return nil, nil
	})
	if _, err := s.BeginResourceControl(s.ctx(), &pb.BeginResourceControlRequest{ResourceId: s.id, Context: 1}); err != nil {
		t.Fatal(err)
	}
	if end, _ := testmonitor.Wait[*pb.EndControlCallRequest](t, s.monitor, nil); end.GetStatus() != 5910 {
		t.Errorf("%v", end)
	}
}

// Shows: EndTypeControlCall, ExtendResTypeControlCall, BeginResourceTypeControl, BeginResourceTypeControlAsUser.
func TestTypeControl(t *testing.T) {
	f := &fake{}
	s := newStageOf(t, f, func(inner provider.Type) provider.Type {
		return typed{Type: inner, control: func(_ context.Context, c provider.ControlCall) ([]byte, provider.ControlWork, error) {
			if c.Code == 7 {
				return []byte("at once"), nil, nil
			}
			return nil, func(ctx context.Context) ([]byte, error) {
				name := ""
				if c.User != nil {
					name = c.User.Name
				}
				return []byte(name), c.Extend(ctx, time.Minute)
			}, nil
		}}
	})
	at := func(code uint32) *pb.ControlInput { return &pb.ControlInput{ControlCode: code, OutBufferSize: 100} }
	now, err := s.BeginResourceTypeControl(s.ctx(), &pb.BeginResourceTypeControlRequest{
		ResourceTypeName: "FAKE", Context: 1, Input: at(7),
	})
	if err != nil || string(now.GetOutput().GetOutBuffer()) != "at once" || now.GetReturnedAsynchronously() {
		t.Errorf("%v %v", now, err)
	}
	later, err := s.BeginResourceTypeControlAsUser(s.ctx(), &pb.BeginResourceTypeControlAsUserRequest{
		ResourceTypeName: "fake", Context: 2, Input: at(8), User: &pb.UserIdentity{Username: "ada"},
	})
	if err != nil || !later.GetReturnedAsynchronously() {
		t.Errorf("%v %v", later, err)
	}
	extend, _ := testmonitor.Wait[*pb.ExtendResTypeControlCallRequest](t, s.monitor, nil)
	end, _ := testmonitor.Wait[*pb.EndTypeControlCallRequest](t, s.monitor, nil)
	if extend.GetContext() != 2 || end.GetContext() != 2 || string(end.GetOutBuffer()) != "ada" {
		t.Errorf("%v %v", extend, end)
	}
	other, err := s.BeginResourceTypeControl(s.ctx(), &pb.BeginResourceTypeControlRequest{ResourceTypeName: "none", Context: 3})
	if err != nil || other.GetOutput().GetStatus() != 5080 {
		t.Errorf("an unknown type: %v %v", other, err)
	}
}

// Shows: ResourceControl, ResourceTypeControl.
func TestControlInOneCall(t *testing.T) {
	f := &fake{}
	f.control = func(_ context.Context, c provider.ControlCall) ([]byte, provider.ControlWork, error) {
		if c.Code == 7 {
			return []byte("at once"), nil, nil
		}
		return nil, func(ctx context.Context) ([]byte, error) { return []byte("later"), c.Extend(ctx, time.Minute) }, nil
	}
	s := newStage(t, f)
	for code, want := range map[uint32]uint32{7: 0, 8: 1} { // what has no context cannot be extended
		resp, err := s.ResourceControl(s.ctx(), &pb.ResourceControlRequest{
			ResourceId: s.id, Input: &pb.ControlInput{ControlCode: code, OutBufferSize: 100},
		})
		if err != nil || resp.GetOutput().GetStatus() != want {
			t.Errorf("code %d: %v %v", code, resp, err)
		}
	}
	resp, err := s.ResourceTypeControl(s.ctx(), &pb.ResourceTypeControlRequest{ResourceTypeName: "fake"})
	if err != nil || resp.GetOutput().GetStatus() != 1 {
		t.Errorf("a type without codes: %v %v", resp, err)
	}
}

// cancelled is a fake whose operations can be cancelled.
type cancelled struct {
	*fake
	err error
}

func (c cancelled) Cancel(context.Context) error { return c.err }

// Shows: Cancel.
func TestCancel(t *testing.T) {
	for want, res := range map[uint32]provider.Resource{
		0: cancelled{&fake{}, nil}, 5038: cancelled{&fake{}, errors.New("too late")}, 1: &fake{},
	} {
		s := newStage(t, &fake{}, res)
		if resp, err := s.Cancel(s.ctx(), &pb.CancelRequest{ResourceId: s.id}); err != nil || resp.GetStatus() != want {
			t.Errorf("%v %v, want %d", resp, err, want)
		}
	}
}
