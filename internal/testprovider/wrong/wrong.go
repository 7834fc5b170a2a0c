// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package wrong is a provider that keeps every rule of the protocol but those that it is
// told to break: it shows that the conformance suite notices. It serves all that is
// optional, too, and speaks the protocol itself, because the SDK would not let it.
//
// A resource of its type "wrong" is a file, property path, that exists while the
// resource is online. Property steps makes Online pending for so many checkpoints, fail
// makes Online fail, refuse makes Open refuse.
package wrong

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
)

const (
	// TypeName is the resource type.
	TypeName = "wrong"
	// Echo answers with its input at once, EchoLater by EndControlCall; TypeEcho and
	// TypeEchoLater are those of the type.
	Echo          uint32 = 0x01800005
	EchoLater     uint32 = 0x01800009
	TypeEcho      uint32 = 0x02800005
	TypeEchoLater uint32 = 0x02800009
)

const (
	online  = pb.ResourceState_RESOURCE_STATE_ONLINE
	offline = pb.ResourceState_RESOURCE_STATE_OFFLINE
	failed  = pb.ResourceState_RESOURCE_STATE_FAILED
	coming  = pb.ResourceState_RESOURCE_STATE_ONLINE_PENDING
)

// Provider serves the type. Breaks are the rules that it breaks: see Breaks.
type Provider struct {
	pb.UnimplementedProviderServiceServer
	Breaks []string

	ctx     context.Context
	server  *grpc.Server
	monitor pb.MonitorServiceClient
	mu      sync.Mutex
	all     map[string]*resource // by id
	opened  int
	infos   int
	begun   map[int64]bool
}

type resource struct {
	id, handle string
	props      properties
	state      pb.ResourceState
	checkPoint uint32
	epoch      int64
	// life ends with what was brought online, or was to be.
	life context.Context
	end  context.CancelFunc
}

type properties struct {
	path         string
	steps        int
	fail, refuse bool
}

func read(s *structpb.Struct) (p properties) {
	m := s.AsMap()
	p.path, _ = m["path"].(string)
	steps, _ := m["steps"].(float64)
	p.steps = int(steps)
	p.fail, _ = m["fail"].(bool)
	p.refuse, _ = m["refuse"].(bool)
	return p
}

// breaks says whether a rule is to be broken.
func (p *Provider) breaks(rule string) bool { return slices.Contains(p.Breaks, rule) }

// Serve serves until ctx ends.
func (p *Provider) Serve(ctx context.Context, socket, monitor string) error {
	p = &Provider{Breaks: p.Breaks} // each life is its own
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conn, err := grpc.NewClient("unix:"+monitor, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 5 * time.Millisecond, Multiplier: 1.5, MaxDelay: 50 * time.Millisecond},
			MinConnectTimeout: time.Second,
		}),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(!p.breaks(DropsReports))))
	if err != nil {
		return err
	}
	defer conn.Close()
	p.ctx, p.monitor = ctx, pb.NewMonitorServiceClient(conn)
	p.all, p.begun = map[string]*resource{}, map[int64]bool{}
	_ = os.Remove(socket)
	l, err := new(net.ListenConfig).Listen(ctx, "unix", socket)
	if err != nil {
		return err
	}
	mode := fs.FileMode(0o666)
	if p.breaks(SocketMode) {
		mode = 0o600
	}
	if err := os.Chmod(socket, mode); err != nil {
		return err
	}
	p.server = grpc.NewServer()
	pb.RegisterProviderServiceServer(p.server, p)
	context.AfterFunc(ctx, func() { // ownership ends
		p.mu.Lock()
		for _, r := range p.all {
			p.stop(r)
		}
		p.mu.Unlock()
		p.server.Stop()
	})
	return p.server.Serve(l)
}

// find is the resource of an id; nil if there is none. The caller does not hold mu.
func (p *Provider) find(id string) *resource {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all[id]
}

