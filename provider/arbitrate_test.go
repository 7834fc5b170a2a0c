// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"context"
	"slices"
	"testing"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
	"github.com/understudy-dev/understudy/internal/testmonitor"
	"github.com/understudy-dev/understudy/provider"
)

// arbiter is a fake that arbitrates.
type arbiter struct {
	*fake
	arbitrate func(ctx context.Context, epoch int64) error
	release   func(ctx context.Context) error
}

func (a *arbiter) Arbitrate(ctx context.Context, epoch int64) error { return a.arbitrate(ctx, epoch) }
func (a *arbiter) Release(ctx context.Context) error                { return a.release(ctx) }

// quorumType is the fake's type, made quorum-capable.
type quorumType struct{ provider.Type }

func (quorumType) QuorumCapable() bool { return true }

// pretender opens resources that do not arbitrate.
type pretender struct{ quorumType }

func (p pretender) Open(ctx context.Context, args provider.OpenArgs) (provider.Resource, error) {
	if args.Name == "plain" {
		return &fake{}, nil
	}
	return p.Type.Open(ctx, args)
}

func asQuorum(t provider.Type) provider.Type { return quorumType{t} }

// Shows: Arbitrate, Release.
func TestArbitrate(t *testing.T) {
	a := &arbiter{fake: &fake{}}
	s := newStageOf(t, a.fake, asQuorum, a)
	caps, err := s.GetCapabilities(s.ctx(), &pb.GetCapabilitiesRequest{})
	if err != nil || !slices.Contains(caps.GetCapabilities(), pb.Capability_CAPABILITY_QUORUM) {
		t.Fatalf("%v, %v", caps, err)
	}
	var epochs []int64
	for status, give := range map[uint32]error{
		0:    nil,
		5006: provider.Errorf(provider.ErrorResourceNotAvailable, "host b has it"),
		5018: errNo,
	} {
		a.arbitrate = func(_ context.Context, epoch int64) error { epochs = append(epochs, epoch); return give }
		a.release = func(context.Context) error { return give }
		got, err := s.Arbitrate(s.ctx(), &pb.ArbitrateRequest{ResourceId: s.id, Epoch: 7})
		if err != nil || (got.GetStatus() == 0) != (give == nil) || status != 5018 && got.GetStatus() != status {
			t.Errorf("Arbitrate: %v, %v", got, err)
		}
		if status == 5006 && got.GetMessage() != "host b has it" {
			t.Errorf("%v", got)
		}
		if got, err := s.Release(s.ctx(), &pb.ReleaseRequest{ResourceId: s.id}); err != nil || (got.GetStatus() == 0) != (give == nil) {
			t.Errorf("Release: %v, %v", got, err)
		}
	}
	if !slices.Equal(epochs, []int64{7, 7, 7}) {
		t.Errorf("epochs %v", epochs)
	}
	if got, err := s.Arbitrate(s.ctx(), &pb.ArbitrateRequest{ResourceId: "other"}); err != nil || got.GetStatus() != 5007 {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := s.Release(s.ctx(), &pb.ReleaseRequest{ResourceId: "other"}); err != nil || got.GetStatus() != 5007 {
		t.Errorf("%v, %v", got, err)
	}
	a.arbitrate = func(context.Context, int64) error { panic("no") }
	if got, err := s.Arbitrate(s.ctx(), &pb.ArbitrateRequest{ResourceId: s.id}); err != nil || got.GetStatus() != 5930 {
		t.Errorf("%v, %v", got, err)
	}
}

// One after the other, and the monitor's end is not theirs.
func TestArbitrateOneAtATime(t *testing.T) {
	a := &arbiter{fake: &fake{}}
	s := newStageOf(t, a.fake, asQuorum, a)
	began, finish, order := make(chan struct{}), make(chan struct{}), make(chan string, 2)
	a.arbitrate = func(ctx context.Context, _ int64) error {
		close(began)
		<-finish
		order <- "won"
		return ctx.Err()
	}
	a.release = func(context.Context) error { order <- "released"; return nil }
	ctx, dies := context.WithCancel(s.ctx())
	go func() { _, _ = s.Arbitrate(ctx, &pb.ArbitrateRequest{ResourceId: s.id, Epoch: 1}) }()
	hear(t, "Arbitrate", began)
	dies()
	released := make(chan error, 1)
	go func() {
		_, err := s.Release(s.ctx(), &pb.ReleaseRequest{ResourceId: s.id})
		released <- err
	}()
	close(finish)
	if err := hear(t, "Release", released); err != nil {
		t.Error(err)
	}
	if first, then := <-order, <-order; first != "won" || then != "released" {
		t.Errorf("%s before %s", first, then)
	}
}

// Shows: QuorumResourceLost. It is said until a monitor hears it, whatever is called
// meanwhile, unless it is arbitrated anew.
func TestQuorumResourceLost(t *testing.T) {
	a := &arbiter{fake: &fake{}}
	a.arbitrate = func(context.Context, int64) error { return nil }
	s := newStageOf(t, a.fake, asQuorum, a)
	lost := func() (n int) {
		for _, m := range s.monitor.Heard() {
			if _, ok := m.(*pb.QuorumResourceLostRequest); ok {
				n++
			}
		}
		return n
	}
	s.monitor.Stop()
	a.args.Handle.QuorumResourceLost()
	s.mustTerminate()
	s.monitor.Start(t)
	if r, _ := testmonitor.Wait[*pb.QuorumResourceLostRequest](t, s.monitor, nil); r.GetResourceHandle() != "uid" {
		t.Errorf("%v", r)
	}
	s.monitor.Stop()
	before := lost()
	a.args.Handle.QuorumResourceLost()
	if r, err := s.Arbitrate(s.ctx(), &pb.ArbitrateRequest{ResourceId: s.id, Epoch: 2}); err != nil || r.GetStatus() != 0 {
		t.Fatalf("%v, %v", r, err)
	}
	s.monitor.Start(t)
	a.args.Handle.LogEvent(provider.LogInformation, "after it")
	testmonitor.Wait[*pb.LogEventRequest](t, s.monitor, nil)
	if n := lost(); n != before {
		t.Errorf("what was lost before counts against what was won: %d, %d", before, n)
	}
}

// A provider says of itself what its types say, and a type must keep its word.
func TestNotArbitrating(t *testing.T) {
	s := newStage(t, &fake{})
	caps, err := s.GetCapabilities(s.ctx(), &pb.GetCapabilitiesRequest{})
	if err != nil || slices.Contains(caps.GetCapabilities(), pb.Capability_CAPABILITY_QUORUM) {
		t.Errorf("%v, %v", caps, err)
	}
	if r, err := s.Arbitrate(s.ctx(), &pb.ArbitrateRequest{ResourceId: s.id}); err != nil || r.GetStatus() != 1 {
		t.Errorf("%v, %v", r, err)
	}
	a := &arbiter{fake: &fake{}}
	s = newStageOf(t, a.fake, func(t provider.Type) provider.Type { return pretender{quorumType{t}} }, a)
	r, err := s.Open(s.ctx(), &pb.OpenRequest{ResourceName: "plain", ResourceHandle: "uid2", ResourceType: "fake"})
	if err != nil || r.GetStatus() != 5021 {
		t.Errorf("%v, %v", r, err)
	}
}
