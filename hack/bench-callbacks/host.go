// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"k8s.io/client-go/rest"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
	"github.com/understudy-dev/understudy/internal/standin"
	"github.com/understudy-dev/understudy/monitor"
	"github.com/understudy-dev/understudy/monitor/callbacks"
)

// patience bounds the wait for what must happen.
const patience = 30 * time.Second

// window is that of the SDK.
const window = 1 << 20

// monitorCommand makes this program the monitor that it starts; its settings come
// from standard input.
const monitorCommand = "run-monitor"

type settings struct {
	PodUID, NodeName, StateDir, ContainersDir string
	// Server, Token and CA reach the API.
	Server, Token string
	CA            []byte
	// Profile is a file for a CPU profile; empty: none.
	Profile string
}

// runMonitor is the child.
func runMonitor() error {
	var s settings
	if err := json.NewDecoder(os.Stdin).Decode(&s); err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	log, err := os.Create(filepath.Join(s.StateDir, "log"))
	if err != nil {
		return err
	}
	if s.Profile != "" {
		f, err := os.Create(s.Profile)
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	err = monitor.Run(ctx, monitor.Config{
		Namespace: namespace, Group: groupName, PodName: podName, PodUID: s.PodUID, PodIP: "10.0.0.1",
		NodeName: s.NodeName, StateDir: s.StateDir, ContainersDir: s.ContainersDir, Log: log,
		REST: &rest.Config{
			Host: s.Server, BearerToken: s.Token, TLSClientConfig: rest.TLSClientConfig{CAData: s.CA},
		},
	})
	if ctx.Err() != nil {
		return nil // as it was asked to
	}
	return err
}

// host is the monitor in its process, and init and provider in this one.
type host struct {
	*stage
	dir     string
	monitor *exec.Cmd
	// ended is closed when the monitor has, why says how.
	ended    chan struct{}
	why      error
	stop     context.CancelFunc
	waitInit func()
	provider *provider
	conn     *grpc.ClientConn
	callback pb.MonitorServiceClient
	watch    *watcher
	journal  *journal
}

func (s *stage) startHost(ctx context.Context, profile string) (h *host, err error) {
	h = &host{stage: s, ended: make(chan struct{})}
	// Socket paths are short.
	if h.dir, err = os.MkdirTemp("", "u"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			h.close()
		}
	}()
	state, containers := filepath.Join(h.dir, "s"), filepath.Join(h.dir, "c")
	mine, theirs := filepath.Join(containers, container, monitor.MonitorFolder), filepath.Join(containers, container, monitor.ProviderFolder)
	for _, d := range []string{state, mine, theirs} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, err
		}
	}
	if h.journal, err = watchJournal(state); err != nil {
		return nil, err
	}
	if h.watch, err = watchResources(ctx, s.api); err != nil {
		return nil, err
	}
	socket := filepath.Join(mine, callbacks.SocketName)
	h.conn, err = grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)),
		grpc.WithStaticStreamWindowSize(window), grpc.WithStaticConnWindowSize(window))
	if err != nil {
		return nil, err
	}
	h.callback = pb.NewMonitorServiceClient(h.conn)
	if err := h.startMonitor(ctx, settings{
		PodUID: string(s.pod.UID), NodeName: s.pod.Spec.NodeName, StateDir: state, ContainersDir: containers,
		Server: s.env.Config.Host, Token: s.token, CA: s.env.Config.CAData, Profile: profile,
	}); err != nil {
		return nil, err
	}
	h.provider = &provider{}
	var inner context.Context
	inner, h.stop = context.WithCancel(ctx)
	_, h.waitInit, err = standin.Start(inner, mine, h.provider.serve(filepath.Join(theirs, "provider.sock")))
	return h, err
}

func (h *host) startMonitor(ctx context.Context, s settings) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	// The end of ctx ends everything else first.
	h.monitor = exec.CommandContext(context.WithoutCancel(ctx), self, monitorCommand)
	h.monitor.Stderr = os.Stderr
	// Whatever becomes of this process, nothing is left running.
	h.monitor.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdin, err := h.monitor.StdinPipe()
	if err != nil {
		return err
	}
	if err := h.monitor.Start(); err != nil {
		return err
	}
	go func() {
		defer close(h.ended)
		h.why = h.monitor.Wait()
	}()
	if err := json.NewEncoder(stdin).Encode(s); err != nil {
		return err
	}
	return stdin.Close()
}

