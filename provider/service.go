// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
)

// versions are those of RA 2.0 whose calls are served, newest first: with control codes
// that begin and end apart as a user too, without a user, with Cancel, and the first.
var versions = []uint32{0x400, 0x300, 0x200, 0x100}

// service serves the protocol for all resources of the process.
type service struct {
	pb.UnimplementedProviderServiceServer
	provider Provider
	types    map[string]*resourceType // by lower-case name
	monitor  pb.MonitorServiceClient
	logger   *slog.Logger
	ctx      context.Context
	life     string // makes RESIDs of this process differ from those of another

	mu       sync.Mutex
	byID     map[string]*instance
	byHandle map[string]*instance // nil while Open is under way
	opened   int
	stopping bool
}

type resourceType struct {
	Type
	controls *controls
	mu       sync.Mutex
	started  bool
}

func newService(ctx context.Context, p Provider, monitor pb.MonitorServiceClient, logger *slog.Logger) *service {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	s := &service{
		provider: p,
		types:    make(map[string]*resourceType, len(p.Types)),
		monitor:  monitor,
		logger:   logger,
		ctx:      ctx,
		life:     hex.EncodeToString(b[:]),
		byID:     map[string]*instance{},
		byHandle: map[string]*instance{},
	}
	for name, t := range p.Types {
		s.types[strings.ToLower(name)] = &resourceType{Type: t, controls: newTypeControls(ctx, name, monitor)}
	}
	return s
}

