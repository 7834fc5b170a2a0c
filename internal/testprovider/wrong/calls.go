// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package wrong

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
)

func (p *Provider) GetInfo(ctx context.Context, req *pb.GetInfoRequest) (*pb.GetInfoResponse, error) {
	if p.breaks(StrictFields) && len(req.ProtoReflect().GetUnknown()) > 0 {
		return nil, status.Error(codes.InvalidArgument, "what is that?")
	}
	if p.breaks(EndsByItself) && slices.Contains(req.GetProtocolVersions(), 4_000_000_000) {
		go p.server.Stop()
		<-ctx.Done()
	}
	p.mu.Lock()
	p.infos++
	n := p.infos
	p.mu.Unlock()
	r := &pb.GetInfoResponse{
		Name: "wrong.example.com", VendorVersion: "1", ProtocolVersions: []uint32{1}, ResourceTypes: []string{TypeName},
	}
	if p.breaks(BadName) {
		r.Name = "Wrong Provider!"
	}
	if p.breaks(LongVersion) {
		r.VendorVersion = strings.Repeat("1", 65)
	}
	if p.breaks(NoVersion) {
		r.ProtocolVersions = nil
	}
	if p.breaks(TwinTypes) {
		r.ResourceTypes = []string{TypeName, strings.ToUpper(TypeName)}
	}
	if p.breaks(InfoChanges) {
		r.VendorVersion = fmt.Sprint(n)
	}
	return r, nil
}

func (p *Provider) GetCapabilities(context.Context, *pb.GetCapabilitiesRequest) (*pb.GetCapabilitiesResponse, error) {
	return &pb.GetCapabilitiesResponse{Capabilities: []pb.Capability{
		pb.Capability_CAPABILITY_RESOURCE_CONTROL, pb.Capability_CAPABILITY_RESOURCE_TYPE_CONTROL,
		pb.Capability_CAPABILITY_QUORUM, pb.Capability_CAPABILITY_CANCEL, pb.Capability_CAPABILITY_AS_USER,
	}}, nil
}

func (p *Provider) Probe(context.Context, *pb.ProbeRequest) (*pb.ProbeResponse, error) {
	return &pb.ProbeResponse{Ready: true}, nil
}

func (p *Provider) serves(name string, rule string) bool {
	if p.breaks(rule) {
		return name == TypeName
	}
	return strings.EqualFold(name, TypeName)
}

func (p *Provider) Startup(_ context.Context, req *pb.StartupRequest) (*pb.StartupResponse, error) {
	switch {
	case !p.serves(req.GetResourceType(), StartupCase) && !p.breaks(StartupAnyType):
		return &pb.StartupResponse{Status: 5080}, nil
	case (req.GetMinVersionSupported() > 0x400 || req.GetMaxVersionSupported() < 0x400) && !p.breaks(StartupAnyVersion):
		return &pb.StartupResponse{Status: 1306}, nil
	}
	return &pb.StartupResponse{Version: 0x400}, nil
}

