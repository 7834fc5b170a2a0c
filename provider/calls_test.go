// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"context"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
	"github.com/understudy-dev/understudy/provider"
)

// Shows: Startup.
func TestIdentity(t *testing.T) {
	s := newStage(t, &fake{})
	if info, err := s.GetInfo(s.ctx(), &pb.GetInfoRequest{}); err != nil || info.GetName() != "fake.example.com" || info.GetResourceTypes()[0] != "Fake" {
		t.Errorf("GetInfo: %v, %v", info, err)
	}
	if p, err := s.Probe(s.ctx(), &pb.ProbeRequest{}); err != nil || !p.GetReady() {
		t.Errorf("Probe: %v, %v", p, err)
	}
	for _, c := range []struct {
		kind             string
		least, most      uint32
		status, version_ uint32
	}{
		{"FAKE", 0x100, 0x400, 0, 0x400},
		{"fake", 0x300, 0x300, 0, 0x300},
		{"fake", 0x100, 0x2ff, 0, 0x200},
		{"fake", 0x401, 0x500, 1306, 0},
		{"fake", 0x000, 0x0ff, 1306, 0},
		{"other", 0x100, 0x400, 5080, 0},
	} {
		resp, err := s.Startup(s.ctx(), &pb.StartupRequest{ResourceType: c.kind, MinVersionSupported: c.least, MaxVersionSupported: c.most})
		if err != nil || resp.GetStatus() != c.status || resp.GetVersion() != c.version_ {
			t.Errorf("Startup %+v: %v, %v", c, resp, err)
		}
	}
	if st, err := os.Stat(s.monitor.Provider); err != nil || st.Mode().Perm() != 0o666 {
		t.Errorf("the socket: %v, %v", st, err)
	}
}

func TestOpen(t *testing.T) {
	s := newStage(t, &fake{})
	for name, c := range map[string]struct {
		req    *pb.OpenRequest
		status uint32
		text   string
	}{
		"no such type": {&pb.OpenRequest{ResourceHandle: "x", ResourceType: "other"}, 5080, "other"},
		"no handle":    {&pb.OpenRequest{ResourceType: "fake"}, 87, "handle"},
		"bad properties": {&pb.OpenRequest{ResourceHandle: "x", ResourceType: "fake", Properties: &structpb.Struct{
			Fields: map[string]*structpb.Value{"refuse": structpb.NewBoolValue(true)}}}, 13, "properties.refuse: is not known"},
	} {
		resp, err := s.Open(s.ctx(), c.req)
		if err != nil || resp.GetStatus() != c.status || !strings.Contains(resp.GetMessage(), c.text) {
			t.Errorf("%s: %v, %v", name, resp, err)
		}
	}
	s.mustOnline(0)
	for _, flags := range []uint32{0, provider.OpenRecoverMonitorState} {
		if r := s.open(flags); r.GetResourceId() != s.id || r.GetState() != provider.StateOnline {
			t.Errorf("Open again with flags %d: %v", flags, r)
		}
	}
	for range 2 { // a resource that is not offline is terminated first; and again
		if r, err := s.Close(s.ctx(), &pb.CloseRequest{ResourceId: s.id}); err != nil || r.GetStatus() != 0 {
			t.Errorf("Close: %v, %v", r, err)
		}
	}
	if got := strings.Join(s.fake.calls, " "); got != "Open Open Online Terminate Close" {
		t.Errorf("calls: %s", got)
	}
	if r, err := s.online(); err != nil || r.GetStatus() != 5007 {
		t.Errorf("Online of a closed resource: %v, %v", r, err)
	}
	if r := s.open(0); r.GetResourceId() == s.id || r.GetState() != provider.StateOffline {
		t.Errorf("Open after Close: %v", r)
	}
}

func TestOnlineIsRepeatable(t *testing.T) {
	f := &fake{}
	s := newStage(t, f)
	for range 2 {
		if r, err := s.online(); err != nil || r.GetStatus() != 0 || !r.GetEventHandle() {
			t.Errorf("Online: %v, %v", r, err)
		}
	}
	if n := f.count("Online"); n != 1 {
		t.Errorf("Online reached the resource %d times", n)
	}
	r, err := s.Online(s.ctx(), &pb.OnlineRequest{ResourceId: s.id, Epoch: 2})
	if err != nil || r.GetStatus() != 5023 {
		t.Errorf("Online under another epoch: %v, %v", r, err)
	}
}

