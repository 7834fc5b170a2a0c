// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
)

// suite is one run.
type suite struct {
	config Config
	// dir is that of the sockets, scratch what $(DIR) is.
	dir, scratch string
	journal      *journal
	monitor      *monitor
	conn         *grpc.ClientConn
	provider     pb.ProviderServiceClient
	process      *process
	// died are the ends of the process that no case asked for.
	died []string

	info         *pb.GetInfoResponse
	capabilities map[pb.Capability]bool
	types        []*Type
	count        int
	resources    map[string]*resource // by handle
}

// Test runs the cases and makes a subtest of each.
func Test(t *testing.T, c Config) {
	t.Helper()
	report, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range report.Results {
		t.Run(r.Title(), func(t *testing.T) {
			switch r.Outcome {
			case Failed:
				t.Error(r.Details())
			case Skipped:
				t.Skip(r.Reason)
			case Passed:
			}
		})
	}
	t.Log(report.Summary())
}

// Run runs the cases one after the other. The error says why they could not be run;
// what they found is in the report.
func Run(ctx context.Context, c Config) (Report, error) {
	started := time.Now()
	if err := c.check(); err != nil {
		return Report{}, err
	}
	s, err := begin(ctx, c)
	if s != nil {
		defer s.end()
	}
	if err != nil {
		return Report{}, err
	}
	var trials []*trial
	for _, one := range cases() {
		if c.Run != nil && !c.Run.MatchString(one.Name) {
			continue
		}
		types := s.types
		if one.provider {
			types = []*Type{nil}
		}
		for _, typ := range types {
			trials = append(trials, &trial{suite: s, ctx: ctx, c: one, typ: typ})
		}
	}
	for _, t := range trials {
		if ctx.Err() != nil {
			return Report{}, ctx.Err()
		}
		t.perform()
	}
	s.judge(ctx, trials)
	report := Report{Provider: s.info.GetName()}
	for _, t := range trials {
		report.Results = append(report.Results, t.result(len(s.types) > 1))
	}
	report.Took = time.Since(started)
	return report, ctx.Err()
}

// judge listens once for what must not come, and judges what did.
func (s *suite) judge(ctx context.Context, trials []*trial) {
	if !slices.ContainsFunc(trials, func(t *trial) bool { return t.open() && (len(t.late) > 0 || t.c.judge != nil) }) {
		return
	}
	select {
	case <-time.After(s.config.Limits.quiet()):
	case <-ctx.Done():
	}
	s.journal.enter(nil)
	for _, t := range trials {
		if t.open() {
			t.afterwards()
		}
	}
}

// begin makes sockets, starts the provider if it is to, and asks who it is.
func begin(ctx context.Context, c Config) (*suite, error) {
	s := &suite{config: c, journal: newJournal(), resources: map[string]*resource{}, capabilities: map[pb.Capability]bool{}}
	var err error
	if s.scratch, err = os.MkdirTemp("", "conformance-"); err != nil {
		return nil, err
	}
	if s.dir = c.Dir; s.dir == "" {
		s.dir = s.scratch
	}
	s.monitor = newMonitor(filepath.Join(s.dir, "monitor.sock"), s.journal)
	if err := s.monitor.start(); err != nil {
		return s, err
	}
	if s.process, err = launch(c, s.socket(), s.monitor.socket); err != nil {
		return s, err
	}
	if s.process == nil && c.Dir == "" {
		return s, errors.New("say where the provider is: a folder of sockets, or a command that starts it")
	}
	if err := s.dial(); err != nil {
		return s, err
	}
	if err := s.awaitReady(ctx); err != nil {
		return s, err
	}
	return s, s.meet(ctx)
}

func (s *suite) socket() string { return filepath.Join(s.dir, "provider.sock") }

// end puts everything away.
func (s *suite) end() {
	if s.process != nil {
		s.process.stop(s.config.Limits.call())
	}
	if s.conn != nil {
		_ = s.conn.Close()
	}
	s.monitor.stop()
	_ = os.RemoveAll(s.scratch)
}

// dial makes a client that finds the provider again after it was restarted.
func (s *suite) dial() error {
	conn, err := grpc.NewClient("unix:"+s.socket(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 5 * time.Millisecond, Multiplier: 1.5, MaxDelay: 50 * time.Millisecond},
			MinConnectTimeout: time.Second,
		}),
		grpc.WithUnaryInterceptor(s.record),
		grpc.WithDefaultCallOptions(
			grpc.WaitForReady(true),
			grpc.MaxCallRecvMsgSize(maxMessageSize), grpc.MaxCallSendMsgSize(4*maxMessageSize),
		))
	if err != nil {
		return err
	}
	s.conn, s.provider = conn, pb.NewProviderServiceClient(conn)
	return nil
}

