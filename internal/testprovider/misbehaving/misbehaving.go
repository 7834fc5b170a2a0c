// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package misbehaving is a provider that breaks the contract where it is told to: a
// double for tests of what stands around providers. It speaks the protocol itself,
// because the SDK would not let it.
//
// What it breaks is said per resource, by its properties; see Properties. Its type
// is "misbehaving". Without properties it behaves.
package misbehaving

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
)

// Properties say what a resource breaks. Calls are named as in the protocol: Open,
// Online, Offline, Terminate, LooksAlive, IsAlive, Close, BeginResourceControl.
type Properties struct {
	// Hang: these calls never answer, whatever becomes of their caller.
	Hang []string `json:"hang"`
	// Crash: the process dies in these calls.
	Crash []string `json:"crash"`
	// Fail: these calls answer 5038, or "not alive".
	Fail []string `json:"fail"`
	// Lie: Offline and Terminate answer 0 and do nothing.
	Lie []string `json:"lie"`
	// Abort: these calls answer with a gRPC error.
	Abort []string `json:"abort"`
	// Lock is a file that a daemon holds while the resource runs: it double-forked
	// into a session of its own and ignores SIGTERM. Two at once leave
	// Lock.conflict. Empty: nothing runs.
	Lock string `json:"lock"`
	// Steps and StepMilliseconds: Online is pending for so many checkpoints.
	Steps            int   `json:"steps"`
	StepMilliseconds int64 `json:"stepMilliseconds"`
	// Stuck: a pending Online reports the same checkpoint for ever.
	Stuck bool `json:"stuck"`
	// Flood: so many goroutines report status as fast as they can, from Online on,
	// also when nothing is pending.
	Flood int `json:"flood"`
	// FalseAlarms: so many goroutines signal failures as fast as they can.
	FalseAlarms int `json:"falseAlarms"`
	// Deaf: what the monitor answers to reports is ignored.
	Deaf bool `json:"deaf"`
}

// Provider serves the type. Daemon is the command that runs testprograms.Daemon.
type Provider struct {
	pb.UnimplementedProviderServiceServer
	Daemon []string

	monitor pb.MonitorServiceClient
	mu      sync.Mutex
	all     map[string]*resource
	// Reports counts what was sent to the monitor.
	Reports atomic.Int64
}

type resource struct {
	handle string
	props  Properties
	state  pb.ResourceState
	cancel context.CancelFunc // ends floods and pending work
}

// Serve serves until ctx ends.
func (p *Provider) Serve(ctx context.Context, socket, monitor string) error {
	conn, err := grpc.NewClient("unix:"+monitor, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	p.monitor = pb.NewMonitorServiceClient(conn)
	p.all = map[string]*resource{}
	_ = os.Remove(socket)
	l, err := new(net.ListenConfig).Listen(ctx, "unix", socket)
	if err != nil {
		return err
	}
	if err := os.Chmod(socket, 0o666); err != nil {
		return err
	}
	s := grpc.NewServer()
	pb.RegisterProviderServiceServer(s, p)
	context.AfterFunc(ctx, s.Stop)
	return s.Serve(l)
}

// enter is what happens at the beginning of every call.
func (p *Provider) enter(call, id string) (*resource, error) {
	p.mu.Lock()
	r := p.all[id]
	p.mu.Unlock()
	if r == nil {
		return nil, status.Errorf(codes.NotFound, "no resource %q", id)
	}
	return r, p.misbehave(call, r)
}

// misbehave hangs, crashes or aborts, if that is what the resource does in a call.
func (p *Provider) misbehave(call string, r *resource) error {
	switch {
	case slices.Contains(r.props.Hang, call):
		select {}
	case slices.Contains(r.props.Crash, call):
		fmt.Fprintln(os.Stderr, "misbehaving: crash in", call)
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case slices.Contains(r.props.Abort, call):
		return status.Errorf(codes.Internal, "misbehaving in %s", call)
	}
	return nil
}

func (r *resource) fails(call string) bool { return slices.Contains(r.props.Fail, call) }

// status is the answer to a call that fails if it is told to.
func (r *resource) status(call string) uint32 {
	if r.fails(call) {
		return 5038
	}
	return 0
}

func decode(s *structpb.Struct) (props Properties, err error) {
	text, err := json.Marshal(s.AsMap())
	if err == nil {
		err = json.Unmarshal(text, &props)
	}
	return props, err
}

// run starts what the resource runs, and its floods.
func (p *Provider) run(r *resource) error {
	ctx, cancel := context.WithCancel(context.Background())
	p.mu.Lock()
	r.cancel = cancel
	p.mu.Unlock()
	if r.props.Lock != "" {
		args := append(slices.Clone(p.Daemon[1:]), "--leave", "--lock", r.props.Lock)
		cmd := exec.CommandContext(ctx, p.Daemon[0], args...)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			return err
		}
	}
	for range r.props.Flood {
		go p.flood(ctx, func(i uint32) error {
			_, err := p.monitor.SetResourceStatusEx(ctx, &pb.SetResourceStatusExRequest{
				ResourceHandle: r.handle,
				ResourceStatus: &pb.ResourceStatusEx{ResourceState: pb.ResourceState_RESOURCE_STATE_ONLINE_PENDING, CheckPoint: i},
			})
			return err
		})
	}
	for range r.props.FalseAlarms {
		go p.flood(ctx, func(uint32) error {
			_, err := p.monitor.SignalFailure(ctx, &pb.SignalFailureRequest{ResourceHandle: r.handle, Message: "false alarm"})
			return err
		})
	}
	return nil
}

func (p *Provider) flood(ctx context.Context, send func(i uint32) error) {
	for i := uint32(1); ctx.Err() == nil; i++ {
		if send(i) != nil {
			time.Sleep(time.Millisecond) // no monitor: do not burn the machine
			continue
		}
		p.Reports.Add(1)
	}
}

// stop kills the daemon by what its file says.
func (p *Provider) stop(r *resource) error {
	p.mu.Lock()
	if r.cancel != nil {
		r.cancel()
	}
	p.mu.Unlock()
	if r.props.Lock == "" {
		return nil
	}
	return killHolder(r.props.Lock)
}
