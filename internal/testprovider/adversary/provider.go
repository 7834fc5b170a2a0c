// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package adversary

import (
	"context"
	"net"
	"os"
	"sync/atomic"

	"google.golang.org/grpc"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
)

// TypeName is the resource type.
const TypeName = "adversary"

// Provider serves the type, one resource of it. It answers as it should, until it hangs.
type Provider struct {
	pb.UnimplementedProviderServiceServer
	// Onlines and Terminates count these calls.
	Onlines, Terminates atomic.Int32
	// InTerminate runs within Terminate, if it is set.
	InTerminate atomic.Pointer[func()]
	// Context and TypeContext are those of the last control calls. They end by callbacks.
	Context, TypeContext atomic.Int64
	// hung: nothing is answered any more.
	hung atomic.Bool
}

// Hang has no entry point return any more, until the process ends.
func (p *Provider) Hang() { p.hung.Store(true) }

// Serve is the life of a process: it ends with ctx.
func (p *Provider) Serve(ctx context.Context, socket string) error {
	if err := remove(socket); err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "unix", socket)
	if err != nil {
		return err
	}
	if err := os.Chmod(socket, 0o666); err != nil {
		return err
	}
	s := grpc.NewServer(grpc.UnaryInterceptor(
		func(call context.Context, r any, _ *grpc.UnaryServerInfo, serve grpc.UnaryHandler) (any, error) {
			if p.hung.Load() {
				<-ctx.Done()
			}
			return serve(call, r)
		}))
	pb.RegisterProviderServiceServer(s, p)
	ended := make(chan struct{})
	context.AfterFunc(ctx, func() {
		s.Stop()
		close(ended)
	})
	if err := s.Serve(l); err != nil {
		return err
	}
	<-ended
	p.hung.Store(false) // the next life
	return nil
}

func (p *Provider) GetInfo(context.Context, *pb.GetInfoRequest) (*pb.GetInfoResponse, error) {
	return &pb.GetInfoResponse{
		Name: "adversary.test", ProtocolVersions: []uint32{1}, ResourceTypes: []string{TypeName},
	}, nil
}

func (p *Provider) GetCapabilities(context.Context, *pb.GetCapabilitiesRequest) (*pb.GetCapabilitiesResponse, error) {
	return &pb.GetCapabilitiesResponse{Capabilities: []pb.Capability{
		pb.Capability_CAPABILITY_RESOURCE_CONTROL, pb.Capability_CAPABILITY_RESOURCE_TYPE_CONTROL,
	}}, nil
}

func (p *Provider) Probe(context.Context, *pb.ProbeRequest) (*pb.ProbeResponse, error) {
	return &pb.ProbeResponse{Ready: true}, nil
}

func (p *Provider) Open(_ context.Context, r *pb.OpenRequest) (*pb.OpenResponse, error) {
	return &pb.OpenResponse{ResourceId: r.GetResourceHandle(), State: pb.ResourceState_RESOURCE_STATE_OFFLINE}, nil
}

func (p *Provider) Online(context.Context, *pb.OnlineRequest) (*pb.OnlineResponse, error) {
	p.Onlines.Add(1)
	return &pb.OnlineResponse{}, nil
}

func (p *Provider) Offline(context.Context, *pb.OfflineRequest) (*pb.OfflineResponse, error) {
	return &pb.OfflineResponse{}, nil
}

func (p *Provider) Terminate(context.Context, *pb.TerminateRequest) (*pb.TerminateResponse, error) {
	if f := p.InTerminate.Swap(nil); f != nil {
		(*f)()
	}
	p.Terminates.Add(1)
	return &pb.TerminateResponse{}, nil
}

func (p *Provider) LooksAlive(context.Context, *pb.LooksAliveRequest) (*pb.LooksAliveResponse, error) {
	return &pb.LooksAliveResponse{Alive: true}, nil
}

func (p *Provider) IsAlive(context.Context, *pb.IsAliveRequest) (*pb.IsAliveResponse, error) {
	return &pb.IsAliveResponse{Alive: true}, nil
}

func (p *Provider) Close(context.Context, *pb.CloseRequest) (*pb.CloseResponse, error) {
	return &pb.CloseResponse{}, nil
}

func (p *Provider) BeginResourceControl(
	_ context.Context, r *pb.BeginResourceControlRequest,
) (*pb.BeginResourceControlResponse, error) {
	p.Context.Store(r.GetContext())
	return &pb.BeginResourceControlResponse{ReturnedAsynchronously: true}, nil
}

func (p *Provider) BeginResourceTypeControl(
	_ context.Context, r *pb.BeginResourceTypeControlRequest,
) (*pb.BeginResourceTypeControlResponse, error) {
	p.TypeContext.Store(r.GetContext())
	return &pb.BeginResourceTypeControlResponse{ReturnedAsynchronously: true}, nil
}
