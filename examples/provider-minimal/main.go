// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Provider-minimal serves the type "minimal" without the SDK: a resource is an entry in a map.
// Its control code PING answers with its input, but later, by EndControlCall.
package main

import (
	"context"
	"errors"
	"log"
	"net"
	"os"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
)

const ping = 0x01800005 // resource, user-defined, function 1, read: RA 6.2
const offline, online = pb.ResourceState_RESOURCE_STATE_OFFLINE, pb.ResourceState_RESOURCE_STATE_ONLINE

var states sync.Map // by handle, which is the resource id, too
var conn, dialErr = grpc.NewClient("unix:"+os.Getenv("UNDERSTUDY_MONITOR_SOCKET"),
	grpc.WithTransportCredentials(insecure.NewCredentials()))
var monitor = pb.NewMonitorServiceClient(conn)

// call serves every call of the protocol that there is to serve; the rest is "unimplemented".
func call(ctx context.Context, req any, _ *grpc.UnaryServerInfo, rest grpc.UnaryHandler) (any, error) {
	switch r := req.(type) {
	case *pb.GetInfoRequest:
		return &pb.GetInfoResponse{Name: "minimal", ProtocolVersions: []uint32{1}, ResourceTypes: []string{"minimal"}}, nil
	case *pb.GetCapabilitiesRequest:
		return &pb.GetCapabilitiesResponse{Capabilities: []pb.Capability{pb.Capability_CAPABILITY_RESOURCE_CONTROL}}, nil
	case *pb.ProbeRequest:
		return &pb.ProbeResponse{Ready: true}, nil
	case *pb.OpenRequest:
		state, _ := states.LoadOrStore(r.GetResourceHandle(), offline) // it may be known to an earlier monitor
		return &pb.OpenResponse{ResourceId: r.GetResourceHandle(), State: state.(pb.ResourceState)}, nil
	case *pb.OnlineRequest:
		states.Store(r.GetResourceId(), online)
		return &pb.OnlineResponse{EventHandle: true}, nil // so LooksAlive is never called
	case *pb.IsAliveRequest:
		state, _ := states.Load(r.GetResourceId())
		return &pb.IsAliveResponse{Alive: state == online}, nil
	case *pb.OfflineRequest, *pb.TerminateRequest, *pb.CloseRequest:
		states.Delete(r.(interface{ GetResourceId() string }).GetResourceId())
		return &emptypb.Empty{}, nil // what all three responses are when status is 0: nothing is left
	case *pb.BeginResourceControlRequest:
		if in := r.GetInput().GetInBuffer(); r.GetInput().GetControlCode() == ping {
			end := &pb.EndControlCallRequest{Context: r.GetContext(), OutBuffer: in, BytesReturned: uint32(len(in))}
			go func() { _, _ = monitor.EndControlCall(context.WithoutCancel(ctx), end, grpc.WaitForReady(true)) }()
			return &pb.BeginResourceControlResponse{Output: &pb.ControlOutput{}, ReturnedAsynchronously: true}, nil
		}
	}
	return rest(ctx, req)
}

func main() {
	socket := os.Getenv("UNDERSTUDY_PROVIDER_SOCKET")
	_ = os.Remove(socket)                                                      // of an earlier life
	listener, err := net.Listen("unix", socket)                                //nolint:noctx // lives as long as we do
	if err := errors.Join(dialErr, err, os.Chmod(socket, 0o666)); err != nil { // the monitor is another user
		log.Fatal(err)
	}
	server := grpc.NewServer(grpc.UnaryInterceptor(call))
	pb.RegisterProviderServiceServer(server, pb.UnimplementedProviderServiceServer{})
	log.Fatal(server.Serve(listener))
}