func TestPendingOnline(t *testing.T) {
	step := make(chan struct{})
	f := &fake{online: func(context.Context, provider.OnlineArgs) (provider.Work, error) {
		return func(_ context.Context, w *provider.Worker) error {
			<-step
			if err := w.Checkpoint("half way"); err != nil {
				return err
			}
			<-step
			return nil
		}, nil
	}}
	s := newStage(t, f)
	s.mustOnline(997)
	s.mustOnline(997) // continues where it was left off
	if r := s.open(1); r.GetState() != provider.StateOnlinePending {
		t.Errorf("Open: %v", r)
	}
	if _, err := s.Offline(s.ctx(), &pb.OfflineRequest{ResourceId: s.id}); status.Code(err) != codes.Aborted {
		t.Errorf("Offline meanwhile: %v", err)
	}
	step <- struct{}{}
	st := s.monitor.WaitState(t, provider.StateOnlinePending)
	if st.GetCheckPoint() != 1 || st.GetMessage() != "half way" {
		t.Errorf("checkpoint: %v", st)
	}
	if r := s.open(1); r.GetCheckPoint() != 1 {
		t.Errorf("Open: %v", r)
	}
	step <- struct{}{}
	st = s.monitor.WaitState(t, provider.StateOnline)
	if st.GetCheckPoint() != 2 || !st.GetEventHandle() {
		t.Errorf("the end: %v", st)
	}
	if r := s.open(1); r.GetState() != provider.StateOnline {
		t.Errorf("Open: %v", r)
	}
	if n := f.count("Online"); n != 1 {
		t.Errorf("Online reached the resource %d times", n)
	}
}

func TestWorkerFails(t *testing.T) {
	for name, c := range map[string]struct {
		work provider.Work
		want *pb.ResourceStatusEx
	}{
		"error": {func(context.Context, *provider.Worker) error { return errNo },
			&pb.ResourceStatusEx{ResourceState: provider.StateFailed, CheckPoint: 1, ApplicationSpecificErrorCode: 5038, Message: "no"}},
		"detailed": {func(context.Context, *provider.Worker) error {
			return &provider.Error{Code: 5018, AppCode: 42, Flags: provider.FlagInsufficientMemory, State: provider.StateCannotComeOnlineOnThisNode, Message: "too small"}
		}, &pb.ResourceStatusEx{ResourceState: provider.StateCannotComeOnlineOnThisNode, CheckPoint: 1, ApplicationSpecificErrorCode: 42, Flags: 0x10, Message: "too small"}},
		"panic": {func(context.Context, *provider.Worker) error { panic("boo") },
			&pb.ResourceStatusEx{ResourceState: provider.StateFailed, CheckPoint: 1, ApplicationSpecificErrorCode: 5930, Message: "ns/fake: panic: boo"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, &fake{online: func(context.Context, provider.OnlineArgs) (provider.Work, error) { return c.work, nil }})
			s.mustOnline(997)
			if got := s.monitor.WaitState(t, c.want.GetResourceState()); !proto.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
			if r := s.open(1); r.GetState() != provider.StateFailed {
				t.Errorf("Open: %v", r)
			}
		})
	}
}

func TestPanicsInCalls(t *testing.T) {
	f := &fake{
		online:    func(context.Context, provider.OnlineArgs) (provider.Work, error) { panic("boo") },
		terminate: func(context.Context) error { panic("boo") },
		isAlive:   func(context.Context) error { panic("boo") },
		control: func(context.Context, provider.ControlCall) ([]byte, provider.ControlWork, error) {
			panic("boo")
		},
	}
	s := newStage(t, f)
	if r, err := s.online(); err != nil || r.GetStatus() != 5930 || !strings.Contains(r.GetMessage(), "boo") {
		t.Errorf("Online: %v, %v", r, err)
	}
	if r, err := s.Terminate(s.ctx(), &pb.TerminateRequest{ResourceId: s.id}); err != nil || r.GetStatus() != 5930 {
		t.Errorf("Terminate: %v, %v", r, err)
	}
	if r, err := s.IsAlive(s.ctx(), &pb.IsAliveRequest{ResourceId: s.id}); err != nil || r.GetAlive() || !strings.Contains(r.GetMessage(), "boo") {
		t.Errorf("IsAlive: %v, %v", r, err)
	}
	r, err := s.BeginResourceControl(s.ctx(), &pb.BeginResourceControlRequest{ResourceId: s.id, Context: 1})
	if err != nil || r.GetOutput().GetStatus() != 5930 {
		t.Errorf("BeginResourceControl: %v, %v", r, err)
	}
}

func TestTerminateCancelsAWorker(t *testing.T) {
	working, seen := make(chan struct{}), make(chan struct{})
	f := &fake{online: func(context.Context, provider.OnlineArgs) (provider.Work, error) {
		return func(ctx context.Context, w *provider.Worker) error {
			close(working)
			<-ctx.Done()
			if w.Checkpoint("too late") != provider.ErrTerminated {
				t.Error("a checkpoint after Terminate")
			}
			close(seen)
			return nil
		}, nil
	}}
	s := newStage(t, f)
	s.mustOnline(997)
	hear(t, "the worker runs", working)
	s.mustTerminate()
	select {
	case <-seen: // Terminate waited for it
	default:
		t.Error("Terminate did not wait for the worker")
	}
	if n := f.count("Terminate"); n != 2 {
		t.Errorf("Terminate reached the resource %d times: once at once, once when the worker had ended", n)
	}
	if r := s.open(1); r.GetState() != provider.StateOffline {
		t.Errorf("Open: %v", r)
	}
	if h := s.monitor.Heard(); len(h) != 0 {
		t.Errorf("the monitor heard %v", h)
	}
}

