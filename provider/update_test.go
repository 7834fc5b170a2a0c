// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
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
	answer = errors.New("any")
	s.mustSet(`{}`, 5038)
	s.mustSet(`{"a":"panic"}`, 5930)
	s.mustSet(`[1]`, 13)
	answer = nil
	s.mustSet(`{"a":"x"}`, 0)
	s.mustTerminate()
	s.mustSet(`{"a":"late"}`, 5004)
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
	var running atomic.Int32
	f := tunable{fake: &fake{}, set: func(ctx context.Context, _ *structpb.Struct) error {
		defer running.Add(-1)
		if running.Add(1) > 1 {
			t.Error("two at once")
		}
		began <- ctx
		return <-finish
	}}
	s := newStage(t, f.fake, f)
	s.mustOnline(0)
	dead, cancel := context.WithCancel(s.ctx())
	go func() { _, _ = s.setCode(dead, `{}`) }()
	first := <-began
	cancel()
	<-first.Done() // its monitor's death is heard of

	second := make(chan uint32, 1)
	go func() {
		code, _ := s.setCode(s.ctx(), `{}`)
		second <- code
	}()
	finish <- nil
	next := <-began
	terminated := make(chan uint32, 1)
	go func() {
		r, _ := s.Terminate(s.ctx(), &pb.TerminateRequest{ResourceId: s.id})
		terminated <- r.GetStatus()
	}()
	<-next.Done()
	select {
	case <-terminated:
		t.Fatal("Terminate is no proof while it runs")
	default:
	}
	finish <- next.Err()
	if code := <-second; code != 995 {
		t.Errorf("the one that was terminated: %d", code)
	}
	if code := <-terminated; code != 0 || f.count("Terminate") != 2 {
		t.Errorf("Terminate: %d, called %d times", code, f.count("Terminate"))
	}

	s.mustOnline(0)
	abandoned, cancel := context.WithCancel(s.ctx())
	go func() { _, _ = s.setCode(abandoned, `{}`) }()
	last := <-began
	if r, err := s.Offline(s.ctx(), &pb.OfflineRequest{ResourceId: s.id}); err != nil || r.GetStatus() != 0 {
		t.Fatalf("Offline waits for it: %v, %v", r, err)
	}
	online := make(chan error, 1)
	go func() {
		_, err := s.Online(s.ctx(), &pb.OnlineRequest{ResourceId: s.id})
		online <- err
	}()
	<-last.Done()
	select {
	case <-online:
		t.Error("Online runs beside it")
	default:
	}
	finish <- nil
	if err := <-online; err != nil {
		t.Error(err)
	}
	cancel()
}
