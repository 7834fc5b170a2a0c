// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
	"github.com/understudy-dev/understudy/internal/testmonitor"
	"github.com/understudy-dev/understudy/provider"
)

func TestFailureIsSignalled(t *testing.T) {
	f := &fake{}
	s := newStage(t, f)
	f.args.Handle.SignalFailure(provider.Failure{Message: "nobody asked"}) // not online
	s.mustOnline(0)
	f.args.Handle.SignalFailure(provider.Failure{AppCode: 3, Exited: true, Message: strings.Repeat("ä", 600)})
	r, _ := testmonitor.Wait[*pb.SignalFailureRequest](t, s.monitor, nil)
	if r.GetResourceHandle() != "uid" || r.GetFailureType() != provider.FailureGeneral || !r.GetExited() ||
		r.GetApplicationSpecificErrorCode() != 3 || r.GetMessage() != strings.Repeat("ä", 512) {
		t.Errorf("SignalFailure: %v", r)
	}
	if r := s.open(1); r.GetState() != provider.StateFailed {
		t.Errorf("Open: %v", r)
	}
}

// A program may end before its Online was answered.
func TestFailureDuringOnline(t *testing.T) {
	f := &fake{}
	f.online = func(context.Context, provider.OnlineArgs) (provider.Work, error) {
		f.args.Handle.SignalFailure(provider.Failure{Exited: true, Message: "gone"})
		return nil, nil
	}
	s := newStage(t, f)
	s.mustOnline(0)
	testmonitor.Wait[*pb.SignalFailureRequest](t, s.monitor, nil)
}

// The monitor may not have seen the answer to Online yet.
func TestFailureIsOfferedAgain(t *testing.T) {
	s := newStage(t, &fake{})
	refused := 0
	s.monitor.Answer(func(_ context.Context, m proto.Message) (proto.Message, error) {
		if refused++; refused < 4 {
			return &pb.SignalFailureResponse{Status: 5023}, nil
		}
		return nil, nil
	})
	s.mustOnline(0)
	s.fake.args.Handle.SignalFailure(provider.Failure{Exited: true})
	s.fake.args.Handle.LogEvent(provider.LogError, "after it")
	testmonitor.Wait[*pb.LogEventRequest](t, s.monitor, nil)
	if n := len(s.monitor.Heard()); n != 5 {
		t.Errorf("the monitor heard %d calls: %v", n, s.monitor.Heard())
	}
}

func TestReportsSurviveTheMonitor(t *testing.T) {
	step := make(chan struct{})
	f := &fake{online: func(context.Context, provider.OnlineArgs) (provider.Work, error) {
		return func(_ context.Context, w *provider.Worker) error {
			<-step
			for i := range 50 {
				if err := w.Checkpoint(fmt.Sprint(i)); err != nil {
					return err
				}
			}
			return nil
		}, nil
	}}
	s := newStage(t, f)
	s.mustOnline(997)
	s.monitor.Stop()
	for i := range 3 {
		f.args.Handle.LogEvent(provider.LogInformation, "line %d", i)
	}
	step <- struct{}{}
	for s.open(1).GetState() != provider.StateOnline {
	}
	f.args.Handle.LogEvent(provider.LogInformation, "line 3")
	s.monitor.Start(t)
	testmonitor.Wait(t, s.monitor, func(r *pb.LogEventRequest) bool { return r.GetMessage() == "line 3" })
	var got []string
	for _, m := range s.monitor.Heard() {
		switch m := m.(type) {
		case *pb.LogEventRequest:
			got = append(got, m.GetMessage())
		case *pb.SetResourceStatusExRequest:
			got = append(got, m.GetResourceStatus().GetResourceState().String()+fmt.Sprint(m.GetResourceStatus().GetCheckPoint()))
		}
	}
	// In order; the checkpoints that nobody heard were superseded by the end.
	if want := "line 0, line 1, line 2, RESOURCE_STATE_ONLINE51, line 3"; strings.Join(got, ", ") != want {
		t.Errorf("got %q, want %q", strings.Join(got, ", "), want)
	}
}

// A monitor that dies with a report in its hands leaves the outcome unknown.
func TestUnansweredReportIsRepeated(t *testing.T) {
	s := newStage(t, &fake{})
	taken := make(chan struct{}, 1)
	s.monitor.Answer(func(ctx context.Context, m proto.Message) (proto.Message, error) {
		select {
		case taken <- struct{}{}:
		default:
		}
		<-ctx.Done()
		return nil, ctx.Err()
	})
	s.mustOnline(0)
	s.fake.args.Handle.SignalFailure(provider.Failure{Exited: true, Message: "end"})
	hear(t, "the report arrives", taken)
	s.monitor.Stop()
	s.monitor.Answer(nil)
	s.monitor.Start(t)
	s.fake.args.Handle.LogEvent(provider.LogInformation, "next")
	testmonitor.Wait[*pb.LogEventRequest](t, s.monitor, nil)
	n := 0
	for _, m := range s.monitor.Heard() {
		if _, ok := m.(*pb.SignalFailureRequest); ok {
			n++
		}
	}
	if n != 2 {
		t.Errorf("heard the failure %d times: %v", n, s.monitor.Heard())
	}
}

