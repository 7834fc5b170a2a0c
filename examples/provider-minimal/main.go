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
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
)

const ping = 0x01800005 // resource, user-defined, function 1, read: RA 6.2
const offline, online = pb.ResourceState_RESOURCE_STATE_OFFLINE, pb.ResourceState_RESOURCE_STATE_ONLINE

var states, pings sync.Map // by handle, which is the resource id, too; and those under way, by context
var conn, dialErr = grpc.NewClient("unix:"+os.Getenv("UNDERSTUDY_MONITOR_SOCKET"),
	grpc.WithTransportCredentials(insecure.NewCredentials()))

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
		if r.GetResourceHandle() != "" && strings.EqualFold(r.GetResourceType(), "minimal") {
			state, _ := states.LoadOrStore(r.GetResourceHandle(), offline) // an earlier monitor may have opened it
			return &pb.OpenResponse{ResourceId: r.GetResourceHandle(), State: state.(pb.ResourceState)}, nil
		}
	case *pb.OnlineRequest:
		if states.CompareAndSwap(r.GetResourceId(), offline, online) || is(r, online) {
			return &pb.OnlineResponse{EventHandle: true}, nil // so LooksAlive is never called
		}
	case *pb.IsAliveRequest:
		return &pb.IsAliveResponse{Alive: is(r, online)}, nil
	case *pb.OfflineRequest, *pb.TerminateRequest:
		states.CompareAndSwap(r.(named).GetResourceId(), online, offline)
		return &pb.TerminateResponse{}, nil // an empty message is all responses whose status is 0: nothing is left
	case *pb.CloseRequest:
		states.Delete(r.GetResourceId())
		return &pb.CloseResponse{}, nil
	case *pb.BeginResourceControlRequest:
		if r.GetInput().GetControlCode() == ping && (is(r, online) || is(r, offline)) {
			if _, open := pings.LoadOrStore(r.GetContext(), true); !open { // else it is repeated, and goes on
				go answer(context.WithoutCancel(ctx), r)
			}
			return &pb.BeginResourceControlResponse{Output: &pb.ControlOutput{}, ReturnedAsynchronously: true}, nil
		}
	}
	return rest(ctx, req)
}

type named interface{ GetResourceId() string }

func is(r named, s pb.ResourceState) bool { return states.CompareAndSwap(r.GetResourceId(), s, s) }

// answer ends a PING: with its input, or 234 and the room that it takes.
func answer(ctx context.Context, r *pb.BeginResourceControlRequest) {
	in := r.GetInput().GetInBuffer()
	end := &pb.EndControlCallRequest{Context: r.GetContext(), OutBuffer: in, BytesReturned: uint32(len(in))}
	if end.GetBytesReturned() > r.GetInput().GetOutBufferSize() {
		end.Status, end.OutBuffer = 234, nil
	}
	for again := true; again; { // a monitor that goes away meanwhile may not have heard it
		_, err := pb.NewMonitorServiceClient(conn).EndControlCall(ctx, end, grpc.WaitForReady(true))
		again = status.Code(err) == codes.Unavailable
	}
	pings.Delete(r.GetContext())
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
