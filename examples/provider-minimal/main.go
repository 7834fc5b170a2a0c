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

	pb "github.com/understudy-dev/understudy/api/provider/v1"
)

const ping = 0x01800005 // resource, user-defined, function 1, read: RA 6.2
const offline, online = pb.ResourceState_RESOURCE_STATE_OFFLINE, pb.ResourceState_RESOURCE_STATE_ONLINE

var states sync.Map // by handle, which is the resource id, too
var monitor pb.MonitorServiceClient

// call serves every call of the protocol that there is to serve; the rest is "unimplemented".
func call(ctx context.Context, req any, _ *grpc.UnaryServerInfo, rest grpc.UnaryHandler) (any, error) {
	switch r := req.(type) {
	case *pb.GetInfoRequest:
		name, versions, types := "minimal.example.com", []uint32{1}, []string{"minimal"}
		return &pb.GetInfoResponse{Name: name, ProtocolVersions: versions, ResourceTypes: types}, nil
	case *pb.GetCapabilitiesRequest:
		return &pb.GetCapabilitiesResponse{Capabilities: []pb.Capability{pb.Capability_CAPABILITY_RESOURCE_CONTROL}}, nil
	case *pb.ProbeRequest:
		return &pb.ProbeResponse{Ready: true}, nil
	case *pb.StartupRequest:
		return &pb.StartupResponse{Version: 0x300}, nil
	case *pb.OpenRequest:
		state, _ := states.LoadOrStore(r.GetResourceHandle(), offline) // it may be known to an earlier monitor
		return &pb.OpenResponse{ResourceId: r.GetResourceHandle(), State: state.(pb.ResourceState)}, nil
	case *pb.OnlineRequest:
		states.Store(r.GetResourceId(), online)
		return &pb.OnlineResponse{EventHandle: true}, nil // so LooksAlive is never called
	case *pb.IsAliveRequest:
		state, _ := states.Load(r.GetResourceId())
		return &pb.IsAliveResponse{Alive: state == online}, nil
	case *pb.OfflineRequest:
		states.Store(r.GetResourceId(), offline)
		return &pb.OfflineResponse{}, nil
	case *pb.TerminateRequest:
		states.Store(r.GetResourceId(), offline)
		return &pb.TerminateResponse{}, nil
	case *pb.CloseRequest:
		states.Delete(r.GetResourceId())
		return &pb.CloseResponse{}, nil
	case *pb.BeginResourceControlRequest:
		if r.GetInput().GetControlCode() != ping {
			return &pb.BeginResourceControlResponse{Output: &pb.ControlOutput{Status: 1}}, nil // ERROR_INVALID_FUNCTION
		}
		end := &pb.EndControlCallRequest{Context: r.GetContext(), OutBuffer: r.GetInput().GetInBuffer()}
		go func() { _, _ = monitor.EndControlCall(context.WithoutCancel(ctx), end, grpc.WaitForReady(true)) }()
		return &pb.BeginResourceControlResponse{Output: &pb.ControlOutput{}, ReturnedAsynchronously: true}, nil
	}
	return rest(ctx, req)
}

func main() {
	socket := os.Getenv("UNDERSTUDY_PROVIDER_SOCKET")
	_ = os.Remove(socket) // of an earlier life
	plain := grpc.WithTransportCredentials(insecure.NewCredentials())
	conn, err1 := grpc.NewClient("unix:"+os.Getenv("UNDERSTUDY_MONITOR_SOCKET"), plain)
	listener, err2 := net.Listen("unix", socket)                             //nolint:noctx // lives as long as we do
	if err := errors.Join(err1, err2, os.Chmod(socket, 0o666)); err != nil { // the monitor is another user
		log.Fatal(err)
	}
	monitor = pb.NewMonitorServiceClient(conn)
	server := grpc.NewServer(grpc.UnaryInterceptor(call))
	pb.RegisterProviderServiceServer(server, pb.UnimplementedProviderServiceServer{})
	log.Fatal(server.Serve(listener))
}
