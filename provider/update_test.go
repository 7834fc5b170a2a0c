// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
	"github.com/understudy-dev/understudy/internal/testmonitor"
	"github.com/understudy-dev/understudy/provider"
)

// tunable is a fake that takes properties over.
type tunable struct {
	*fake
	set func(ctx context.Context, p *structpb.Struct) error
}

func (f tunable) SetProperties(ctx context.Context, p *structpb.Struct) error { return f.set(ctx, p) }

// setCode is what SET_PRIVATE_PROPERTIES answers to a text.
func (s *stage) setCode(ctx context.Context, text string) (uint32, error) {
	r, err := s.BeginResourceControl(ctx, &pb.BeginResourceControlRequest{
		ResourceId: s.id, Context: 1, Input: &pb.ControlInput{ControlCode: 0x01400086, InBuffer: []byte(text)},
	})
	return r.GetOutput().GetStatus(), err
}

func (s *stage) mustSet(text string, want uint32) {
	s.t.Helper()
	if code, err := s.setCode(s.ctx(), text); err != nil || code != want {
		s.t.Errorf("setting %s: %d %v, want %d", text, code, err, want)
	}
}

func TestSetProperties(t *testing.T) {
	var got string
	var answer error
	f := tunable{fake: &fake{}, set: func(_ context.Context, p *structpb.Struct) error {
		got = p.GetFields()["a"].GetStringValue()
		if got == "panic" {
			panic("as told")
		}
		return answer
	}}
	s := newStage(t, f.fake, f)
	s.mustSet(`{"a":"early"}`, 5004)
	s.mustOnline(0)
	s.mustSet(`{"a":"x"}`, 0)
	if got != "x" {
		t.Errorf("got %q", got)
	}
	answer = provider.ErrNextOnline
	s.mustSet(`{"a":"y"}`, 5024)
	answer = provider.Errorf(provider.ErrorInvalidData, "a: is wrong")
	s.mustSet(`{"a":"z"}`, 13)
	testmonitor.Wait(t, s.monitor, func(r *pb.LogEventRequest) bool {
		return r.GetLogLevel() == provider.LogError && strings.HasSuffix(r.GetMessage(), ": a: is wrong")
	})
	answer = errors.New("any")
	s.mustSet(`{}`, 5038)
	s.mustSet(`{"a":"panic"}`, 5930)
	s.mustSet(`[1]`, 13)
	answer = nil
	s.mustSet(`{"a":"x"}`, 0)
	s.mustTerminate()
	s.mustSet(`{"a":"late"}`, 5004)
}

// One that heeds its context answers in time: a call without an answer costs the process.
func TestSetPropertiesHasADeadline(t *testing.T) {
	f := tunable{fake: &fake{}, set: func(ctx context.Context, _ *structpb.Struct) error {
		<-ctx.Done()
		return ctx.Err()
	}}
	s := newStage(t, f.fake, f)
	s.mustOnline(0)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if code, err := s.setCode(ctx, `{}`); err != nil || code != 5910 {
		t.Errorf("%d, %v; want 5910", code, err)
	}
}

// A resource that does not take properties over says so, whatever codes it serves.
func TestSetPropertiesIsOptional(t *testing.T) {
	s := newStage(t, &fake{control: func(context.Context, provider.ControlCall) ([]byte, provider.ControlWork, error) {
		return nil, nil, nil
	}})
	s.mustOnline(0)
	s.mustSet(`{}`, 1)
}

// One that a dead monitor left is waited for: neither its repetition nor Online runs
// beside it, and Terminate ends it.
func TestSetPropertiesRunsAlone(t *testing.T) {
	began, finish := make(chan context.Context, 9), make(chan error, 9)
	var repeated atomic.Bool
	f := tunable{fake: &fake{}, set: func(ctx context.Context, p *structpb.Struct) error {
		if p.GetFields()["again"] != nil {
			repeated.Store(true)
			return nil
		}
		began <- ctx
		return <-finish
	}}
	s := newStage(t, f.fake, f)
	// leave begins one that goes on although its monitor is gone.
	leave := func() {
		s.mustOnline(0)
		dead, cancel := context.WithCancel(s.ctx())
		go func() { _, _ = s.setCode(dead, `{}`) }()
		set := hear(t, "a call", began)
		cancel()
		<-set.Done()
	}
	briefly := func() context.Context {
		ctx, cancel := context.WithTimeout(s.ctx(), 50*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}

	leave()
	if _, _ = s.setCode(briefly(), `{"again":true}`); repeated.Load() {
		t.Error("two at once")
	}
	finish <- nil
	s.mustSet(`{"again":true}`, 0)

	leave()
	if r, err := s.Terminate(briefly(), &pb.TerminateRequest{ResourceId: s.id}); err == nil && r.GetStatus() == 0 {
		t.Error("Terminate is no proof while it runs")
	}
	finish <- nil
	s.mustTerminate()

	s.mustOnline(0)
	ended := make(chan uint32, 1)
	go func() {
		code, _ := s.setCode(s.ctx(), `{}`)
		ended <- code
	}()
	set, before := hear(t, "a call", began), f.count("Terminate")
	terminated := make(chan uint32, 1)
	go func() {
		r, _ := s.Terminate(s.ctx(), &pb.TerminateRequest{ResourceId: s.id})
		terminated <- r.GetStatus()
	}()
	<-set.Done()
	finish <- set.Err()
	if code := hear(t, "its end", ended); code != 995 {
		t.Errorf("the one that was terminated: %d", code)
	}
	if code := hear(t, "Terminate", terminated); code != 0 || f.count("Terminate")-before != 2 {
		t.Errorf("Terminate: %d, called %d times", code, f.count("Terminate")-before)
	}

	leave()
	if r, err := s.Offline(s.ctx(), &pb.OfflineRequest{ResourceId: s.id}); err != nil || r.GetStatus() != 0 {
		t.Fatalf("Offline waits for it: %v, %v", r, err)
	}
	before = f.count("Online")
	if r, err := s.Online(briefly(), &pb.OnlineRequest{ResourceId: s.id, Epoch: 1}); err == nil && r.GetStatus() == 0 ||
		f.count("Online") != before {
		t.Errorf("Online runs beside it: %v, %v", r, err)
	}
	finish <- nil
	s.mustTerminate()
	s.mustOnline(0)
	s.mustTerminate()

	leave()
	if r, err := s.Offline(s.ctx(), &pb.OfflineRequest{ResourceId: s.id}); err != nil || r.GetStatus() != 0 {
		t.Fatalf("Offline waits for it: %v, %v", r, err)
	}
	if r, err := s.Close(briefly(), &pb.CloseRequest{ResourceId: s.id}); err == nil && r.GetStatus() == 0 || f.count("Close") > 0 {
		t.Errorf("Close runs beside it: %v, %v", r, err)
	}
	finish <- nil
	if r, err := s.Close(s.ctx(), &pb.CloseRequest{ResourceId: s.id}); err != nil || r.GetStatus() != 0 {
		t.Errorf("Close: %v, %v", r, err)
	}
}