func TestTerminateCancelsACallThatHangs(t *testing.T) {
	inside := make(chan struct{})
	f := &fake{online: func(ctx context.Context, _ provider.OnlineArgs) (provider.Work, error) {
		close(inside)
		<-ctx.Done()
		return nil, nil // claims to be online, which counts for nothing now
	}}
	s := newStage(t, f)
	answer := make(chan *pb.OnlineResponse, 1)
	go func() { r, _ := s.online(); answer <- r }()
	hear(t, "Online runs", inside)
	if _, err := s.Offline(s.ctx(), &pb.OfflineRequest{ResourceId: s.id}); status.Code(err) != codes.Aborted {
		t.Errorf("Offline meanwhile: %v", err)
	}
	s.mustTerminate()
	if r := hear(t, "Online answers", answer); r.GetStatus() != 995 {
		t.Errorf("Online: %v", r)
	}
	if r := s.open(1); r.GetState() != provider.StateOffline {
		t.Errorf("Open: %v", r)
	}
}

func TestTerminateThatCannotProve(t *testing.T) {
	stuck := make(chan struct{})
	f := &fake{online: func(context.Context, provider.OnlineArgs) (provider.Work, error) {
		return func(context.Context, *provider.Worker) error { <-stuck; return nil }, nil // deaf
	}}
	s := newStage(t, f)
	s.mustOnline(997)
	ctx, cancel := context.WithTimeout(context.Background(), 400*time.Millisecond)
	defer cancel()
	r, err := s.Terminate(ctx, &pb.TerminateRequest{ResourceId: s.id})
	if err != nil || r.GetStatus() != 5910 || !strings.Contains(r.GetMessage(), "still runs") {
		t.Errorf("Terminate: %v, %v", r, err)
	}
	if _, err := s.online(); status.Code(err) != codes.Aborted {
		t.Errorf("Online while the old worker runs: %v", err)
	}
	close(stuck)
	s.mustTerminate()
}

// The monitor dies with a call under way. The call goes on, and whoever comes next
// and asks hears how it ended.
func TestCallOutlivesItsCaller(t *testing.T) {
	for name, ask := range map[string]func(t *testing.T, s *stage){
		"Open": func(t *testing.T, s *stage) {
			if r := s.open(1); r.GetState() != provider.StateOnlinePending {
				t.Errorf("Open: %v", r)
			}
		},
		"Online": func(_ *testing.T, s *stage) { s.mustOnline(997) },
	} {
		t.Run(name, func(t *testing.T) {
			inside, finish := make(chan struct{}), make(chan struct{})
			f := &fake{online: func(ctx context.Context, _ provider.OnlineArgs) (provider.Work, error) {
				close(inside)
				<-finish
				return nil, ctx.Err()
			}}
			s := newStage(t, f)
			ctx, cancel := context.WithCancel(s.ctx())
			answer := make(chan error, 1)
			go func() {
				_, err := s.Online(ctx, &pb.OnlineRequest{ResourceId: s.id, Epoch: 1})
				answer <- err
			}()
			hear(t, "Online runs", inside)
			cancel()
			if err := hear(t, "the call is cut", answer); status.Code(err) != codes.Canceled {
				t.Errorf("Online: %v", err)
			}
			ask(t, s)
			close(finish)
			if st := s.monitor.WaitState(t, provider.StateOnline); !st.GetEventHandle() {
				t.Errorf("the end: %v", st)
			}
			s.mustOnline(0)
			if n := f.count("Online"); n != 1 {
				t.Errorf("Online reached the resource %d times", n)
			}
		})
	}
}

// What is being terminated is not online any more.
func TestOpenWhileTerminating(t *testing.T) {
	inside, finish := make(chan struct{}), make(chan struct{})
	var once sync.Once
	f := &fake{terminate: func(context.Context) error {
		once.Do(func() { close(inside) })
		<-finish
		return nil
	}}
	s := newStage(t, f)
	s.mustOnline(0)
	ctx, cancel := context.WithCancel(s.ctx())
	go func() { _, _ = s.Terminate(ctx, &pb.TerminateRequest{ResourceId: s.id}) }()
	hear(t, "Terminate runs", inside)
	cancel()
	if r := s.open(1); r.GetState() != provider.StateFailed {
		t.Errorf("Open: %v", r)
	}
	close(finish)
	s.mustTerminate()
	if r := s.open(1); r.GetState() != provider.StateOffline {
		t.Errorf("Open: %v", r)
	}
}

func TestSoftGuardTerminatesAll(t *testing.T) {
	f := &fake{}
	s := newStage(t, f)
	s.mustOnline(0)
	s.end()
	if err := hear(t, "Serve returns", s.done); err != nil {
		t.Errorf("Serve: %v", err)
	}
	s.done <- nil // for the clean-up
	if f.count("Terminate") != 1 {
		t.Errorf("calls: %v", f.calls)
	}
}
