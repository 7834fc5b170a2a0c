// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package callbacks

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	providerv1 "github.com/understudy-dev/understudy/api/provider/v1"
	"github.com/understudy-dev/understudy/monitor/engine"
)

// Found is a resource of the namespace.
type Found struct {
	// Handle is that of the resource, its UID.
	Handle, Name, TypeName, Group string
	State                         engine.State
}

// Lister lists the resources of a type in the namespace, which the API server knows and
// the engine does not. It bounds its own time and number of requests.
type Lister func(ctx context.Context, typeName string) ([]Found, error)

// EnumResources is RA sections 1.16 and 1.17: each answer goes to a ResourceCallback.
func (s *Server) EnumResources(
	r *providerv1.EnumResourcesRequest, stream grpc.ServerStreamingServer[providerv1.EnumResourcesResponse],
) error {
	var found []*providerv1.EnumResourcesResponse
	var err error
	switch r.GetScope() {
	case providerv1.EnumScope_ENUM_SCOPE_UNSPECIFIED:
		found, err = s.enumGroup(stream.Context(), r)
	case providerv1.EnumScope_ENUM_SCOPE_NAMESPACE:
		found, err = s.enumNamespace(stream.Context(), r)
	default:
		err = status.Errorf(codes.InvalidArgument, "scope %d: want the group (0) or the namespace (1)", r.GetScope())
	}
	for _, one := range found {
		if err == nil {
			err = stream.Send(one)
		}
	}
	return err
}

func (s *Server) enumGroup(
	ctx context.Context, r *providerv1.EnumResourcesRequest,
) (found []*providerv1.EnumResourcesResponse, err error) {
	reply, err := s.call(ctx, engine.Callback{EnumResources: &engine.EnumResources{
		Self: nameable(r.GetSelfHandle()), TypeName: nameable(r.GetResourceType()),
	}})
	if err != nil {
		return nil, err
	}
	if reply.Code != engine.CodeSuccess {
		return nil, status.Errorf(codes.InvalidArgument, "self_handle %q: %s", nameable(r.GetSelfHandle()), reply.Code)
	}
	for _, one := range reply.Resources {
		found = append(found, &providerv1.EnumResourcesResponse{
			ResourceName: one.Name, ResourceType: one.TypeName, GroupName: s.group,
			ResourceState: providerv1.ResourceState(one.State.Code()),
		})
	}
	return found, nil
}

func (s *Server) enumNamespace(
	ctx context.Context, r *providerv1.EnumResourcesRequest,
) (found []*providerv1.EnumResourcesResponse, err error) {
	if n := len(r.GetResourceType()); n == 0 || n > maxHandle {
		return nil, status.Error(codes.InvalidArgument, "resource_type: the resources of the namespace are listed by type")
	}
	all, err := s.others(ctx, r.GetResourceType())
	if err != nil {
		return nil, status.Errorf(codes.Unavailable, "listing the resources of type %s: %v", r.GetResourceType(), err)
	}
	for _, one := range all {
		if one.Handle == r.GetSelfHandle() {
			continue
		}
		state := providerv1.ResourceState_RESOURCE_STATE_UNSPECIFIED
		if code := one.State.Code(); code > 0 { // one that no owner has reported on has none
			state = providerv1.ResourceState(code)
		}
		found = append(found, &providerv1.EnumResourcesResponse{
			ResourceName: one.Name, ResourceType: one.TypeName, GroupName: one.Group, ResourceState: state,
		})
	}
	return found, nil
}
