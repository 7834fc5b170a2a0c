// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	providerv1 "github.com/understudy-dev/understudy/api/provider/v1"
	"github.com/understudy-dev/understudy/monitor/clock"
	"github.com/understudy-dev/understudy/monitor/engine"
)

// Call carries out one call of the engine. It returns at the latest at the
// call's deadline, with exactly one answer.
func (c *Client) Call(call engine.Call) engine.Returned {
	c.mu.Lock()
	conn, nonce := c.conn, c.nonce
	c.mu.Unlock()
	if conn == nil || call.Nonce != "" && call.Nonce != nonce {
		return engine.Returned{Call: call.ID, Outcome: engine.Unavailable, Message: "the provider is not connected"}
	}
	ctx, cancel := context.WithTimeout(c.ctx, time.Duration(call.Deadline-clock.Now().Boot))
	defer cancel()
	answer, err := c.carryOut(ctx, conn, call)
	answer.Call = call.ID
	switch {
	case status.Code(err) == codes.Unimplemented:
		// The protocol's word for "not supported" is an answer.
		answer.Status, answer.Message = engine.CodeInvalidFunction, status.Convert(err).Message()
	case err != nil:
		answer.Outcome, answer.Message = outcome(err)
	}
	return answer
}

func (c *Client) carryOut(ctx context.Context, conn *grpc.ClientConn, call engine.Call) (engine.Returned, error) {
	if call.Op == engine.OpOpen {
		if refused, err := c.startup(ctx, conn, call); err != nil || refused != nil {
			if refused == nil {
				refused = &engine.Returned{}
			}
			return *refused, err
		}
	}
	if call.Control != nil && c.version(call.TypeName) < versionWithBegin {
		return controlAtOnce(ctx, providerv1.NewProviderServiceClient(conn), call)
	}
	return invoke(ctx, conn, call)
}

func invoke(ctx context.Context, conn *grpc.ClientConn, call engine.Call) (engine.Returned, error) {
	api := providerv1.NewProviderServiceClient(conn)
	switch call.Op {
	case engine.OpOpen:
		props, err := properties(call)
		if err != nil {
			return engine.Returned{}, err
		}
		r, err := api.Open(ctx, &providerv1.OpenRequest{
			ResourceName: call.Name, ResourceHandle: call.Resource, ResourceType: call.TypeName,
			OpenFlags: call.Flags, Properties: props,
		})
		return engine.Returned{
			Status: engine.Code(r.GetStatus()), Message: r.GetMessage(), State: int32(r.GetState()),
			CheckPoint: r.GetCheckPoint(), ResourceID: r.GetResourceId(),
		}, err
	case engine.OpClose:
		r, err := api.Close(ctx, &providerv1.CloseRequest{ResourceId: call.ResourceID})
		return engine.Returned{Status: engine.Code(r.GetStatus())}, err
	case engine.OpOnline:
		props, err := properties(call)
		if err != nil {
			return engine.Returned{}, err
		}
		r, err := api.Online(ctx, &providerv1.OnlineRequest{
			ResourceId: call.ResourceID, OnlineFlags: call.Flags, Properties: props, Epoch: call.Epoch,
			OperationContext: providerv1.OperationContext(call.Context),
		})
		return engine.Returned{
			Status: engine.Code(r.GetStatus()), Message: r.GetMessage(), EventHandle: r.GetEventHandle(),
		}, err
	case engine.OpOffline:
		r, err := api.Offline(ctx, &providerv1.OfflineRequest{
			ResourceId: call.ResourceID, OfflineFlags: call.Flags, DestinationNodeName: call.Destination,
			StateChangeReason: providerv1.StateChangeReason(call.Reason),
			OperationContext:  providerv1.OperationContext(call.Context),
		})
		return engine.Returned{Status: engine.Code(r.GetStatus()), Message: r.GetMessage()}, err
	case engine.OpTerminate:
		r, err := api.Terminate(ctx, &providerv1.TerminateRequest{
			ResourceId: call.ResourceID, StateChangeReason: providerv1.StateChangeReason(call.Reason),
		})
		return engine.Returned{Status: engine.Code(r.GetStatus()), Message: r.GetMessage()}, err
	case engine.OpLooksAlive:
		r, err := api.LooksAlive(ctx, &providerv1.LooksAliveRequest{ResourceId: call.ResourceID})
		return engine.Returned{Alive: r.GetAlive()}, err
	case engine.OpIsAlive:
		r, err := api.IsAlive(ctx, &providerv1.IsAliveRequest{ResourceId: call.ResourceID})
		return engine.Returned{Alive: r.GetAlive(), Message: r.GetMessage()}, err
	case engine.OpArbitrate:
		r, err := api.Arbitrate(ctx, &providerv1.ArbitrateRequest{ResourceId: call.ResourceID, Epoch: call.Epoch})
		return engine.Returned{Status: engine.Code(r.GetStatus()), Message: r.GetMessage()}, err
	case engine.OpRelease:
		r, err := api.Release(ctx, &providerv1.ReleaseRequest{ResourceId: call.ResourceID})
		return engine.Returned{Status: engine.Code(r.GetStatus())}, err
	case engine.OpCancel:
		r, err := api.Cancel(ctx, &providerv1.CancelRequest{ResourceId: call.ResourceID})
		return engine.Returned{Status: engine.Code(r.GetStatus())}, err
	}
	if call.Control != nil {
		return control(ctx, api, call)
	}
	return engine.Returned{}, fmt.Errorf("unknown entry point %q", call.Op)
}

func properties(call engine.Call) (*structpb.Struct, error) {
	if len(call.Properties) == 0 {
		return nil, nil
	}
	var m map[string]any
	if err := json.Unmarshal(call.Properties, &m); err != nil {
		return nil, fmt.Errorf("properties of %s: %w", call.Name, err)
	}
	return structpb.NewStruct(m)
}

func outcome(err error) (engine.Outcome, string) {
	s := status.Convert(err)
	switch s.Code() {
	case codes.DeadlineExceeded:
		return engine.DeadlineExceeded, s.Message()
	case codes.Unavailable, codes.Canceled:
		return engine.Unavailable, s.Message()
	}
	return engine.Broken, s.Code().String() + ": " + s.Message()
}