func (h *host) close() {
	if h.monitor != nil && h.monitor.Process != nil {
		_ = h.monitor.Process.Signal(syscall.SIGTERM)
		select {
		case <-h.ended:
		case <-time.After(5 * time.Second):
			_ = h.monitor.Process.Kill()
			<-h.ended
		}
	}
	if h.stop != nil {
		h.stop()
	}
	if h.waitInit != nil {
		h.waitInit()
	}
	if h.conn != nil {
		_ = h.conn.Close()
	}
	if h.watch != nil {
		h.watch.close()
	}
	if h.journal != nil {
		h.journal.close()
	}
	_ = os.RemoveAll(h.dir)
}

// waitPending waits until every resource has been asked to come online.
func (h *host) waitPending(ctx context.Context) error {
	return h.until(ctx, "all resources to come online", func() bool {
		return h.provider.onlines.Load() >= resources
	})
}

func (h *host) until(ctx context.Context, what string, ok func() bool) error {
	end := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-h.ended:
			return fmt.Errorf("the monitor ended while %s was waited for: %w", what, h.why)
		case <-ctx.Done():
			return ctx.Err()
		case <-end:
			log, _ := os.ReadFile(filepath.Join(h.dir, "s", "log"))
			return fmt.Errorf("waited in vain for %s; the monitor said\n%s", what, log[max(0, len(log)-4000):])
		}
	}
	return nil
}

// provider answers Online with "pending" and leaves the rest to the measurement.
type provider struct {
	pb.UnimplementedProviderServiceServer
	onlines atomic.Int64
	// online is told the handle of each Online, if anybody listens.
	mu     sync.Mutex
	online func(handle string)
}

func (p *provider) whenOnline(f func(handle string)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.online = f
}

func (p *provider) serve(path string) standin.Child {
	return func(ctx context.Context) {
		_ = os.Remove(path)
		l, err := new(net.ListenConfig).Listen(ctx, "unix", path)
		if err != nil {
			return
		}
		s := grpc.NewServer()
		pb.RegisterProviderServiceServer(s, p)
		defer context.AfterFunc(ctx, s.Stop)()
		_ = s.Serve(l)
	}
}

func (p *provider) GetInfo(context.Context, *pb.GetInfoRequest) (*pb.GetInfoResponse, error) {
	return &pb.GetInfoResponse{Name: "bench", ProtocolVersions: []uint32{1}, ResourceTypes: []string{"bench"}}, nil
}

func (p *provider) GetCapabilities(
	context.Context, *pb.GetCapabilitiesRequest,
) (*pb.GetCapabilitiesResponse, error) {
	return &pb.GetCapabilitiesResponse{}, nil
}

func (p *provider) Probe(context.Context, *pb.ProbeRequest) (*pb.ProbeResponse, error) {
	return &pb.ProbeResponse{Ready: true}, nil
}

func (p *provider) Open(_ context.Context, r *pb.OpenRequest) (*pb.OpenResponse, error) {
	// Its id is its handle, so that Online says whose it is.
	return &pb.OpenResponse{ResourceId: r.GetResourceHandle(), State: pb.ResourceState_RESOURCE_STATE_OFFLINE}, nil
}

func (p *provider) Online(_ context.Context, r *pb.OnlineRequest) (*pb.OnlineResponse, error) {
	p.onlines.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.online != nil {
		go p.online(r.GetResourceId())
	}
	return &pb.OnlineResponse{Status: 997}, nil
}

func (p *provider) Terminate(context.Context, *pb.TerminateRequest) (*pb.TerminateResponse, error) {
	return &pb.TerminateResponse{}, nil
}

func (p *provider) IsAlive(context.Context, *pb.IsAliveRequest) (*pb.IsAliveResponse, error) {
	return &pb.IsAliveResponse{Alive: true}, nil
}

func (p *provider) LooksAlive(context.Context, *pb.LooksAliveRequest) (*pb.LooksAliveResponse, error) {
	return &pb.LooksAliveResponse{Alive: true}, nil
}