// A new call makes what is said about the time before it pointless: an old failure
// must not hit the new life of the resource.
func TestTerminateSupersedesReports(t *testing.T) {
	s := newStage(t, &fake{})
	s.mustOnline(0)
	s.monitor.Stop()
	s.fake.args.Handle.LogEvent(provider.LogInformation, "first")
	s.fake.args.Handle.SignalFailure(provider.Failure{Exited: true, Message: "old"})
	s.mustTerminate()
	s.mustOnline(0)
	s.fake.args.Handle.LogEvent(provider.LogInformation, "second")
	s.monitor.Start(t)
	testmonitor.Wait(t, s.monitor, func(r *pb.LogEventRequest) bool { return r.GetMessage() == "second" })
	if n := len(s.monitor.Heard()); n != 2 {
		t.Errorf("heard %v", s.monitor.Heard())
	}
}

func TestTerminateAnswerEndsTheWorker(t *testing.T) {
	ended := make(chan struct{})
	f := &fake{online: func(context.Context, provider.OnlineArgs) (provider.Work, error) {
		return func(ctx context.Context, w *provider.Worker) error {
			defer close(ended)
			_ = w.Checkpoint("are you there")
			<-ctx.Done()
			return ctx.Err()
		}, nil
	}}
	s := newStage(t, f)
	s.monitor.Answer(func(context.Context, proto.Message) (proto.Message, error) {
		return &pb.SetResourceStatusExResponse{ExitState: pb.ResourceExitState_RESOURCE_EXIT_STATE_TERMINATE}, nil
	})
	s.mustOnline(997)
	hear(t, "the worker ends", ended)
	s.mustTerminate()
	if n := len(s.monitor.Heard()); n != 1 {
		t.Errorf("heard %v", s.monitor.Heard())
	}
}

func TestControl(t *testing.T) {
	const ping, slow, long = 0x01800005, 0x01800009, 0x0180000d
	finish := make(chan struct{})
	f := &fake{control: func(_ context.Context, c provider.ControlCall) ([]byte, provider.ControlWork, error) {
		switch c.Code {
		case ping:
			return append([]byte("pong "), c.In...), nil, nil
		case slow:
			return nil, func(context.Context) ([]byte, error) {
				<-finish
				return []byte("done"), nil
			}, nil
		case long:
			return make([]byte, 100), nil, nil
		}
		return nil, nil, provider.Errorf(provider.ErrorInvalidFunction, "")
	}}
	s := newStage(t, f)
	begin := func(code uint32, id int64, size uint32) *pb.BeginResourceControlResponse {
		t.Helper()
		r, err := s.BeginResourceControl(s.ctx(), &pb.BeginResourceControlRequest{
			ResourceId: s.id, Context: id,
			Input: &pb.ControlInput{ControlCode: code, InBuffer: []byte("x"), OutBufferSize: size},
		})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := begin(ping, 1, 100); string(r.GetOutput().GetOutBuffer()) != "pong x" || r.GetOutput().GetBytesReturned() != 6 {
		t.Errorf("ping: %v", r)
	}
	if r := begin(long, 2, 99); r.GetOutput().GetStatus() != 234 || r.GetOutput().GetBytesReturned() != 100 || len(r.GetOutput().GetOutBuffer()) != 0 {
		t.Errorf("long: %v", r)
	}
	if r := begin(99, 3, 100); r.GetOutput().GetStatus() != 1 {
		t.Errorf("unknown: %v", r)
	}
	for range 2 { // repeated, it is begun once
		if r := begin(slow, 4, 100); !r.GetReturnedAsynchronously() || r.GetOutput().GetStatus() != 0 {
			t.Errorf("slow: %v", r)
		}
	}
	_, err := s.BeginResourceControl(s.ctx(), &pb.BeginResourceControlRequest{ResourceId: s.id, Context: 4, Input: &pb.ControlInput{ControlCode: ping}})
	if status.Code(err) != codes.Aborted {
		t.Errorf("another call with the same context: %v", err)
	}
	if r := begin(slow, 5, 3); !r.GetReturnedAsynchronously() { // with too little room
		t.Errorf("slow: %v", r)
	}
	s.mustOnline(0) // a control call does not hold up others
	s.mustTerminate()
	close(finish)
	for id, want := range map[int64]*pb.EndControlCallRequest{
		4: {Context: 4, OutBuffer: []byte("done"), BytesReturned: 4},
		5: {Context: 5, Status: 234, BytesReturned: 4},
	} {
		end, _ := testmonitor.Wait(t, s.monitor, func(r *pb.EndControlCallRequest) bool { return r.GetContext() == id })
		if !proto.Equal(end, want) {
			t.Errorf("EndControlCall: %v, want %v", end, want)
		}
	}
	if n := len(s.monitor.Heard()); n != 2 {
		t.Errorf("heard %v", s.monitor.Heard())
	}
}

func TestLogIsBounded(t *testing.T) {
	s := newStage(t, &fake{})
	s.mustOnline(0)
	s.monitor.Stop()
	s.fake.args.Handle.SignalFailure(provider.Failure{Exited: true})
	for i := range 10000 {
		s.fake.args.Handle.LogEvent(provider.LogWarning, "%d %s", i, strings.Repeat("x", 1000))
	}
	s.monitor.Start(t)
	last, _ := testmonitor.Wait(t, s.monitor, func(r *pb.LogEventRequest) bool { return strings.HasPrefix(r.GetMessage(), "9999 ") })
	if len(last.GetMessage()) != 500 {
		t.Errorf("a line of %d characters", len(last.GetMessage()))
	}
	testmonitor.Wait[*pb.SignalFailureRequest](t, s.monitor, nil) // never dropped
	if n := len(s.monitor.Heard()); n > 130 {
		t.Errorf("heard %d calls", n)
	}
}
