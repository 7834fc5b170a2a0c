// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package misbehaving

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
	"github.com/understudy-dev/understudy/internal/testmonitor"
	"github.com/understudy-dev/understudy/internal/testprograms"
)

func TestMain(m *testing.M) {
	testprograms.Dispatch()
	os.Exit(m.Run())
}

func serve(t *testing.T) (*Provider, pb.ProviderServiceClient, *testmonitor.Monitor) {
	t.Helper()
	m := testmonitor.New(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &Provider{Daemon: []string{self, "daemon"}}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go func() { _ = p.Serve(ctx, m.Provider, m.Socket) }()
	client := m.Dial(t)
	return p, client, m
}

func open(t *testing.T, p pb.ProviderServiceClient, props map[string]any) string {
	t.Helper()
	s, err := structpb.NewStruct(props)
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Open(context.Background(), &pb.OpenRequest{ResourceHandle: "uid", ResourceType: TypeName, Properties: s})
	if err != nil || r.GetStatus() != 0 {
		t.Fatalf("Open: %v, %v", r, err)
	}
	return r.GetResourceId()
}

func TestLie(t *testing.T) {
	lock := filepath.Join(t.TempDir(), "lock")
	_, p, _ := serve(t)
	id := open(t, p, map[string]any{"lock": lock, "lie": []any{"Offline"}})
	ctx := context.Background()
	if r, err := p.Online(ctx, &pb.OnlineRequest{ResourceId: id}); err != nil || r.GetStatus() != 0 {
		t.Fatalf("Online: %v, %v", r, err)
	}
	if r, err := p.Offline(ctx, &pb.OfflineRequest{ResourceId: id}); err != nil || r.GetStatus() != 0 || !held(lock) {
		t.Errorf("Offline: %v, %v; the program runs: %v", r, err, held(lock))
	}
	if r, err := p.Online(ctx, &pb.OnlineRequest{ResourceId: id}); err != nil || r.GetStatus() != 5018 {
		t.Errorf("Online, twice: %v, %v", r, err)
	}
	if _, err := os.Stat(lock + ".conflict"); err != nil {
		t.Error("two at once were not detected")
	}
	if r, err := p.Terminate(ctx, &pb.TerminateRequest{ResourceId: id}); err != nil || r.GetStatus() != 0 || held(lock) {
		t.Errorf("Terminate: %v, %v; the program runs: %v", r, err, held(lock))
	}
}

func TestHangAndAbort(t *testing.T) {
	_, p, _ := serve(t)
	id := open(t, p, map[string]any{"hang": []any{"Online"}, "abort": []any{"Offline"}, "fail": []any{"IsAlive"}})
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := p.Online(ctx, &pb.OnlineRequest{ResourceId: id}); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("Online: %v", err)
	}
	if _, err := p.Offline(context.Background(), &pb.OfflineRequest{ResourceId: id}); status.Code(err) != codes.Internal {
		t.Errorf("Offline: %v", err)
	}
	if r, err := p.IsAlive(context.Background(), &pb.IsAliveRequest{ResourceId: id}); err != nil || r.GetAlive() {
		t.Errorf("IsAlive: %v, %v", r, err)
	}
}

func TestStepsAndFlood(t *testing.T) {
	double, p, m := serve(t)
	id := open(t, p, map[string]any{"steps": 3, "flood": 2, "falseAlarms": 1})
	if r, err := p.Online(context.Background(), &pb.OnlineRequest{ResourceId: id}); err != nil || r.GetStatus() != 997 {
		t.Fatalf("Online: %v, %v", r, err)
	}
	if st := m.WaitState(t, pb.ResourceState_RESOURCE_STATE_ONLINE); st.GetCheckPoint() != 4 {
		t.Errorf("the end: %v", st)
	}
	testmonitor.Wait(t, m, func(r *pb.SetResourceStatusExRequest) bool { return r.GetResourceStatus().GetCheckPoint() == 100 })
	testmonitor.Wait[*pb.SignalFailureRequest](t, m, nil)
	if r, err := p.Terminate(context.Background(), &pb.TerminateRequest{ResourceId: id}); err != nil || r.GetStatus() != 0 {
		t.Errorf("Terminate: %v, %v", r, err)
	}
	if double.Reports.Load() < 100 {
		t.Errorf("%d reports", double.Reports.Load())
	}
}
