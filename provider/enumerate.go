// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"errors"
	"fmt"
	"io"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
)

// EnumeratedResource is what a ResourceCallback is called with: hEnum of RA 1.16.
type EnumeratedResource struct {
	Name, Type, Group string
	State             State
}

// ResourceCallback is called for each resource, RA 1.16 and 1.17. Nil goes on; an
// error with the code ErrorNoMoreItems stops without an error; any other stops, and
// is what the enumeration returns.
type ResourceCallback func(EnumeratedResource) error

// EnumResources calls f for the other resources of the group, all or those of one
// type: ResUtilEnumResources, RA 1.16. The resource itself is left out.
func (h *Handle) EnumResources(ctx context.Context, typeName string, f ResourceCallback) error {
	return h.in.enumerate(ctx, &pb.EnumResourcesRequest{SelfHandle: h.in.handle, ResourceType: typeName}, f)
}

// EnumResourcesEx calls f for the other resources of a type in the namespace, also
// those of other groups: ResUtilEnumResourcesEx, RA 1.17.
func (h *Handle) EnumResourcesEx(ctx context.Context, typeName string, f ResourceCallback) error {
	return h.in.enumerate(ctx, &pb.EnumResourcesRequest{
		SelfHandle: h.in.handle, ResourceType: typeName, Scope: pb.EnumScope_ENUM_SCOPE_NAMESPACE,
	}, f)
}

func (in *instance) enumerate(ctx context.Context, req *pb.EnumResourcesRequest, f ResourceCallback) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // one that stops early ends the call
	stream, err := in.monitor.EnumResources(ctx, req)
	for err == nil {
		var r *pb.EnumResourcesResponse
		if r, err = stream.Recv(); err != nil {
			break
		}
		stop := f(EnumeratedResource{
			Name: r.GetResourceName(), Type: r.GetResourceType(), Group: r.GetGroupName(), State: r.GetResourceState(),
		})
		if e, ok := errors.AsType[*Error](stop); ok && e.Code == ErrorNoMoreItems {
			return nil
		}
		if stop != nil {
			return stop
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return fmt.Errorf("%s: EnumResources: %w", in.name, err)
}
