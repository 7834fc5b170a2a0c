// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
	"github.com/understudy-dev/understudy/monitor/clock"
	"github.com/understudy-dev/understudy/monitor/engine"
)

const patience = 10 * time.Second

// provider answers as the test says.
type provider struct {
	pb.UnimplementedProviderServiceServer
	mu       sync.Mutex
	notReady int // so many probes
	versions []uint32
	offered  []uint32 // what the monitor said of itself
	block    chan struct{}
	got      []any
	// startup is what Startup answers; nil: it is not known. startups counts it.
	startup  *pb.StartupResponse
	startups int
}

func (p *provider) Startup(_ context.Context, r *pb.StartupRequest) (*pb.StartupResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.startups++
	if p.startup == nil {
		return nil, status.Error(codes.Unimplemented, "what is that")
	}
	if r.GetResourceType() != "Test" || r.GetMinVersionSupported() != 0x100 || r.GetMaxVersionSupported() != 0x400 {
		return nil, status.Errorf(codes.InvalidArgument, "%v", r)
	}
	return p.startup, nil
}

func (p *provider) GetInfo(_ context.Context, r *pb.GetInfoRequest) (*pb.GetInfoResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.offered = r.GetProtocolVersions()
	return &pb.GetInfoResponse{Name: "test", ProtocolVersions: p.versions, ResourceTypes: []string{"test"}}, nil
}

func (p *provider) GetCapabilities(context.Context, *pb.GetCapabilitiesRequest) (*pb.GetCapabilitiesResponse, error) {
	return &pb.GetCapabilitiesResponse{Capabilities: []pb.Capability{pb.Capability_CAPABILITY_RESOURCE_CONTROL}}, nil
}

func (p *provider) Probe(context.Context, *pb.ProbeRequest) (*pb.ProbeResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.notReady--
	return &pb.ProbeResponse{Ready: p.notReady < 0}, nil
}

func (p *provider) Open(_ context.Context, r *pb.OpenRequest) (*pb.OpenResponse, error) {
	p.got = append(p.got, r.GetProperties().AsMap()["port"], r.GetResourceHandle(), r.GetOpenFlags())
	return &pb.OpenResponse{ResourceId: "id", State: pb.ResourceState_RESOURCE_STATE_ONLINE, CheckPoint: 4}, nil
}

func (p *provider) Online(ctx context.Context, r *pb.OnlineRequest) (*pb.OnlineResponse, error) {
	select {
	case <-p.block:
		return &pb.OnlineResponse{EventHandle: true}, nil
	case <-ctx.Done():
		// Not an answer: the deadline comes to both sides at once, and a success
		// sent then might still arrive first.
		return nil, ctx.Err()
	}
}

func (p *provider) Offline(context.Context, *pb.OfflineRequest) (*pb.OfflineResponse, error) {
	return nil, status.Error(codes.Internal, "it broke")
}

func (p *provider) IsAlive(context.Context, *pb.IsAliveRequest) (*pb.IsAliveResponse, error) {
	return &pb.IsAliveResponse{Alive: true, Message: "fine"}, nil
}

func (p *provider) BeginResourceControl(_ context.Context, r *pb.BeginResourceControlRequest) (*pb.BeginResourceControlResponse, error) {
	return &pb.BeginResourceControlResponse{Output: &pb.ControlOutput{OutBuffer: make([]byte, 2*maxOutput)}}, nil
}

func (p *provider) BeginResourceTypeControl(_ context.Context, r *pb.BeginResourceTypeControlRequest) (*pb.BeginResourceTypeControlResponse, error) {
	return &pb.BeginResourceTypeControlResponse{Output: p.control(r.GetInput(), r.GetResourceTypeName(), r.GetContext(), nil)}, nil
}

