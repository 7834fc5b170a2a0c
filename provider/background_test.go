// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
	"github.com/understudy-dev/understudy/provider"
)

// Shows: WorkerStartRoutine.
func TestWorkers(t *testing.T) {
	f := &fake{}
	s := newStage(t, f)
	var all []*provider.BackgroundWorker
	for range 64 {
		w, err := f.args.Handle.StartWorker(func(ctx context.Context) error { <-ctx.Done(); return errNo })
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, w)
	}
	if _, err := f.args.Handle.StartWorker(nil); codeOf(err) != provider.ErrorSystemResourcesLacking {
		t.Errorf("one too many: %v", err)
	}
	if all[0].CheckTerminate() {
		t.Error("told to end at once")
	}
	if err := all[0].Terminate(s.ctx()); err != nil || !all[0].CheckTerminate() || !errors.Is(all[0].Err(), errNo) {
		t.Errorf("%v %v", err, all[0].Err())
	}
	if err := all[0].Terminate(s.ctx()); err != nil { // RA 1.18: again
		t.Error(err)
	}
	if all[1].CheckTerminate() {
		t.Error("another one ended with it")
	}
	if err := provider.TerminateWorkers(s.ctx(), all...); err != nil {
		t.Error(err)
	}
	w, err := f.args.Handle.StartWorker(func(context.Context) error { panic("in a worker") })
	if err != nil || codeOf(w.Err()) != provider.ErrorExceptionInCall {
		t.Errorf("a panic: %v", err)
	}
}

// Terminate of the resource waits for its workers: one of them could start it again.
func TestTerminateWaitsForWorkers(t *testing.T) {
	f := &fake{}
	s := newStage(t, f)
	s.mustOnline(0)
	told, end := make(chan struct{}), make(chan struct{})
	_, err := f.args.Handle.StartWorker(func(ctx context.Context) error {
		<-ctx.Done()
		close(told)
		<-end
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	resp, err := s.Terminate(ctx, &pb.TerminateRequest{ResourceId: s.id})
	if err == nil && resp.GetStatus() == 0 {
		t.Error("a stop was proven while a worker goes on")
	}
	hear(t, "that the worker is told", told)
	close(end)
	s.mustTerminate()
	// Its next life may have workers again.
	s.mustOnline(0)
	if _, err := f.args.Handle.StartWorker(func(context.Context) error { return nil }); err != nil {
		t.Error(err)
	}
}

// Shows: SetResourceStatusEx, WorkerStartRoutine.
func TestWorkersEndWhenAReportIsAnsweredTerminate(t *testing.T) {
	step := make(chan struct{})
	f := &fake{online: func(context.Context, provider.OnlineArgs) (provider.Work, error) {
		return func(ctx context.Context, w *provider.Worker) error {
			<-step
			_ = w.Checkpoint("on")
			<-ctx.Done()
			return ctx.Err()
		}, nil
	}}
	s := newStage(t, f)
	s.monitor.Answer(func(_ context.Context, req proto.Message) (proto.Message, error) {
		if _, ok := req.(*pb.SetResourceStatusExRequest); ok {
			return &pb.SetResourceStatusExResponse{ExitState: pb.ResourceExitState_RESOURCE_EXIT_STATE_TERMINATE}, nil
		}
		return nil, nil
	})
	s.mustOnline(997)
	w, err := f.args.Handle.StartWorker(func(ctx context.Context) error { <-ctx.Done(); return nil })
	if err != nil {
		t.Fatal(err)
	}
	close(step)
	hear(t, "the end of the worker", w.Done())
}

func TestCloseEndsWorkersFirst(t *testing.T) {
	f := &fake{}
	s := newStage(t, f)
	_, err := f.args.Handle.StartWorker(func(ctx context.Context) error {
		<-ctx.Done()
		f.called("end of worker")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := s.Close(s.ctx(), &pb.CloseRequest{ResourceId: s.id}); err != nil || resp.GetStatus() != 0 {
		t.Fatalf("%v %v", resp, err)
	}
	if want := []string{"Open", "end of worker", "Close"}; !slices.Equal(f.calls, want) {
		t.Errorf("%v", f.calls)
	}
}
