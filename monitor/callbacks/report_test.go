// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package callbacks

import (
	"context"
	"errors"
	"io"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
	"github.com/understudy-dev/understudy/monitor/engine"
)

const (
	starting = pb.ResourceState_RESOURCE_STATE_ONLINE_PENDING
	online   = pb.ResourceState_RESOURCE_STATE_ONLINE
)

func request(handle string, st *pb.ResourceStatusEx) *pb.ReportRequest {
	return &pb.ReportRequest{ResourceHandle: handle, ResourceStatus: st}
}

// TestReportInOrder: of progress the newest arrives, and whatever else was said does, in
// its order; all of it counts.
func TestReportInOrder(t *testing.T) {
	r := serve(t)
	r.mu.Lock() // the engine is busy
	s, err := r.api.Report(t.Context())
	must(t, err)
	progress := func(handle string, flags uint32, n uint32) *pb.ReportRequest {
		return request(handle, &pb.ResourceStatusEx{ResourceState: starting, Flags: flags, CheckPoint: n})
	}
	sent := 0
	send := func(m *pb.ReportRequest) {
		t.Helper()
		must(t, s.Send(m))
		sent++
	}
	for n := range uint32(1000) {
		send(progress("u", 0, n))
	}
	send(progress("u", 1, 1000)) // other flags
	send(progress("v", 1, 1))    // another resource
	send(progress("u", 1, 1001))
	send(request("u", &pb.ResourceStatusEx{ResourceState: online, CheckPoint: 1002, EventHandle: true}))
	send(request("u", &pb.ResourceStatusEx{ResourceState: online, CheckPoint: 1002, EventHandle: true}))
	r.mu.Unlock()
	answer, err := s.CloseAndRecv()
	must(t, err)
	if answer.GetReports() != uint64(sent) ||
		answer.GetExitState() != pb.ResourceExitState_RESOURCE_EXIT_STATE_CONTINUE {
		t.Errorf("%v of %d reports", answer, sent)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	heard := r.heard
	if n := len(heard); n < 6 || heard[n-6].SetResourceStatus.CheckPoint != 999 {
		t.Fatalf("%d reports passed on", n)
	}
	last := uint32(0)
	for _, cb := range heard[:len(heard)-5] {
		if n := cb.SetResourceStatus.CheckPoint; cb.Handle != "u" || n < last {
			t.Fatalf("%d after %d", n, last)
		}
		last = cb.SetResourceStatus.CheckPoint
	}
	for i, want := range []engine.Callback{
		{Handle: "u", SetResourceStatus: &engine.SetResourceStatus{Flags: 1, CheckPoint: 1000}},
		{Handle: "v", SetResourceStatus: &engine.SetResourceStatus{Flags: 1, CheckPoint: 1}},
		{Handle: "u", SetResourceStatus: &engine.SetResourceStatus{Flags: 1, CheckPoint: 1001}},
		{Handle: "u", SetResourceStatus: &engine.SetResourceStatus{
			State: engine.ReportedOnline, CheckPoint: 1002, EventHandle: true,
		}},
		{Handle: "u", SetResourceStatus: &engine.SetResourceStatus{
			State: engine.ReportedOnline, CheckPoint: 1002, EventHandle: true,
		}},
	} {
		got := heard[len(heard)-5+i]
		want.SetResourceStatus.Ex = true
		if want.SetResourceStatus.State == 0 {
			want.SetResourceStatus.State = engine.ReportedOnlinePending
		}
		if got.Handle != want.Handle || *got.SetResourceStatus != *want.SetResourceStatus || got.Container != "main" {
			t.Errorf("%d: %+v, %+v", i, got, got.SetResourceStatus)
		}
	}
}

// TestReportEndsWithTerminate: the provider hears of it at once, and nothing that it
// sent later was taken.
func TestReportEndsWithTerminate(t *testing.T) {
	r := serve(t)
	r.reply = engine.Reply{ExitState: engine.ExitTerminate}
	s, err := r.api.Report(t.Context())
	must(t, err)
	must(t, s.Send(request("u", &pb.ResourceStatusEx{ResourceState: starting})))
	answer := &pb.ReportResponse{}
	must(t, s.RecvMsg(answer)) // without closing it
	if answer.GetReports() != 1 || answer.GetExitState() != pb.ResourceExitState_RESOURCE_EXIT_STATE_TERMINATE {
		t.Errorf("%v", answer)
	}
	if err := s.RecvMsg(answer); !errors.Is(err, io.EOF) {
		t.Errorf("%v, want a status of OK", err)
	}
	if err := s.Send(request("u", &pb.ResourceStatusEx{ResourceState: online})); !errors.Is(err, io.EOF) {
		t.Errorf("%v, want the end of the stream", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.heard) != 1 {
		t.Errorf("%d reports were taken", len(r.heard))
	}
}

// TestReportWithoutAnEngine: a stream whose report nobody answers ends with an error, and
// so does one whose provider goes away.
func TestReportWithoutAnEngine(t *testing.T) {
	r := serve(t)
	r.err = context.DeadlineExceeded
	s, err := r.api.Report(t.Context())
	must(t, err)
	must(t, s.Send(request("u", &pb.ResourceStatusEx{ResourceState: starting})))
	if _, err := s.CloseAndRecv(); status.Code(err) != codes.Unavailable {
		t.Errorf("%v", err)
	}
}

func TestReportsAreBounded(t *testing.T) {
	q := &reports{grown: make(chan struct{}, 1), shrunk: make(chan struct{}, 1)}
	other := func(flags uint32) engine.Callback {
		return engine.Callback{SetResourceStatus: &engine.SetResourceStatus{State: engine.ReportedOnlinePending, Flags: flags}}
	}
	n := uint32(0)
	for ; q.add(other(n)); n++ {
		if n > maxReports {
			t.Fatal("without an end")
		}
	}
	if n != maxReports {
		t.Errorf("%d reports wait", n)
	}
	// Of progress, only the newest waits; it stands for all before it.
	for range 1000 {
		if !q.add(other(n - 1)) {
			t.Fatal("the newest cannot be superseded")
		}
	}
	if last := q.list[maxReports-1]; len(q.list) != maxReports || last.number != maxReports+1000 {
		t.Errorf("%d reports wait, the newest is number %d", len(q.list), last.number)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := q.put(ctx, other(n)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	go func() { _, _ = q.next(t.Context()) }()
	must(t, q.put(t.Context(), other(n)))
}
