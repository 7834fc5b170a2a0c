// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package callbacks

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	providerv1 "github.com/understudy-dev/understudy/api/provider/v1"
	"github.com/understudy-dev/understudy/monitor/engine"
)

// EnumResources is RA sections 1.16 and 1.17: each answer goes to a ResourceCallback.
func (s *Server) EnumResources(
	r *providerv1.EnumResourcesRequest, stream grpc.ServerStreamingServer[providerv1.EnumResourcesResponse],
) error {
	if r.GetScope() != providerv1.EnumScope_ENUM_SCOPE_UNSPECIFIED {
		return status.Error(codes.Unimplemented, "only the resources of the group can be listed")
	}
	reply, err := s.call(stream.Context(), engine.Callback{EnumResources: &engine.EnumResources{
		Self: r.GetSelfHandle(), TypeName: r.GetResourceType(),
	}})
	if err != nil {
		return err
	}
	if reply.Code != engine.CodeSuccess {
		return status.Errorf(codes.InvalidArgument, "self_handle %q: %s", r.GetSelfHandle(), reply.Code)
	}
	for _, found := range reply.Resources {
		if err := stream.Send(&providerv1.EnumResourcesResponse{
			ResourceName: found.Name, ResourceType: found.TypeName,
			ResourceState: providerv1.ResourceState(found.State.Code()),
		}); err != nil {
			return err
		}
	}
	return nil
}