// record writes down every call and gives it a deadline.
func (s *suite) record(
	ctx context.Context, method string, req, reply any, cc *grpc.ClientConn,
	invoke grpc.UnaryInvoker, opts ...grpc.CallOption,
) error {
	ctx, cancel := context.WithTimeout(ctx, s.config.Limits.call())
	defer cancel()
	in, _ := req.(proto.Message)
	out, _ := reply.(proto.Message)
	s.expect(in)
	e := s.journal.begin(false, method, in)
	err := invoke(ctx, method, req, reply, cc, opts...)
	if open, ok := req.(*pb.OpenRequest); ok && err == nil {
		if answer, ok := reply.(*pb.OpenResponse); ok && answer.GetResourceId() != "" {
			s.monitor.set(func() { s.monitor.ids[answer.GetResourceId()] = open.GetResourceHandle() })
		}
	}
	s.journal.end(e, out, err)
	return err
}

// named is a call that names a resource.
type named interface{ GetResourceId() string }

// expect tells the monitor which reports to expect from a call on.
func (s *suite) expect(req proto.Message) {
	s.monitor.set(func() {
		m := s.monitor
		switch r := req.(type) {
		case *pb.OpenRequest:
			m.handles[r.GetResourceHandle()] = true
		case *pb.OnlineRequest, *pb.OfflineRequest:
			if h := m.handleOf(req); h != "" {
				m.pending[h] = true
			}
		case *pb.TerminateRequest, *pb.CloseRequest:
			delete(m.pending, m.handleOf(req))
		case interface{ GetContext() int64 }:
			if _, known := m.contexts[r.GetContext()]; !known {
				m.contexts[r.GetContext()] = true
			}
		}
	})
}

// awaitReady waits until the provider answers and says that it is ready.
func (s *suite) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.config.Limits.pending())
	defer cancel()
	for {
		if s.process != nil && s.process.gone() {
			return fmt.Errorf("the provider ended at once: %w", or(s.process.err, errors.New("exit code 0")))
		}
		attempt, stop := context.WithTimeout(ctx, time.Second)
		probe, err := s.provider.Probe(attempt, &pb.ProbeRequest{})
		stop()
		if err == nil && probe.GetReady() {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no provider is ready at %s: %w", s.socket(), or(err, errors.New("Probe answers ready=false")))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func or(err, otherwise error) error {
	if err == nil {
		return otherwise
	}
	return err
}

// meet asks the provider who it is, and tries whether resources can be made.
func (s *suite) meet(ctx context.Context) error {
	var err error
	if s.info, err = s.provider.GetInfo(ctx, &pb.GetInfoRequest{ProtocolVersions: pb.Versions()}); err != nil {
		return fmt.Errorf("GetInfo: %w", err)
	}
	answer, err := s.provider.GetCapabilities(ctx, &pb.GetCapabilitiesRequest{})
	if err != nil {
		return fmt.Errorf("GetCapabilities: %w", err)
	}
	for _, c := range answer.GetCapabilities() {
		s.capabilities[c] = true
	}
	for i := range s.config.Types {
		s.types = append(s.types, &s.config.Types[i])
	}
	for _, name := range s.info.GetResourceTypes() {
		known := func(t *Type) bool { return strings.EqualFold(t.Name, name) }
		if slices.ContainsFunc(s.types, known) {
			continue
		}
		typ := &Type{Name: name}
		t := &trial{suite: s, ctx: ctx, c: Case{Name: "preflight"}, typ: typ}
		t.guarded(func() { t.makeOnline(nil) })
		if t.failure != "" {
			typ.unusable = "without properties: " + t.failure + ": say in --config how to make it"
		}
		t.cleanUp()
		s.types = append(s.types, typ)
	}
	return nil
}

// guarded runs f, which may leave by t.fail or t.skip.
func (t *trial) guarded(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if r := recover(); r != nil {
				buffer := make([]byte, 4096)
				t.failure = fmt.Sprintf("the suite itself failed: %v\n%s", r, buffer[:runtime.Stack(buffer, false)])
			}
		}()
		f()
	}()
	<-done
}

// restart starts the provider again after its end.
func (s *suite) restart(ctx context.Context) error {
	for _, r := range s.resources {
		r.forgotten = true // ids of an earlier life
	}
	s.monitor.set(func() { clear(s.monitor.ids); clear(s.monitor.pending) })
	var err error
	if s.process, err = launch(s.config, s.socket(), s.monitor.socket); err != nil {
		return err
	}
	return s.awaitReady(ctx)
}