func (p *Provider) Open(_ context.Context, req *pb.OpenRequest) (*pb.OpenResponse, error) {
	props := read(req.GetProperties())
	switch {
	case !p.serves(req.GetResourceType(), OpenCase) && !p.breaks(OpenAnyType):
		return &pb.OpenResponse{Status: 5080, Message: "no such type"}, nil
	case req.GetResourceHandle() == "" && !p.breaks(OpenEmptyHandle):
		return &pb.OpenResponse{Status: 87, Message: "no handle"}, nil
	case props.refuse:
		return &pb.OpenResponse{Status: 13, Message: "properties.refuse: is set"}, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.all {
		if r.handle != req.GetResourceHandle() {
			continue
		}
		if p.breaks(OpenStops) {
			p.stop(r)
		}
		if p.breaks(OpenNewID) {
			delete(p.all, r.id)
			r.id = p.newID()
			p.all[r.id] = r
		}
		answer := &pb.OpenResponse{ResourceId: r.id, State: r.state, CheckPoint: r.checkPoint}
		if p.breaks(OpenForgets) && r.state == online || p.breaks(PendingForgotten) && r.state == coming {
			answer.State = offline
		}
		return answer, nil
	}
	r := &resource{id: p.newID(), handle: req.GetResourceHandle(), props: props, state: offline}
	if r.props.path != "" && exists(r.props.path) {
		r.state = online
	}
	p.all[r.id] = r
	answer := &pb.OpenResponse{ResourceId: r.id, State: r.state}
	if p.breaks(OpenSaysOnline) {
		answer.State = online
	}
	return answer, nil
}

func (p *Provider) newID() string {
	p.opened++
	return fmt.Sprintf("id-%d-%d", time.Now().UnixNano(), p.opened)
}

func (p *Provider) Online(_ context.Context, req *pb.OnlineRequest) (*pb.OnlineResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.all[req.GetResourceId()]
	switch {
	case r == nil && p.breaks(OnlineUnknown):
		return &pb.OnlineResponse{}, nil
	case r == nil:
		return &pb.OnlineResponse{Status: 5007, Message: "no such resource"}, nil
	case r.state == online && p.breaks(OnlineOnce):
		return &pb.OnlineResponse{Status: 5023, Message: "it is online"}, nil
	case r.state == online && exists(r.props.path):
		return &pb.OnlineResponse{EventHandle: true}, nil
	case r.state == coming:
		return &pb.OnlineResponse{Status: 997}, nil
	}
	if !p.breaks(OnlineOldProperties) {
		r.props = read(req.GetProperties())
	}
	r.epoch, r.checkPoint = req.GetEpoch(), 0
	r.life, r.end = context.WithCancel(p.ctx)
	if r.props.steps > 0 {
		r.state = coming
		go p.work(r.life, r, r.props.steps)
		return &pb.OnlineResponse{Status: 997}, nil
	}
	if err := p.start(r); err != nil {
		r.state = failed
		answer := &pb.OnlineResponse{Status: 5018, Message: err.Error()}
		if p.breaks(OnlineSilent) {
			answer.Message = ""
		}
		if p.breaks(LongMessage) {
			answer.Message = strings.Repeat("m", 2000)
		}
		if p.breaks(OnlineAlwaysGood) {
			answer.Status = 0
		}
		return answer, nil
	}
	if p.breaks(ReportsWithoutPending) {
		st := &pb.ResourceStatusEx{ResourceState: online, CheckPoint: 1}
		go p.tell(r.life, func(ctx context.Context) error {
			_, err := p.monitor.SetResourceStatusEx(ctx, &pb.SetResourceStatusExRequest{ResourceHandle: r.handle, ResourceStatus: st})
			return err
		})
	}
	return &pb.OnlineResponse{EventHandle: true}, nil
}

func (p *Provider) Offline(_ context.Context, req *pb.OfflineRequest) (*pb.OfflineResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.all[req.GetResourceId()]
	switch {
	case r == nil:
		return &pb.OfflineResponse{Status: 5007}, nil
	case p.breaks(OfflineLies):
		r.state = offline
		return &pb.OfflineResponse{}, nil
	case p.breaks(OfflineOnce) && r.state == offline:
		return &pb.OfflineResponse{Status: 5023, Message: "it is offline"}, nil
	case p.breaks(SignalsOffline) && r.state == online:
		life := context.WithoutCancel(r.life)
		go p.signal(life, r)
	}
	return &pb.OfflineResponse{Status: p.stop(r)}, nil
}

func (p *Provider) Terminate(_ context.Context, req *pb.TerminateRequest) (*pb.TerminateResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.all[req.GetResourceId()]
	switch {
	case r == nil:
		return &pb.TerminateResponse{Status: 5007}, nil
	case p.breaks(TerminateLies):
		r.state = offline
		return &pb.TerminateResponse{}, nil
	case p.breaks(TerminateOnce) && r.state == offline:
		return &pb.TerminateResponse{Status: 5023, Message: "it is offline"}, nil
	case p.breaks(TerminateAll):
		for _, other := range p.all {
			p.stop(other)
		}
	}
	return &pb.TerminateResponse{Status: p.stop(r)}, nil
}

func (p *Provider) LooksAlive(_ context.Context, req *pb.LooksAliveRequest) (*pb.LooksAliveResponse, error) {
	return &pb.LooksAliveResponse{Alive: p.alive(req.GetResourceId()) && !p.breaks(NeverLooksAlive)}, nil
}

func (p *Provider) IsAlive(_ context.Context, req *pb.IsAliveRequest) (*pb.IsAliveResponse, error) {
	r := &pb.IsAliveResponse{Alive: p.alive(req.GetResourceId())}
	if !r.GetAlive() && !p.breaks(SilentWhenFailed) {
		r.Message = "the file is not there"
	}
	return r, nil
}

func (p *Provider) alive(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.all[id]
	if r == nil {
		return p.breaks(UnknownAlive)
	}
	return p.breaks(AlwaysAlive) || r.state == online && exists(r.props.path)
}

func (p *Provider) Close(_ context.Context, req *pb.CloseRequest) (*pb.CloseResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.all[req.GetResourceId()]
	if r == nil {
		if p.breaks(CloseOnce) {
			return &pb.CloseResponse{Status: 5038}, nil
		}
		return &pb.CloseResponse{}, nil
	}
	if !p.breaks(CloseLeaves) {
		p.stop(r)
	}
	delete(p.all, r.id)
	return &pb.CloseResponse{}, nil
}

func (p *Provider) Cancel(_ context.Context, req *pb.CancelRequest) (*pb.CancelResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.all[req.GetResourceId()]
	switch {
	case r == nil && p.breaks(CancelUnknown):
		return &pb.CancelResponse{}, nil
	case r == nil:
		return &pb.CancelResponse{Status: 5007}, nil
	case r.state == online && p.breaks(CancelEnds):
		p.stop(r)
	case r.state == coming && p.breaks(CancelLies):
		return &pb.CancelResponse{}, nil
	case r.state == coming:
		p.stop(r)
		return &pb.CancelResponse{}, nil
	}
	return &pb.CancelResponse{Status: 5023}, nil
}

func (p *Provider) Arbitrate(_ context.Context, req *pb.ArbitrateRequest) (*pb.ArbitrateResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.all[req.GetResourceId()]
	switch {
	case r == nil && !p.breaks(QuorumUnknown):
		return &pb.ArbitrateResponse{Status: 5007}, nil
	case r != nil && r.epoch < 0 && p.breaks(QuorumOnce):
		return &pb.ArbitrateResponse{Status: 5006}, nil
	case r != nil:
		r.epoch = -1 // defended
	}
	return &pb.ArbitrateResponse{}, nil
}

func (p *Provider) Release(_ context.Context, req *pb.ReleaseRequest) (*pb.ReleaseResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.all[req.GetResourceId()]
	switch {
	case r == nil:
		return &pb.ReleaseResponse{Status: 5007}, nil
	case r.epoch == 0 && p.breaks(ReleaseOnce):
		return &pb.ReleaseResponse{Status: 5023}, nil
	}
	r.epoch = 0
	return &pb.ReleaseResponse{}, nil
}

func (p *Provider) BeginResourceControl(
	_ context.Context, req *pb.BeginResourceControlRequest,
) (*pb.BeginResourceControlResponse, error) {
	out, later := p.control(req.GetResourceId(), req.GetInput(), req.GetContext())
	return &pb.BeginResourceControlResponse{Output: out, ReturnedAsynchronously: later}, nil
}

func (p *Provider) BeginResourceControlAsUser(
	_ context.Context, req *pb.BeginResourceControlAsUserRequest,
) (*pb.BeginResourceControlAsUserResponse, error) {
	out, later := p.control(req.GetResourceId(), req.GetInput(), req.GetContext())
	return &pb.BeginResourceControlAsUserResponse{Output: out, ReturnedAsynchronously: later}, nil
}

func (p *Provider) control(id string, in *pb.ControlInput, call int64) (*pb.ControlOutput, bool) {
	if p.find(id) == nil && !p.breaks(ControlAnyResource) {
		return &pb.ControlOutput{Status: 5007}, false
	}
	if in.GetControlCode() == 0x01400086 { // SET_PRIVATE_PROPERTIES
		if !json.Valid(in.GetInBuffer()) || in.GetInBuffer()[0] != '{' {
			return &pb.ControlOutput{Status: code(p.breaks(BadProperties), 0, 13)}, false
		}
		return &pb.ControlOutput{Status: 5024}, false
	}
	return p.echo(in, Echo, EchoLater, call, false)
}

func (p *Provider) BeginResourceTypeControl(
	_ context.Context, req *pb.BeginResourceTypeControlRequest,
) (*pb.BeginResourceTypeControlResponse, error) {
	out, later := p.typeControl(req.GetResourceTypeName(), req.GetInput(), req.GetContext())
	return &pb.BeginResourceTypeControlResponse{Output: out, ReturnedAsynchronously: later}, nil
}

func (p *Provider) BeginResourceTypeControlAsUser(
	_ context.Context, req *pb.BeginResourceTypeControlAsUserRequest,
) (*pb.BeginResourceTypeControlAsUserResponse, error) {
	out, later := p.typeControl(req.GetResourceTypeName(), req.GetInput(), req.GetContext())
	return &pb.BeginResourceTypeControlAsUserResponse{Output: out, ReturnedAsynchronously: later}, nil
}

func (p *Provider) typeControl(name string, in *pb.ControlInput, call int64) (*pb.ControlOutput, bool) {
	if !strings.EqualFold(name, TypeName) && !p.breaks(ControlAnyType) {
		return &pb.ControlOutput{Status: 5078}, false
	}
	return p.echo(in, TypeEcho, TypeEchoLater, call, !p.breaks(TypeControlEndsWrongly))
}

// echo answers at once or later.
func (p *Provider) echo(in *pb.ControlInput, now, later uint32, call int64, ofType bool) (*pb.ControlOutput, bool) {
	text := in.GetInBuffer()
	out := &pb.ControlOutput{OutBuffer: text, BytesReturned: uint32(len(text))}
	if len(text) > int(in.GetOutBufferSize()) && !p.breaks(ControlOverflows) {
		out = &pb.ControlOutput{Status: 234, BytesReturned: uint32(len(text))}
	}
	if p.breaks(ControlBytes) {
		out.BytesReturned++
	}
	switch in.GetControlCode() {
	case later:
		p.mu.Lock()
		again := p.begun[call]
		p.begun[call] = true
		p.mu.Unlock()
		if !again || p.breaks(ControlBeginsTwice) {
			go p.finish(out, call, ofType)
		}
		return &pb.ControlOutput{}, true
	case now:
		if p.breaks(ControlEndsAtOnceToo) {
			go p.finish(out, call, ofType)
		}
		return out, false
	}
	return &pb.ControlOutput{Status: code(p.breaks(ControlAnyCode), 0, 1)}, false
}

// finish ends a control call.
func (p *Provider) finish(out *pb.ControlOutput, call int64, ofType bool) {
	if p.breaks(ControlWrongContext) {
		call += 1_000_000
	}
	times := 1
	if p.breaks(ControlEndsTwice) {
		times = 2
	}
	p.tell(p.ctx, func(ctx context.Context) (err error) {
		if ofType {
			_, err = p.monitor.ExtendResTypeControlCall(ctx,
				&pb.ExtendResTypeControlCallRequest{Context: call, NewTimeoutInMs: 60_000})
		} else {
			_, err = p.monitor.ExtendControlCall(ctx, &pb.ExtendControlCallRequest{Context: call, NewTimeoutInMs: 60_000})
		}
		return err
	})
	for range times {
		p.tell(p.ctx, func(ctx context.Context) (err error) {
			if ofType {
				_, err = p.monitor.EndTypeControlCall(ctx, &pb.EndTypeControlCallRequest{
					Context: call, Status: out.GetStatus(), OutBuffer: out.GetOutBuffer(), BytesReturned: out.GetBytesReturned(),
				})
				return err
			}
			_, err = p.monitor.EndControlCall(ctx, &pb.EndControlCallRequest{
				Context: call, Status: out.GetStatus(), OutBuffer: out.GetOutBuffer(), BytesReturned: out.GetBytesReturned(),
			})
			return err
		})
	}
	p.mu.Lock()
	delete(p.begun, call)
	p.mu.Unlock()
}

func code(broken bool, wrong, right uint32) uint32 {
	if broken {
		return wrong
	}
	return right
}
