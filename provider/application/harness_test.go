// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package application_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
	"github.com/understudy-dev/understudy/internal/testmonitor"
	"github.com/understudy-dev/understudy/internal/testprograms"
	"github.com/understudy-dev/understudy/provider"
	"github.com/understudy-dev/understudy/provider/application"
	"github.com/understudy-dev/understudy/provider/supervise"
)

// The test binary is also the provider, the shim and the programs: nothing has to
// be built, and all of it runs under the race detector.
func TestMain(m *testing.M) {
	testprograms.Dispatch()
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "supervise":
			os.Exit(supervise.Main())
		case "serve":
			serve()
		}
	}
	os.Exit(m.Run())
}

// serve is a provider in a process of its own: it may kill what it does not know.
func serve() {
	family, err := supervise.NewFamily("supervise")
	if err == nil {
		epochs := filepath.Join(filepath.Dir(os.Getenv(provider.SocketEnv)), application.EpochDir)
		ctx, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		err = provider.Serve(ctx, provider.Provider{
			Name:  "application.test",
			Types: map[string]provider.Type{application.Name: application.New(family, epochs)},
		})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "serve:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// host is a provider process with a monitor and one resource.
type host struct {
	pb.ProviderServiceClient
	t       *testing.T
	monitor *testmonitor.Monitor
	process *os.Process
	exited  chan struct{}
	id      string
	handle  string
	props   *structpb.Struct
	epoch   int64
}

// start runs a provider and opens a resource.
func start(t *testing.T, props map[string]any) *host {
	t.Helper()
	h := launch(t)
	h.open(props)
	return h
}

// launch runs a provider.
func launch(t *testing.T) *host {
	t.Helper()
	return launchWith(t, testmonitor.New(t), exec.Command(self(t), "serve"))
}

// launchWith runs a provider by a command.
func launchWith(t *testing.T, m *testmonitor.Monitor, cmd *exec.Cmd) *host {
	t.Helper()
	h := &host{t: t, monitor: m, exited: make(chan struct{}), handle: "uid-1", epoch: 7}
	cmd.Env = append(os.Environ(),
		provider.SocketEnv+"="+h.monitor.Provider,
		provider.MonitorSocketEnv+"="+h.monitor.Socket,
		"GORACE=atexit_sleep_ms=0") // else each helper takes a second to end
	if cmd.Stdout == nil {
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h.process = cmd.Process
	go func() { _ = cmd.Wait(); close(h.exited) }()
	h.ProviderServiceClient = h.monitor.Dial(t)
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-h.exited:
		case <-time.After(testmonitor.Patience):
			t.Error("the provider did not end")
			_ = cmd.Process.Kill()
		}
	})
	return h
}

func (h *host) open(props map[string]any) {
	h.t.Helper()
	h.props = structOf(h.t, props)
	resp, err := h.Open(context.Background(), &pb.OpenRequest{
		ResourceName: "default/app", ResourceHandle: h.handle, ResourceType: application.Name, Properties: h.props,
	})
	if err != nil || resp.GetStatus() != 0 {
		h.t.Fatalf("Open: %v, %v", resp, err)
	}
	h.id = resp.GetResourceId()
}

func (h *host) online() *pb.OnlineResponse {
	h.t.Helper()
	resp, err := h.Online(h.within(10*time.Second), &pb.OnlineRequest{ResourceId: h.id, Properties: h.props, Epoch: h.epoch})
	if err != nil {
		h.t.Fatalf("Online: %v", err)
	}
	return resp
}

// mustOnline brings it online at once.
func (h *host) mustOnline() {
	h.t.Helper()
	if resp := h.online(); resp.GetStatus() != 0 {
		h.t.Fatalf("Online: %v", resp)
	}
}

// mustOffline takes it offline, whether at once or by a worker.
func (h *host) mustOffline() {
	h.t.Helper()
	h.monitor.Forget() // an earlier end is not this one
	resp, err := h.Offline(h.within(10*time.Second), &pb.OfflineRequest{ResourceId: h.id})
	switch {
	case err != nil:
		h.t.Fatalf("Offline: %v", err)
	case resp.GetStatus() == 997:
		h.monitor.WaitState(h.t, pb.ResourceState_RESOURCE_STATE_OFFLINE)
	case resp.GetStatus() != 0:
		h.t.Fatalf("Offline: %v", resp)
	}
}

func (h *host) terminate(within time.Duration) *pb.TerminateResponse {
	h.t.Helper()
	resp, err := h.Terminate(h.within(within), &pb.TerminateRequest{ResourceId: h.id})
	if err != nil {
		h.t.Fatalf("Terminate: %v", err)
	}
	return resp
}

func (h *host) isAlive() *pb.IsAliveResponse {
	h.t.Helper()
	resp, err := h.IsAlive(h.within(10*time.Second), &pb.IsAliveRequest{ResourceId: h.id})
	if err != nil {
		h.t.Fatalf("IsAlive: %v", err)
	}
	return resp
}

func (h *host) within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	h.t.Cleanup(cancel)
	return ctx
}

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func structOf(t *testing.T, m map[string]any) *structpb.Struct {
	t.Helper()
	s, err := structpb.NewStruct(m)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// command is a program of this binary, as a property.
func command(t *testing.T, args ...any) []any {
	t.Helper()
	return append([]any{self(t)}, args...)
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(testmonitor.Patience); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// content waits for a file that has some.
func content(t *testing.T, path string) string {
	t.Helper()
	var text []byte
	eventually(t, path+" is written", func() bool {
		var err error
		text, err = os.ReadFile(path)
		return err == nil && len(text) > 0 && text[len(text)-1] == '\n'
	})
	return strings.TrimSpace(string(text))
}

// pidIn waits for the process id in a file.
func pidIn(t *testing.T, path string) int {
	t.Helper()
	return number(t, content(t, path))
}

func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// alive says whether a process runs; one that only its parent has to notice does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	after := string(stat[strings.LastIndexByte(string(stat), ')')+1:])
	return !strings.HasPrefix(after, " Z") && !strings.HasPrefix(after, " X")
}

// children lists the children of a process.
func children(pid int) []int {
	var found []int
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		stat, _ := os.ReadFile(file)
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			child, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			found = append(found, child)
		}
	}
	return found
}
