// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package testmonitor is a monitor's callback server for tests of providers: it
// writes down what it is told, answers as it is told to, and can be killed and
// started again.
package testmonitor

import (
	"context"
	"net"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
)

// Patience is how long a test waits for something that must happen.
const Patience = 20 * time.Second

// Monitor is the server.
type Monitor struct {
	pb.UnimplementedMonitorServiceServer
	// Socket is where it listens.
	Socket string
	// Dir is a short folder for sockets; Provider is one in it.
	Dir, Provider string
	// Resources are what EnumResources answers.
	Resources []*pb.EnumResourcesResponse

	mu     sync.Mutex
	heard  []proto.Message
	when   []time.Time
	grew   chan struct{}
	server *grpc.Server
	// answer says what is answered; nil is success.
	answer func(context.Context, proto.Message) (proto.Message, error)
}

// New makes a monitor that listens.
func New(t *testing.T) *Monitor {
	t.Helper()
	return NewIn(t, t.TempDir())
}

// NewIn makes a monitor that listens in a folder, whose path has to be short.
func NewIn(t *testing.T, dir string) *Monitor {
	t.Helper()
	m := &Monitor{Dir: dir, Socket: filepath.Join(dir, "m"), Provider: filepath.Join(dir, "p"), grew: make(chan struct{})}
	m.Start(t)
	t.Cleanup(m.Stop)
	return m
}

// Start listens, after Stop again.
func (m *Monitor) Start(t *testing.T) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(context.Background(), "unix", m.Socket)
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(grpc.UnaryInterceptor(m.unary))
	pb.RegisterMonitorServiceServer(s, m)
	m.mu.Lock()
	m.server = s
	m.mu.Unlock()
	go func() { _ = s.Serve(l) }()
}

// Stop dies as with kill -9: open calls get no answer.
func (m *Monitor) Stop() {
	m.mu.Lock()
	s := m.server
	m.mu.Unlock()
	s.Stop()
}

// Answer makes f answer from now on: nil, nil is success.
func (m *Monitor) Answer(f func(context.Context, proto.Message) (proto.Message, error)) {
	m.mu.Lock()
	m.answer = f
	m.mu.Unlock()
}

// Heard is all that the monitor was told so far.
func (m *Monitor) Heard() []proto.Message {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.heard)
}

// Forget makes Heard begin anew.
func (m *Monitor) Forget() {
	m.mu.Lock()
	m.heard, m.when = nil, nil
	m.mu.Unlock()
}

// take writes a message down and answers it.
func (m *Monitor) take(ctx context.Context, req proto.Message, success proto.Message) (proto.Message, error) {
	m.mu.Lock()
	m.heard = append(m.heard, req)
	m.when = append(m.when, time.Now())
	close(m.grew)
	m.grew = make(chan struct{})
	answer := m.answer
	m.mu.Unlock()
	if answer != nil {
		if resp, err := answer(ctx, req); resp != nil || err != nil {
			return resp, err
		}
	}
	return success, nil
}

// Wait waits for a message of type M that want accepts, nil is any, and returns it
// with the time of its arrival.
func Wait[M proto.Message](t *testing.T, m *Monitor, want func(M) bool) (M, time.Time) {
	t.Helper()
	end := time.After(Patience)
	for {
		m.mu.Lock()
		for i, h := range m.heard {
			if h, ok := h.(M); ok && (want == nil || want(h)) {
				at := m.when[i]
				m.mu.Unlock()
				return h, at
			}
		}
		grew := m.grew
		m.mu.Unlock()
		select {
		case <-grew:
		case <-end:
			t.Fatalf("the monitor never heard it; it heard %v", m.Heard())
		}
	}
}

// WaitState waits for a status report of a state.
func (m *Monitor) WaitState(t *testing.T, state pb.ResourceState) *pb.ResourceStatusEx {
	t.Helper()
	r, _ := Wait(t, m, func(r *pb.SetResourceStatusExRequest) bool {
		return r.GetResourceStatus().GetResourceState() == state
	})
	return r.GetResourceStatus()
}

// Dial makes a client of the provider, which need not listen yet.
func (m *Monitor) Dial(t *testing.T) pb.ProviderServiceClient {
	t.Helper()
	conn, err := grpc.NewClient("unix:"+m.Provider,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{
			BaseDelay: 5 * time.Millisecond, Multiplier: 1.5, MaxDelay: 50 * time.Millisecond,
		}}),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return pb.NewProviderServiceClient(conn)
}

// unary answers every call that has one answer.
func (m *Monitor) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, _ grpc.UnaryHandler) (any, error) {
	method := pb.File_provider_v1_provider_proto.Services().ByName("MonitorService").
		Methods().ByName(protoreflect.Name(path.Base(info.FullMethod)))
	success, err := protoregistry.GlobalTypes.FindMessageByName(method.Output().FullName())
	if err != nil {
		return nil, err
	}
	return m.take(ctx, req.(proto.Message), success.New().Interface())
}

// EnumResources answers with Resources.
func (m *Monitor) EnumResources(
	req *pb.EnumResourcesRequest, stream grpc.ServerStreamingServer[pb.EnumResourcesResponse],
) error {
	if _, err := m.take(stream.Context(), req, nil); err != nil {
		return err
	}
	for _, r := range m.Resources {
		if err := stream.Send(r); err != nil {
			return err
		}
	}
	return nil
}