// tell sends a callback until it is answered, or the provider ends.
func (p *Provider) tell(ctx context.Context, send func(ctx context.Context) error) {
	for {
		attempt, cancel := context.WithTimeout(ctx, time.Second)
		err := send(attempt)
		cancel()
		switch status.Code(err) {
		case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		default:
			return
		}
		if ctx.Err() != nil || p.breaks(DropsReports) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// start brings the resource online; the caller holds mu.
func (p *Provider) start(r *resource) error {
	if r.props.fail {
		return errors.New("told to fail")
	}
	if p.breaks(OnlineLies) {
		r.state = online
		return nil
	}
	if err := os.WriteFile(r.props.path, []byte(r.id), 0o600); err != nil {
		return err
	}
	r.state = online
	go p.watch(r.life, r)
	go p.callEverything(r.life, r)
	return nil
}

// watch signals the end of the file, unless it was asked for.
func (p *Provider) watch(life context.Context, r *resource) {
	for {
		select {
		case <-life.Done():
			return
		case <-time.After(2 * time.Millisecond):
		}
		p.mu.Lock()
		gone := life.Err() == nil && r.state == online && !exists(r.props.path)
		if gone {
			r.state = failed
		}
		p.mu.Unlock()
		if gone && !p.breaks(NoSignal) {
			p.signal(life, r)
			return
		}
	}
}

func (p *Provider) signal(life context.Context, r *resource) {
	req := &pb.SignalFailureRequest{ResourceHandle: r.handle, FailureType: 1, Exited: true, Message: "the file is gone"}
	if p.breaks(BadFailureType) {
		req.FailureType = 17
	}
	for n := range 2 {
		if n == 1 {
			life = p.ctx
		}
		p.tell(life, func(ctx context.Context) error {
			_, err := p.monitor.SignalFailure(ctx, req)
			return err
		})
		if !p.breaks(SignalsTwice) {
			return
		}
	}
}

// stop takes the resource offline; the caller holds mu.
func (p *Provider) stop(r *resource) uint32 {
	if r.end != nil {
		r.end()
	}
	if err := os.Remove(r.props.path); err != nil && !errors.Is(err, fs.ErrNotExist) && r.state != offline {
		return 5038
	}
	r.state = offline
	return 0
}

// callEverything makes each callback once that a running resource can make.
func (p *Provider) callEverything(ctx context.Context, r *resource) {
	h := r.handle
	list, _ := structpb.NewStruct(map[string]any{"ResourceSpecificStatus": "fine"})
	size, level, state, flags, typ, self, name := 1, pb.LogLevel(1), pb.ApplicationState(3), uint32(1), TypeName, h, "program"
	if p.breaks(BadCallbacks) {
		size, level, state, flags, typ, self, name = 5000, 99, 99, 99, "strange", "stranger", strings.Repeat("x", 300)
		list, _ = structpb.NewStruct(map[string]any{"x": strings.Repeat("x", 20_000)})
	}
	if p.breaks(WrongHandle) {
		h = r.id
	}
	m := p.monitor
	for _, call := range []func(ctx context.Context) error{
		func(ctx context.Context) error {
			_, err := m.LogEvent(ctx, &pb.LogEventRequest{ResourceHandle: h, LogLevel: level, Message: "it runs"})
			return err
		},
		func(ctx context.Context) error {
			_, err := m.SetInternalState(ctx, &pb.SetInternalStateRequest{ResourceHandle: h, StateType: state, Active: true})
			return err
		},
		func(ctx context.Context) error {
			_, err := m.SetResourceInMemoryNodeLocalProperties(ctx,
				&pb.SetResourceInMemoryNodeLocalPropertiesRequest{ResourceHandle: h, PropertyList: list})
			return err
		},
		func(ctx context.Context) error {
			_, err := m.SetResourceLockedMode(ctx, &pb.SetResourceLockedModeRequest{ResourceHandle: h, LockedModeEnabled: true})
			return err
		},
		func(ctx context.Context) error {
			_, err := m.SetResourceLockedModeEx(ctx, &pb.SetResourceLockedModeExRequest{ResourceHandle: h, LockedModeFlags: flags})
			return err
		},
		func(ctx context.Context) error {
			_, err := m.RaiseResTypeNotification(ctx,
				&pb.RaiseResTypeNotificationRequest{ResourceType: typ, Payload: make([]byte, size)})
			return err
		},
		func(ctx context.Context) error {
			_, err := m.ChangeResourceProcessForDumps(ctx,
				&pb.ChangeResourceProcessForDumpsRequest{ResourceHandle: h, ProcessName: name, ProcessId: 1, IsAdd: true})
			return err
		},
		func(ctx context.Context) error {
			_, err := m.ChangeResTypeProcessForDumps(ctx,
				&pb.ChangeResTypeProcessForDumpsRequest{ResourceTypeName: typ, ProcessName: name, ProcessId: 1, IsAdd: true})
			return err
		},
		func(ctx context.Context) error {
			_, err := m.RequestDump(ctx, &pb.RequestDumpRequest{ResourceHandle: h})
			return err
		},
		func(ctx context.Context) error {
			s, err := m.EnumResources(ctx, &pb.EnumResourcesRequest{SelfHandle: self})
			if err == nil {
				_, err = s.Recv()
			}
			return err
		},
		func(ctx context.Context) error {
			if !p.breaks(LostAnytime) {
				return nil
			}
			_, err := m.QuorumResourceLost(ctx, &pb.QuorumResourceLostRequest{ResourceHandle: h})
			return err
		},
	} {
		attempt, cancel := context.WithTimeout(ctx, time.Second)
		_ = call(attempt)
		cancel()
	}
}

// work is a pending Online.
func (p *Provider) work(life context.Context, r *resource, steps int) {
	told := false // by the monitor to end
	send := func(state pb.ResourceState, message string) {
		p.mu.Lock()
		if !p.breaks(CheckPointStuck) || r.checkPoint == 0 {
			r.checkPoint++
		}
		st := &pb.ResourceStatusEx{ResourceState: state, CheckPoint: r.checkPoint, EventHandle: state == online, Message: message}
		p.mu.Unlock()
		req := &pb.SetResourceStatusExRequest{ResourceHandle: r.handle, ResourceStatus: st}
		if p.breaks(WrongHandle) {
			req.ResourceHandle = r.id
		}
		if p.breaks(LongMessage) {
			st.Message = strings.Repeat("m", 2000)
		}
		ctx := life
		if p.breaks(ReportsAfterTerminate) || p.breaks(FinalTwice) {
			ctx = p.ctx
		}
		p.tell(ctx, func(ctx context.Context) error {
			resp, err := p.monitor.SetResourceStatusEx(ctx, req)
			if err == nil && resp.GetExitState() == pb.ResourceExitState_RESOURCE_EXIT_STATE_TERMINATE && !p.breaks(Deaf) {
				told = true
			}
			if err == nil && resp.GetExitState() != pb.ResourceExitState_RESOURCE_EXIT_STATE_CONTINUE && p.breaks(EndsOnOddAnswers) {
				told = true
			}
			return err
		})
	}
	state := coming
	if p.breaks(WrongPendingState) {
		state = pb.ResourceState_RESOURCE_STATE_OFFLINE_PENDING
	}
	for i := range steps {
		time.Sleep(20 * time.Millisecond)
		if p.breaks(ReportsAfterTerminate) {
			time.Sleep(80 * time.Millisecond)
		}
		if life.Err() != nil && !p.breaks(ReportsAfterTerminate) && !p.breaks(TerminateKeepsWorker) {
			return
		}
		send(state, fmt.Sprintf("step %d", i))
		if told {
			return
		}
	}
	p.mu.Lock()
	var err error
	if life.Err() == nil || p.breaks(TerminateKeepsWorker) {
		err = p.start(r)
	}
	if err != nil {
		r.state = failed
	}
	p.mu.Unlock()
	end, message := online, ""
	if err != nil {
		end, message = failed, err.Error()
	}
	if p.breaks(NoFinal) {
		return
	}
	send(end, message)
	if p.breaks(FinalTwice) {
		send(end, message)
	}
}
