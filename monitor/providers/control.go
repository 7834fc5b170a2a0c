// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"context"
	"fmt"

	providerv1 "github.com/understudy-dev/understudy/api/provider/v1"
	"github.com/understudy-dev/understudy/monitor/engine"
)

// maxOutput is the most that a control code may return, in bytes.
const maxOutput = 64 << 10

// began is what the four Begin answers have in common.
type began interface {
	GetOutput() *providerv1.ControlOutput
	GetReturnedAsynchronously() bool
}

// control carries out one of the four Begin calls.
func control(
	ctx context.Context, api providerv1.ProviderServiceClient, call engine.Call,
) (engine.Returned, error) {
	a := call.Control
	input := &providerv1.ControlInput{ControlCode: a.Code, InBuffer: a.Input, OutBufferSize: maxOutput}
	user := &providerv1.UserIdentity{}
	if u := a.User; u != nil {
		user.Username, user.Uid, user.Groups = u.Name, u.UID, u.Groups
	}
	var r began
	var err error
	switch call.Op {
	case engine.OpBeginResourceControl:
		r, err = api.BeginResourceControl(ctx, &providerv1.BeginResourceControlRequest{
			ResourceId: call.ResourceID, Context: a.Context, Input: input,
		})
	case engine.OpBeginResourceControlAsUser:
		r, err = api.BeginResourceControlAsUser(ctx, &providerv1.BeginResourceControlAsUserRequest{
			ResourceId: call.ResourceID, User: user, Context: a.Context, Input: input,
		})
	case engine.OpBeginResourceTypeControl:
		r, err = api.BeginResourceTypeControl(ctx, &providerv1.BeginResourceTypeControlRequest{
			ResourceTypeName: call.TypeName, Context: a.Context, Input: input,
		})
	case engine.OpBeginResourceTypeControlAsUser:
		r, err = api.BeginResourceTypeControlAsUser(ctx, &providerv1.BeginResourceTypeControlAsUserRequest{
			ResourceTypeName: call.TypeName, User: user, Context: a.Context, Input: input,
		})
	default:
		return engine.Returned{}, fmt.Errorf("unknown entry point %q", call.Op)
	}
	out := r.GetOutput()
	return engine.Returned{
		Status: engine.Code(out.GetStatus()), Async: r.GetReturnedAsynchronously(),
		Output: clipBytes(out.GetOutBuffer()), BytesReturned: out.GetBytesReturned(),
	}, err
}

// controlAtOnce carries out a call by a provider of before version 3 of the contract (RA
// section 2.0), which answers control codes in the same call.
func controlAtOnce(
	ctx context.Context, api providerv1.ProviderServiceClient, call engine.Call,
) (engine.Returned, error) {
	input := &providerv1.ControlInput{
		ControlCode: call.Control.Code, InBuffer: call.Control.Input, OutBufferSize: maxOutput,
	}
	var r interface {
		GetOutput() *providerv1.ControlOutput
	}
	var err error
	switch call.Op {
	case engine.OpBeginResourceControl:
		r, err = api.ResourceControl(ctx, &providerv1.ResourceControlRequest{ResourceId: call.ResourceID, Input: input})
	case engine.OpBeginResourceTypeControl:
		r, err = api.ResourceTypeControl(ctx, &providerv1.ResourceTypeControlRequest{
			ResourceTypeName: call.TypeName, Input: input,
		})
	default:
		return engine.Returned{
			Status: engine.CodeNotImplemented, Message: "the provider's version of the contract has no calls as a user",
		}, nil
	}
	out := r.GetOutput()
	return engine.Returned{
		Status: engine.Code(out.GetStatus()), Output: clipBytes(out.GetOutBuffer()), BytesReturned: out.GetBytesReturned(),
	}, err
}

func clipBytes(b []byte) []byte { return b[:min(len(b), maxOutput)] }