func (p *provider) BeginResourceControlAsUser(_ context.Context, r *pb.BeginResourceControlAsUserRequest) (*pb.BeginResourceControlAsUserResponse, error) {
	return &pb.BeginResourceControlAsUserResponse{
		Output: p.control(r.GetInput(), r.GetResourceId(), r.GetContext(), r.GetUser()), ReturnedAsynchronously: true,
	}, nil
}

func (p *provider) BeginResourceTypeControlAsUser(_ context.Context, r *pb.BeginResourceTypeControlAsUserRequest) (*pb.BeginResourceTypeControlAsUserResponse, error) {
	return &pb.BeginResourceTypeControlAsUserResponse{
		Output: p.control(r.GetInput(), r.GetResourceTypeName(), r.GetContext(), r.GetUser()),
	}, nil
}

// control answers what it was called with.
func (p *provider) control(in *pb.ControlInput, target string, context int64, user *pb.UserIdentity) *pb.ControlOutput {
	text := fmt.Sprint(target, " ", in.GetControlCode(), " ", string(in.GetInBuffer()), " ", context)
	if user != nil {
		text += fmt.Sprint(" ", user.GetUsername(), " ", user.GetUid(), " ", user.GetGroups())
	}
	return &pb.ControlOutput{Status: uint32(engine.CodeMoreData), OutBuffer: []byte(text), BytesReturned: 99999}
}

func (p *provider) Cancel(_ context.Context, r *pb.CancelRequest) (*pb.CancelResponse, error) {
	if r.GetResourceId() != "id" {
		return &pb.CancelResponse{}, nil
	}
	return &pb.CancelResponse{Status: uint32(engine.CodeInvalidState)}, nil
}

// rig is a client and what it told.
type rig struct {
	t      *testing.T
	dir    string
	client *Client
	events chan Event
}

func newRig(t *testing.T) *rig {
	t.Helper()
	dir, err := os.MkdirTemp("", "p") // socket paths are short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	r := &rig{t: t, dir: dir, events: make(chan Event, 100)}
	r.client = New(t.Context(), "main", dir, func(e Event) { r.events <- e })
	return r
}

// listen runs a provider; it dies as with kill -9 when the function is called.
func (r *rig) listen(p *provider) (die func()) {
	r.t.Helper()
	path := filepath.Join(r.dir, SocketName)
	_ = os.Remove(path)
	l, err := net.Listen("unix", path)
	if err != nil {
		r.t.Fatal(err)
	}
	s := grpc.NewServer()
	pb.RegisterProviderServiceServer(s, p)
	go func() { _ = s.Serve(l) }()
	r.t.Cleanup(s.Stop)
	return s.Stop
}

func (r *rig) event() Event {
	r.t.Helper()
	select {
	case e := <-r.events:
		return e
	case <-time.After(patience):
		r.t.Fatal("nothing was told")
		return Event{}
	}
}

func (r *rig) up(nonce string) {
	r.t.Helper()
	e := r.event()
	want := &engine.ProviderUp{
		Container: "main", Nonce: nonce, Types: []string{"test"}, Capabilities: []string{"CAPABILITY_RESOURCE_CONTROL"},
	}
	if !reflect.DeepEqual(e.Up, want) {
		r.t.Fatalf("%+v, want %+v", e.Up, want)
	}
}

func good() *provider { return &provider{versions: []uint32{1, 2}} }

func in(d time.Duration) int64 { return clock.Now().Boot + int64(d) }

func TestIntroduction(t *testing.T) {
	r := newRig(t)
	r.client.Expect("n1") // before it listens
	p := good()
	p.notReady = 3
	r.listen(p)
	r.up("n1")
	if p.notReady >= 0 {
		t.Error("up before it was ready")
	}
}

