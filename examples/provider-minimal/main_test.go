// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
	"github.com/understudy-dev/understudy/internal/testmonitor"
	"github.com/understudy-dev/understudy/provider/conformance"
)

// The test binary is also the provider.
func TestMain(m *testing.M) {
	if os.Getenv("MINIMAL") != "" {
		main()
	}
	os.Exit(m.Run())
}

func TestMinimal(t *testing.T) {
	m := testmonitor.New(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "MINIMAL=1", "UNDERSTUDY_PROVIDER_SOCKET="+m.Provider, "UNDERSTUDY_MONITOR_SOCKET="+m.Socket)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	p, ctx := m.Dial(t), context.Background()

	open, err := p.Open(ctx, &pb.OpenRequest{ResourceHandle: "uid", ResourceType: "minimal"})
	if err != nil || open.GetState() != offline {
		t.Fatalf("Open: %v, %v", open, err)
	}
	id := open.GetResourceId()
	if r, err := p.Online(ctx, &pb.OnlineRequest{ResourceId: id}); err != nil || r.GetStatus() != 0 || !r.GetEventHandle() {
		t.Fatalf("Online: %v, %v", r, err)
	}
	if r, err := p.IsAlive(ctx, &pb.IsAliveRequest{ResourceId: id}); err != nil || !r.GetAlive() {
		t.Fatalf("IsAlive: %v, %v", r, err)
	}
	if r, err := p.Open(ctx, &pb.OpenRequest{ResourceHandle: "uid", ResourceType: "minimal", OpenFlags: 1}); err != nil || r.GetState() != online {
		t.Fatalf("Open again: %v, %v", r, err)
	}
	c, err := p.BeginResourceControl(ctx, &pb.BeginResourceControlRequest{
		ResourceId: id, Context: 42, Input: &pb.ControlInput{ControlCode: ping, InBuffer: []byte("hello"), OutBufferSize: 100},
	})
	if err != nil || !c.GetReturnedAsynchronously() || c.GetOutput().GetStatus() != 0 {
		t.Fatalf("BeginResourceControl: %v, %v", c, err)
	}
	end, _ := testmonitor.Wait[*pb.EndControlCallRequest](t, m, nil)
	if want := (&pb.EndControlCallRequest{Context: 42, OutBuffer: []byte("hello"), BytesReturned: 5}); !proto.Equal(end, want) {
		t.Errorf("EndControlCall: %v", end)
	}
	// Another code is not supported: RA 2.1.
	other := &pb.BeginResourceControlRequest{ResourceId: id, Context: 43, Input: &pb.ControlInput{ControlCode: ping + 4}}
	if c, err := p.BeginResourceControl(ctx, other); status.Code(err) != codes.Unimplemented {
		t.Errorf("another code: %v, %v", c, err)
	}
	if r, err := p.Terminate(ctx, &pb.TerminateRequest{ResourceId: id}); err != nil || r.GetStatus() != 0 {
		t.Fatalf("Terminate: %v, %v", r, err)
	}
	if r, err := p.IsAlive(ctx, &pb.IsAliveRequest{ResourceId: id}); err != nil || r.GetAlive() {
		t.Fatalf("IsAlive: %v, %v", r, err)
	}
	if r, err := p.Online(ctx, &pb.OnlineRequest{ResourceId: id}); err != nil || r.GetStatus() != 0 {
		t.Fatalf("Online again: %v, %v", r, err)
	}
	if r, err := p.Offline(ctx, &pb.OfflineRequest{ResourceId: id}); err != nil || r.GetStatus() != 0 {
		t.Fatalf("Offline: %v, %v", r, err)
	}
	if r, err := p.Close(ctx, &pb.CloseRequest{ResourceId: id}); err != nil || r.GetStatus() != 0 {
		t.Fatalf("Close: %v, %v", r, err)
	}
	if r, err := p.Open(ctx, &pb.OpenRequest{ResourceHandle: "uid", ResourceType: "minimal"}); err != nil || r.GetState() != offline {
		t.Fatalf("Open after all: %v, %v", r, err)
	}
}

// TestConformance: a subtest for each rule of the protocol.
func TestConformance(t *testing.T) {
	config, err := conformance.Load("conformance.yaml")
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	config.Command, config.Environment = []string{self}, []string{"MINIMAL=1"}
	conformance.Test(t, config)
}

// TestSize: docs/providers.md says how long it is.
func TestSize(t *testing.T) {
	text, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	all, code := 0, 0
	for line := range strings.Lines(string(text)) {
		all++
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "//") {
			code++
		}
	}
	t.Logf("%d lines, %d of them code", all, code)
	if all > 100 || code > 80 {
		t.Errorf("%d lines, %d of them code; want at most 100 and 80", all, code)
	}
}
