// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package misbehaving

import (
	"context"
	"slices"
	"time"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
)

// TypeName is the resource type.
const TypeName = "misbehaving"

func (p *Provider) GetInfo(context.Context, *pb.GetInfoRequest) (*pb.GetInfoResponse, error) {
	return &pb.GetInfoResponse{
		Name: "misbehaving.test", ProtocolVersions: []uint32{1}, ResourceTypes: []string{TypeName},
	}, nil
}

func (p *Provider) GetCapabilities(context.Context, *pb.GetCapabilitiesRequest) (*pb.GetCapabilitiesResponse, error) {
	return &pb.GetCapabilitiesResponse{Capabilities: []pb.Capability{pb.Capability_CAPABILITY_RESOURCE_CONTROL}}, nil
}

func (p *Provider) Probe(context.Context, *pb.ProbeRequest) (*pb.ProbeResponse, error) {
	return &pb.ProbeResponse{Ready: true}, nil
}

func (p *Provider) Startup(context.Context, *pb.StartupRequest) (*pb.StartupResponse, error) {
	return &pb.StartupResponse{Version: 0x300}, nil
}

func (p *Provider) Open(_ context.Context, req *pb.OpenRequest) (*pb.OpenResponse, error) {
	props, err := decode(req.GetProperties())
	if err != nil {
		//nolint:nilerr // the status says it
		return &pb.OpenResponse{Status: 13, Message: err.Error()}, nil
	}
	id := req.GetResourceHandle()
	p.mu.Lock()
	r := p.all[id]
	if r == nil {
		r = &resource{handle: id, props: props, state: pb.ResourceState_RESOURCE_STATE_OFFLINE}
		p.all[id] = r
		if props.Lock != "" && held(props.Lock) {
			r.state = pb.ResourceState_RESOURCE_STATE_ONLINE // found running
		}
	}
	p.mu.Unlock()
	if err := p.misbehave("Open", r); err != nil {
		return nil, err
	}
	return &pb.OpenResponse{Status: r.status("Open"), ResourceId: id, State: p.state(r)}, nil
}

func (p *Provider) state(r *resource) pb.ResourceState {
	p.mu.Lock()
	defer p.mu.Unlock()
	return r.state
}

func (p *Provider) set(r *resource, state pb.ResourceState) {
	p.mu.Lock()
	r.state = state
	p.mu.Unlock()
}

func (p *Provider) Online(ctx context.Context, req *pb.OnlineRequest) (*pb.OnlineResponse, error) {
	r, err := p.enter("Online", req.GetResourceId())
	if err != nil {
		return nil, err
	}
	if req.GetProperties() != nil {
		props, err := decode(req.GetProperties())
		if err != nil {
			//nolint:nilerr // the status says it
			return &pb.OnlineResponse{Status: 13, Message: err.Error()}, nil
		}
		p.mu.Lock()
		r = &resource{handle: r.handle, props: props, state: r.state, cancel: r.cancel}
		p.all[r.handle] = r
		p.mu.Unlock()
		if err := p.misbehave("Online", r); err != nil {
			return nil, err
		}
	}
	if r.fails("Online") {
		return &pb.OnlineResponse{Status: 5038, Message: "as told"}, nil
	}
	if err := p.run(r); err != nil {
		//nolint:nilerr // the status says it
		return &pb.OnlineResponse{Status: 5018, Message: err.Error()}, nil
	}
	if r.props.Steps == 0 && !r.props.Stuck {
		p.set(r, pb.ResourceState_RESOURCE_STATE_ONLINE)
		return &pb.OnlineResponse{}, nil
	}
	p.set(r, pb.ResourceState_RESOURCE_STATE_ONLINE_PENDING)
	go p.pending(context.WithoutCancel(ctx), r)
	return &pb.OnlineResponse{Status: 997}, nil
}

// pending reports checkpoints, then online.
func (p *Provider) pending(ctx context.Context, r *resource) {
	for i := uint32(1); r.props.Stuck || int(i) <= r.props.Steps+1; i++ {
		st := &pb.ResourceStatusEx{ResourceState: pb.ResourceState_RESOURCE_STATE_ONLINE_PENDING, CheckPoint: i}
		switch {
		case r.props.Stuck:
			st.CheckPoint = 1
		case int(i) > r.props.Steps:
			st.ResourceState = pb.ResourceState_RESOURCE_STATE_ONLINE
			p.set(r, st.GetResourceState())
		}
		time.Sleep(time.Duration(max(r.props.StepMilliseconds, 1)) * time.Millisecond)
		req := &pb.SetResourceStatusExRequest{ResourceHandle: r.handle, ResourceStatus: st}
		answer, err := p.monitor.SetResourceStatusEx(ctx, req)
		if err == nil && answer.GetExitState() == pb.ResourceExitState_RESOURCE_EXIT_STATE_TERMINATE && !r.props.Deaf {
			return
		}
		p.Reports.Add(1)
	}
}

func (p *Provider) Offline(_ context.Context, req *pb.OfflineRequest) (*pb.OfflineResponse, error) {
	code, err := p.end("Offline", req.GetResourceId())
	return &pb.OfflineResponse{Status: code}, err
}

func (p *Provider) Terminate(_ context.Context, req *pb.TerminateRequest) (*pb.TerminateResponse, error) {
	code, err := p.end("Terminate", req.GetResourceId())
	return &pb.TerminateResponse{Status: code}, err
}

func (p *Provider) end(call, id string) (uint32, error) {
	r, err := p.enter(call, id)
	switch {
	case err != nil:
		return 0, err
	case slices.Contains(r.props.Lie, call):
		return 0, nil
	case r.fails(call):
		return r.status(call), nil
	}
	if err := p.stop(r); err != nil {
		return 5038, nil //nolint:nilerr // the status says it
	}
	p.set(r, pb.ResourceState_RESOURCE_STATE_OFFLINE)
	return 0, nil
}

func (p *Provider) LooksAlive(_ context.Context, req *pb.LooksAliveRequest) (*pb.LooksAliveResponse, error) {
	r, err := p.enter("LooksAlive", req.GetResourceId())
	if err != nil {
		return nil, err
	}
	return &pb.LooksAliveResponse{Alive: !r.fails("LooksAlive")}, nil
}

func (p *Provider) IsAlive(_ context.Context, req *pb.IsAliveRequest) (*pb.IsAliveResponse, error) {
	r, err := p.enter("IsAlive", req.GetResourceId())
	if err != nil {
		return nil, err
	}
	alive := !r.fails("IsAlive") && (r.props.Lock == "" || held(r.props.Lock))
	return &pb.IsAliveResponse{Alive: alive}, nil
}

func (p *Provider) Close(_ context.Context, req *pb.CloseRequest) (*pb.CloseResponse, error) {
	r, err := p.enter("Close", req.GetResourceId())
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	delete(p.all, r.handle)
	p.mu.Unlock()
	return &pb.CloseResponse{Status: r.status("Close")}, nil
}

// BeginResourceControl answers nothing but its misbehaviour: any code is left open
// for ever.
func (p *Provider) BeginResourceControl(
	_ context.Context, req *pb.BeginResourceControlRequest,
) (*pb.BeginResourceControlResponse, error) {
	r, err := p.enter("BeginResourceControl", req.GetResourceId())
	if err != nil {
		return nil, err
	}
	if code := r.status("BeginResourceControl"); code != 0 {
		return &pb.BeginResourceControlResponse{Output: &pb.ControlOutput{Status: code}}, nil
	}
	return &pb.BeginResourceControlResponse{Output: &pb.ControlOutput{}, ReturnedAsynchronously: true}, nil
}