// Why a provider does not come up is told, once.
func TestAnotherProtocol(t *testing.T) {
	r := newRig(t)
	r.client.absence.after = 0
	p := &provider{versions: []uint32{2}}
	r.listen(p)
	r.client.Expect("n1")
	want := Absent{Container: "main", Reason: "provider test speaks protocol versions [2], this monitor [1]: " +
		"take a release of either that has one in common"}
	if e := r.event(); e.Absent == nil || *e.Absent != want {
		t.Errorf("%+v, want %+v", e.Absent, want)
	}
	select {
	case e := <-r.events:
		t.Errorf("%+v", e)
	case <-time.After(2 * lastPause):
	}
	p.mu.Lock()
	p.versions = []uint32{2, 1}
	if !slices.Equal(p.offered, pb.Versions()) {
		t.Errorf("the provider is told that the monitor speaks %v", p.offered)
	}
	p.mu.Unlock()
	r.up("n1")
}

func TestLossIsNoticedAtOnce(t *testing.T) {
	r := newRig(t)
	die := r.listen(good())
	r.client.Expect("n1")
	r.up("n1")
	died := time.Now()
	die()
	if e := r.event(); e.Down == nil || e.Down.Container != "main" || e.Down.Reason == "" {
		t.Fatalf("%+v", e)
	}
	if d := time.Since(died); d > time.Second {
		t.Errorf("noticed after %v", d)
	}
	if a := r.client.Call(engine.Call{ID: 5, Nonce: "n1", Op: engine.OpIsAlive, Deadline: in(patience)}); a.Outcome != engine.Unavailable || a.Call != 5 {
		t.Errorf("%+v", a)
	}
	r.listen(good())
	r.client.Expect("n2")
	for e := r.event(); e.Up == nil || e.Up.Nonce != "n2"; e = r.event() {
		if e.Down != nil {
			t.Errorf("%+v", e)
		}
	}
	// A call is meant for one process and no other.
	if a := r.client.Call(engine.Call{Nonce: "n1", Op: engine.OpIsAlive, Deadline: in(patience)}); a.Outcome != engine.Unavailable {
		t.Errorf("%+v", a)
	}
}

// Whoever was told to go is not reported as lost.
func TestExpectAnother(t *testing.T) {
	r := newRig(t)
	r.listen(good())
	r.client.Expect("n1")
	r.up("n1")
	r.client.Expect("n1")
	r.client.Expect("n2")
	r.up("n2")
	r.client.Forget()
	if a := r.client.Call(engine.Call{Op: engine.OpIsAlive, Deadline: in(patience)}); a.Outcome != engine.Unavailable {
		t.Errorf("%+v", a)
	}
}

