// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
	"github.com/understudy-dev/understudy/internal/testmonitor"
	"github.com/understudy-dev/understudy/provider"
)

// fake is a resource whose every call a test decides.
type fake struct {
	args provider.OpenArgs

	mu        sync.Mutex
	calls     []string
	online    func(ctx context.Context, args provider.OnlineArgs) (provider.Work, error)
	offline   func(ctx context.Context, args provider.OfflineArgs) (provider.Work, error)
	terminate func(ctx context.Context) error
	isAlive   func(ctx context.Context) error
	control   func(ctx context.Context, call provider.ControlCall) ([]byte, provider.ControlWork, error)
}

func (f *fake) called(what string) {
	f.mu.Lock()
	f.calls = append(f.calls, what)
	f.mu.Unlock()
}

// count says how often a call came.
func (f *fake) count(what string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, c := range f.calls {
		if c == what {
			n++
		}
	}
	return n
}

func (f *fake) Online(ctx context.Context, args provider.OnlineArgs) (provider.Work, error) {
	f.called("Online")
	if f.online == nil {
		return nil, nil
	}
	return f.online(ctx, args)
}

func (f *fake) Offline(ctx context.Context, args provider.OfflineArgs) (provider.Work, error) {
	f.called("Offline")
	if f.offline == nil {
		return nil, nil
	}
	return f.offline(ctx, args)
}

func (f *fake) Terminate(ctx context.Context) error {
	f.called("Terminate")
	if f.terminate == nil {
		return nil
	}
	return f.terminate(ctx)
}

func (f *fake) LooksAlive(context.Context) bool { return true }

func (f *fake) IsAlive(ctx context.Context) error {
	if f.isAlive == nil {
		return nil
	}
	return f.isAlive(ctx)
}

func (f *fake) Close(context.Context) error { f.called("Close"); return nil }

func (f *fake) EventHandle() bool { return true }

func (f *fake) Control(ctx context.Context, call provider.ControlCall) ([]byte, provider.ControlWork, error) {
	if f.control == nil {
		return nil, nil, provider.Errorf(provider.ErrorInvalidFunction, "")
	}
	return f.control(ctx, call)
}

// stage is a provider in this process, its monitor, and one opened resource.
type stage struct {
	pb.ProviderServiceClient
	t       *testing.T
	monitor *testmonitor.Monitor
	fake    *fake
	id      string
	// end is SIGTERM.
	end  context.CancelFunc
	done chan error
}

// newStage opens the fake, or as another resource that is made of it.
func newStage(t *testing.T, f *fake, as ...provider.Resource) *stage {
	t.Helper()
	return newStageOf(t, f, func(inner provider.Type) provider.Type { return inner }, as...)
}

// newStageOf does that with a type that is made of the fake's.
func newStageOf(
	t *testing.T, f *fake, wrap func(provider.Type) provider.Type, as ...provider.Resource,
) *stage {
	t.Helper()
	m := testmonitor.New(t)
	ctx, cancel := context.WithCancel(context.Background())
	s := &stage{t: t, monitor: m, fake: f, end: cancel, done: make(chan error, 1)}
	open := func(_ context.Context, args provider.OpenArgs) (provider.Resource, error) {
		f.called("Open")
		if args.Properties.GetFields()["refuse"] != nil {
			return nil, provider.Errorf(provider.ErrorInvalidData, "properties.refuse: is not known")
		}
		f.args = args
		if len(as) > 0 {
			return as[0], nil
		}
		return f, nil
	}
	go func() {
		s.done <- provider.Serve(ctx, provider.Provider{
			Name:  "fake.example.com",
			Types: map[string]provider.Type{"Fake": wrap(provider.TypeFunc(open))},
		}, provider.WithSockets(m.Provider, m.Socket), provider.WithLogger(slog.New(slog.DiscardHandler)))
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case <-s.done:
		case <-time.After(testmonitor.Patience):
			t.Error("Serve did not return")
		}
	})
	s.ProviderServiceClient = m.Dial(t)
	s.id = s.open(0).GetResourceId()
	return s
}

func (s *stage) open(flags uint32) *pb.OpenResponse {
	s.t.Helper()
	resp, err := s.Open(s.ctx(), &pb.OpenRequest{ResourceName: "ns/fake", ResourceHandle: "uid", ResourceType: "fake", OpenFlags: flags})
	if err != nil || resp.GetStatus() != 0 {
		s.t.Fatalf("Open: %v, %v", resp, err)
	}
	return resp
}

// ctx is a call's context: with a deadline, as every call has.
func (s *stage) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), testmonitor.Patience)
	s.t.Cleanup(cancel)
	return ctx
}

func (s *stage) online() (*pb.OnlineResponse, error) {
	return s.Online(s.ctx(), &pb.OnlineRequest{ResourceId: s.id, Epoch: 1})
}

func (s *stage) mustOnline(status uint32) {
	s.t.Helper()
	if resp, err := s.online(); err != nil || resp.GetStatus() != status {
		s.t.Fatalf("Online: %v, %v", resp, err)
	}
}

func (s *stage) mustTerminate() {
	s.t.Helper()
	if resp, err := s.Terminate(s.ctx(), &pb.TerminateRequest{ResourceId: s.id}); err != nil || resp.GetStatus() != 0 {
		s.t.Fatalf("Terminate: %v, %v", resp, err)
	}
}

// hear waits for a channel.
func hear[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(testmonitor.Patience):
		t.Fatalf("never: %s", what)
		panic("unreachable")
	}
}

var errNo = errors.New("no")
