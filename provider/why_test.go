// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"context"
	"testing"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
	"github.com/understudy-dev/understudy/provider"
)

// Why it is started and stopped reaches the provider's code.
//
// Shows: OnlineFlags, OfflineFlags.
func TestArgumentsSayWhy(t *testing.T) {
	f := &fake{}
	var on provider.OnlineArgs
	var off provider.OfflineArgs
	var reasons []provider.StateChangeReason
	f.online = func(_ context.Context, args provider.OnlineArgs) (provider.Work, error) { on = args; return nil, nil }
	f.offline = func(_ context.Context, args provider.OfflineArgs) (provider.Work, error) { off = args; return nil, nil }
	f.terminate = func(ctx context.Context) error {
		reasons = append(reasons, provider.TerminateReason(ctx))
		return nil
	}
	s := newStage(t, f)
	if _, err := s.Online(s.ctx(), &pb.OnlineRequest{
		ResourceId: s.id, Epoch: 1, OnlineFlags: provider.OnlineIgnoreResourceStatus,
		OperationContext: pb.OperationContext_OPERATION_CONTEXT_NETWORK_DISCONNECT,
	}); err != nil || on.Flags != 2 || on.Context != provider.ContextNetworkDisconnect {
		t.Errorf("%+v, %v", on, err)
	}
	if _, err := s.Offline(s.ctx(), &pb.OfflineRequest{
		ResourceId: s.id, DestinationNodeName: "h2", OfflineFlags: provider.OfflineDueToEmbeddedFailure,
		StateChangeReason: pb.StateChangeReason_STATE_CHANGE_REASON_MOVE,
		OperationContext:  pb.OperationContext_OPERATION_CONTEXT_EMBEDDED_FAILURE,
	}); err != nil || off.Flags != 16 || off.Destination != "h2" || off.Reason != provider.ReasonMove ||
		off.Context != provider.ContextEmbeddedFailure {
		t.Errorf("%+v, %v", off, err)
	}
	for _, reason := range []provider.StateChangeReason{provider.ReasonUnknown, provider.ReasonRundown} {
		if _, err := s.Terminate(s.ctx(), &pb.TerminateRequest{ResourceId: s.id, StateChangeReason: reason}); err != nil {
			t.Error(err)
		}
		if got := reasons[len(reasons)-1]; got != reason {
			t.Errorf("Terminate for %v was told %v", reason, got)
		}
	}
}
