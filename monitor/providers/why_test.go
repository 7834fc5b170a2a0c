// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"context"
	"net"
	"path/filepath"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
	"github.com/understudy-dev/understudy/monitor/engine"
)

// listener keeps what it is asked.
type listener struct {
	*provider
	asked []proto.Message
}

func (l *listener) Online(_ context.Context, r *pb.OnlineRequest) (*pb.OnlineResponse, error) {
	l.asked = append(l.asked, r)
	return &pb.OnlineResponse{}, nil
}

func (l *listener) Offline(_ context.Context, r *pb.OfflineRequest) (*pb.OfflineResponse, error) {
	l.asked = append(l.asked, r)
	return &pb.OfflineResponse{}, nil
}

func (l *listener) Terminate(_ context.Context, r *pb.TerminateRequest) (*pb.TerminateResponse, error) {
	l.asked = append(l.asked, r)
	return &pb.TerminateResponse{}, nil
}

// Flags, destination, reason and context reach the provider in the protocol's numbers.
//
// Shows: Online, Offline, Terminate.
func TestCallsSayWhy(t *testing.T) {
	r := newRig(t)
	p := &listener{provider: good()}
	l, err := net.Listen("unix", filepath.Join(r.dir, SocketName))
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	pb.RegisterProviderServiceServer(s, p)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	r.client.Expect("n1")
	r.up("n1")
	for _, c := range []engine.Call{
		{Op: engine.OpOnline, Flags: engine.OnlineIgnoreResourceStatus, Context: engine.ContextNetworkDisconnect, Epoch: 3},
		{
			Op: engine.OpOffline, Flags: engine.OfflineDueToEmbeddedFailure, Context: engine.ContextEmbeddedFailure,
			Reason: engine.StateChangeFailover, Destination: "h2",
		},
		{Op: engine.OpOffline, Reason: engine.StateChangeShutdown, Context: engine.ContextDrain},
		{Op: engine.OpTerminate, Reason: engine.StateChangeRundown},
	} {
		c.ResourceID, c.Deadline = "id", in(patience)
		if a := r.client.Call(c); a.Outcome != engine.Answered || a.Status != 0 {
			t.Fatalf("%+v", a)
		}
	}
	for i, want := range []proto.Message{
		&pb.OnlineRequest{
			ResourceId: "id", OnlineFlags: 2, Epoch: 3,
			OperationContext: pb.OperationContext_OPERATION_CONTEXT_NETWORK_DISCONNECT,
		},
		&pb.OfflineRequest{
			ResourceId: "id", OfflineFlags: 0x10, DestinationNodeName: "h2",
			StateChangeReason: pb.StateChangeReason_STATE_CHANGE_REASON_FAILOVER,
			OperationContext:  pb.OperationContext_OPERATION_CONTEXT_EMBEDDED_FAILURE,
		},
		&pb.OfflineRequest{
			ResourceId: "id", StateChangeReason: pb.StateChangeReason_STATE_CHANGE_REASON_SHUTDOWN,
			OperationContext: pb.OperationContext_OPERATION_CONTEXT_DRAIN,
		},
		&pb.TerminateRequest{ResourceId: "id", StateChangeReason: pb.StateChangeReason_STATE_CHANGE_REASON_RUNDOWN},
	} {
		if !proto.Equal(p.asked[i], want) {
			t.Errorf("%v, want %v", p.asked[i], want)
		}
	}
}