func TestCalls(t *testing.T) {
	r := newRig(t)
	p := good()
	r.listen(p)
	r.client.Expect("n1")
	r.up("n1")
	args := &engine.ControlArgs{
		Context: 7, Code: 8, Input: []byte("in"), User: &engine.User{Name: "kim", UID: "5", Groups: []string{"dba"}},
	}
	more := func(text string, async bool) engine.Returned {
		return engine.Returned{Status: engine.CodeMoreData, Output: []byte(text), BytesReturned: 99999, Async: async}
	}
	for name, c := range map[string]struct {
		call engine.Call
		want engine.Returned
	}{
		"of a type":            {engine.Call{Op: engine.OpBeginResourceTypeControl, TypeName: "test", Control: args}, more("test 8 in 7", false)},
		"as a user":            {engine.Call{Op: engine.OpBeginResourceControlAsUser, ResourceID: "id", Control: args}, more("id 8 in 7 kim 5 [dba]", true)},
		"of a type, as a user": {engine.Call{Op: engine.OpBeginResourceTypeControlAsUser, TypeName: "test", Control: args}, more("test 8 in 7 kim 5 [dba]", false)},
		"Cancel":               {engine.Call{Op: engine.OpCancel, ResourceID: "id"}, engine.Returned{Status: engine.CodeInvalidState}},
		"no Begin":             {engine.Call{Op: "Dance", Control: args}, engine.Returned{Outcome: engine.Broken}},
		"Open": {engine.Call{Op: engine.OpOpen, Resource: "u", Flags: 1, Properties: []byte(`{"port":80}`)},
			engine.Returned{ResourceID: "id", State: engine.ReportedOnline, CheckPoint: 4}},
		"Open with properties that are none": {engine.Call{Op: engine.OpOpen, Properties: []byte(`[]`)},
			engine.Returned{Outcome: engine.Broken}},
		"IsAlive":                    {engine.Call{Op: engine.OpIsAlive}, engine.Returned{Alive: true, Message: "fine"}},
		"not supported":              {engine.Call{Op: engine.OpLooksAlive}, engine.Returned{Status: engine.CodeInvalidFunction}},
		"broken":                     {engine.Call{Op: engine.OpOffline}, engine.Returned{Outcome: engine.Broken}},
		"unknown":                    {engine.Call{Op: "Dance"}, engine.Returned{Outcome: engine.Broken}},
		"past its time":              {engine.Call{Op: engine.OpIsAlive, Deadline: in(-time.Second)}, engine.Returned{Outcome: engine.DeadlineExceeded}},
		"no answer":                  {engine.Call{Op: engine.OpOnline, Deadline: in(100 * time.Millisecond)}, engine.Returned{Outcome: engine.DeadlineExceeded}},
		"a long answer is cut short": {engine.Call{Op: engine.OpBeginResourceControl, Control: &engine.ControlArgs{}}, engine.Returned{Output: make([]byte, maxOutput)}},
	} {
		t.Run(name, func(t *testing.T) {
			c.call.ID, c.want.Call = 3, 3
			if c.call.Deadline == 0 {
				c.call.Deadline = in(patience)
			}
			began := time.Now()
			got := r.client.Call(c.call)
			if c.want.Message == "" {
				got.Message = ""
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("%+v, want %+v", got, c.want)
			}
			if d := time.Since(began); d > patience/2 {
				t.Errorf("took %v", d)
			}
		})
	}
	if len(p.got) != 3 || p.got[0] != 80.0 || p.got[1] != "u" || p.got[2] != uint32(1) {
		t.Errorf("%v", p.got)
	}
}

// The end of the process answers what is under way.
func TestCallIntoADyingProvider(t *testing.T) {
	r := newRig(t)
	die := r.listen(&provider{versions: []uint32{1}, block: make(chan struct{})})
	r.client.Expect("n1")
	r.up("n1")
	answer := make(chan engine.Returned, 1)
	go func() { answer <- r.client.Call(engine.Call{Op: engine.OpOnline, Deadline: in(time.Minute)}) }()
	time.AfterFunc(50*time.Millisecond, die)
	select {
	case a := <-answer:
		if a.Outcome != engine.Unavailable {
			t.Errorf("%+v", a)
		}
	case <-time.After(patience):
		t.Fatal("no answer")
	}
}

func (p *provider) Arbitrate(_ context.Context, r *pb.ArbitrateRequest) (*pb.ArbitrateResponse, error) {
	p.got = append(p.got, r.GetResourceId(), r.GetEpoch())
	return &pb.ArbitrateResponse{Status: 5006, Message: "another has it"}, nil
}

// Shows: Arbitrate, Release.
func TestArbitration(t *testing.T) {
	r := newRig(t)
	p := good()
	r.listen(p)
	r.client.Expect("n1")
	r.up("n1")
	call := engine.Call{ID: 1, Nonce: "n1", ResourceID: "id", Op: engine.OpArbitrate, Epoch: 7, Deadline: in(patience)}
	want := engine.Returned{Call: 1, Status: 5006, Message: "another has it"}
	if got := r.client.Call(call); !reflect.DeepEqual(got, want) || !slices.Equal(p.got, []any{"id", int64(7)}) {
		t.Errorf("%+v, asked %v", got, p.got)
	}
	// What a provider does not have is an answer.
	call.Op = engine.OpRelease
	if got := r.client.Call(call); got.Outcome != engine.Answered || got.Status != engine.CodeInvalidFunction {
		t.Errorf("%+v", got)
	}
}