func (s *service) typeNames() []string {
	names := make([]string, 0, len(s.provider.Types))
	for name := range s.provider.Types {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// find is the instance of a RESID.
func (s *service) find(id string) (*instance, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in, ok := s.byID[id]
	return in, ok
}

// startup prepares a type, once. RA 2.1 Startup.
func (t *resourceType) startup(ctx context.Context, name string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, ok := t.Type.(Starter)
	if !ok || t.started {
		return nil
	}
	_, err := guarded(name, func() (struct{}, error) { return struct{}{}, s.Startup(ctx) })
	t.started = err == nil
	return err
}

// open makes an instance, or answers for the one that is there.
func (s *service) open(ctx context.Context, req *pb.OpenRequest) (*pb.OpenResponse, error) {
	t := s.types[strings.ToLower(req.GetResourceType())]
	if t == nil {
		message := fmt.Sprintf("no resource type %q here", clip(req.GetResourceType(), 64))
		return &pb.OpenResponse{Status: uint32(ErrorNameNotFound), Message: message}, nil
	}
	if req.GetResourceHandle() == "" {
		return &pb.OpenResponse{Status: uint32(ErrorInvalidParameter), Message: "no resource handle"}, nil
	}
	s.mu.Lock()
	in, known := s.byHandle[req.GetResourceHandle()]
	switch {
	case s.stopping:
		s.mu.Unlock()
		return &pb.OpenResponse{Status: uint32(ErrorClusterShuttingDown), Message: "ownership ends"}, nil
	case known && in == nil:
		s.mu.Unlock()
		return nil, status.Error(codes.Aborted, "an Open of this resource is under way")
	case known && in.typ != strings.ToLower(req.GetResourceType()):
		s.mu.Unlock()
		return &pb.OpenResponse{Status: uint32(ErrorInvalidParameter), Message: fmt.Sprintf("open as type %q", in.typ)}, nil
	case known:
		s.mu.Unlock()
		// Whether or not it is told to recover: to say what runs is all that Open
		// does, and the monitor decides.
		return in.snapshot(), nil
	}
	s.byHandle[req.GetResourceHandle()] = nil
	s.opened++
	id := fmt.Sprintf("%s-%d", s.life, s.opened)
	s.mu.Unlock()

	in, err := s.create(ctx, t, id, req)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := asError(err); e != nil {
		delete(s.byHandle, req.GetResourceHandle())
		return &pb.OpenResponse{Status: uint32(e.Code), Message: e.Message}, nil
	}
	s.byID[id], s.byHandle[in.handle] = in, in
	return in.snapshot(), nil
}

func (s *service) create(ctx context.Context, t *resourceType, id string, req *pb.OpenRequest) (*instance, error) {
	// The monitor may go away meanwhile; the answer is for the next one.
	ctx = withDeadlineOf(s.ctx, ctx)
	if err := t.startup(ctx, req.GetResourceType()); err != nil {
		return nil, err
	}
	in := &instance{
		id:        id,
		handle:    req.GetResourceHandle(),
		name:      req.GetResourceName(),
		typ:       strings.ToLower(req.GetResourceType()),
		lane:      newLane(),
		monitor:   s.monitor,
		terminate: make(chan struct{}, 1), arbitration: make(chan struct{}, 1),
		state: StateOffline,
	}
	in.ctx, in.cancel = context.WithCancel(s.ctx)
	in.controls = in.newControls()
	var err error
	in.res, err = guarded(in.name, func() (Resource, error) {
		return t.Open(ctx, OpenArgs{
			Name:       in.name,
			Type:       req.GetResourceType(),
			Flags:      req.GetOpenFlags(),
			Properties: req.GetProperties(),
			Handle:     &Handle{in: in},
		})
	})
	if err == nil && in.res == nil {
		err = errors.New("Open made no resource")
	}
	if q, ok := t.Type.(QuorumType); ok && q.QuorumCapable() && err == nil {
		if _, ok := in.res.(Arbitrator); !ok {
			err = Errorf(ErrorNotQuorumCapable, "the type %s is quorum-capable, and its resource does not arbitrate", in.typ)
		}
	}
	if p, ok := in.res.(Prober); ok && err == nil {
		in.state, err = guarded(in.name, func() (State, error) { return p.Probe(ctx) })
	}
	if err != nil {
		in.cancel()
		return nil, err
	}
	go in.lane.run(in.ctx)
	return in, nil
}

// close ends an instance, RA 2.1 Close.
func (s *service) close(ctx context.Context, in *instance) error {
	in.mu.Lock()
	offline := in.state == StateOffline && in.op == nil && in.update == nil
	in.mu.Unlock()
	if !offline {
		if err := in.runTerminate(ctx); err != nil {
			return err
		}
	}
	in.mu.Lock()
	if in.closing || in.op != nil || in.terminating > 0 || in.state != StateOffline {
		in.mu.Unlock()
		return in.busy()
	}
	in.closing = true
	in.mu.Unlock()
	_, err := guarded(in.name, func() (struct{}, error) {
		ctx := withDeadlineOf(in.ctx, ctx)
		return struct{}{}, errors.Join(TerminateWorkers(ctx, in.workers.end()...), in.res.Close(ctx))
	})
	// The instance is gone whatever Close said: it has no second try in RA.
	in.cancel()
	in.lane.close()
	s.mu.Lock()
	delete(s.byID, in.id)
	delete(s.byHandle, in.handle)
	s.mu.Unlock()
	return err
}

// terminateAll is the soft guard: everything ends now. Nothing can start again.
func (s *service) terminateAll(timeout time.Duration) error {
	s.mu.Lock()
	s.stopping = true
	all := make([]*instance, 0, len(s.byID))
	for _, in := range s.byID {
		in.mu.Lock()
		in.closing = true // an Online that is just coming in finds the door shut
		in.mu.Unlock()
		all = append(all, in)
	}
	s.mu.Unlock()
	s.logger.Info("ownership ends: terminating everything", "resources", len(all))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), timeout)
	defer cancel()
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, in := range all {
		wg.Go(func() {
			if err := in.runTerminate(withReason(ctx, ReasonRundown)); err != nil {
				errs[i] = fmt.Errorf("terminate %s: %w", in.name, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (s *service) isStopping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopping
}

// recoverCalls is the last resort: what guarded did not catch.
func recoverCalls(
	ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
) (resp any, err error) {
	defer func() {
		if r := recover(); r != nil {
			slog.Error("panic in a call", "method", info.FullMethod, "panic", r, "stack", string(debug.Stack()))
			resp, err = nil, status.Errorf(codes.Internal, "panic: %v", r)
		}
	}()
	return handler(ctx, req)
}
