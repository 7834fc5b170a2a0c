// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package callbacks

import (
	"context"
	"errors"
	"io"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
	"github.com/understudy-dev/understudy/monitor/engine"
)

// list is all that an enumeration answers.
func (r *rig) list(ctx context.Context, req *pb.EnumResourcesRequest) (found []*pb.EnumResourcesResponse, err error) {
	stream, err := r.api.EnumResources(ctx, req)
	if err != nil {
		return nil, err
	}
	for {
		one, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return found, err
		}
		found = append(found, one)
	}
}

// Shows: ResourceCallback, ResourceCallbackEx.
func TestEnumResources(t *testing.T) {
	r := serve(t)
	r.reply = engine.Reply{Resources: []engine.EnumeratedResource{{Name: "a", TypeName: "disk", State: engine.Online}}}
	r.others = []Found{
		{Handle: "me", Name: "me", TypeName: "disk", Group: "g", State: engine.Online},
		{Handle: "u", Name: "b", TypeName: "disk", Group: "other", State: engine.Failed},
		{Handle: "v", Name: "c", TypeName: "disk", Group: "other"},
	}
	group, err := r.list(t.Context(), &pb.EnumResourcesRequest{SelfHandle: "me", ResourceType: "disk"})
	must(t, err)
	if len(group) != 1 || group[0].GetResourceName() != "a" || group[0].GetGroupName() != "g" ||
		group[0].GetResourceState() != pb.ResourceState_RESOURCE_STATE_ONLINE {
		t.Errorf("of the group: %v", group)
	}
	if asked := r.last(t).EnumResources; asked == nil || asked.Self != "me" || asked.TypeName != "disk" {
		t.Errorf("the engine was asked for %+v", asked)
	}
	all := &pb.EnumResourcesRequest{
		SelfHandle: "me", ResourceType: "disk", Scope: pb.EnumScope_ENUM_SCOPE_NAMESPACE,
	}
	namespace, err := r.list(t.Context(), all)
	must(t, err)
	if len(namespace) != 2 || namespace[0].GetGroupName() != "other" ||
		namespace[0].GetResourceState() != pb.ResourceState_RESOURCE_STATE_FAILED || namespace[1].GetResourceState() != 0 {
		t.Errorf("of the namespace: %v", namespace)
	}
	for name, c := range map[string]struct {
		req   *pb.EnumResourcesRequest
		reply engine.Reply
		err   error
		want  codes.Code
	}{
		"no type":         {req: &pb.EnumResourcesRequest{Scope: pb.EnumScope_ENUM_SCOPE_NAMESPACE}, want: codes.InvalidArgument},
		"unknown scope":   {req: &pb.EnumResourcesRequest{Scope: 7}, want: codes.InvalidArgument},
		"no API server":   {req: all, err: errors.New("away"), want: codes.Unavailable},
		"somebody else's": {req: &pb.EnumResourcesRequest{SelfHandle: "x"}, reply: engine.Reply{Code: 6}, want: codes.InvalidArgument},
	} {
		r.reply, r.otherErr = c.reply, c.err
		if _, err := r.list(t.Context(), c.req); status.Code(err) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}
