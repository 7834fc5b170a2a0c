// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
)

// awaitFailure waits for SignalFailure of a resource.
func (r *resource) awaitFailure() {
	r.t.await("SignalFailure", func(events []event) bool {
		for i := range events {
			if f, ok := events[i].req.(*pb.SignalFailureRequest); ok && f.GetResourceHandle() == r.handle {
				return true
			}
		}
		return false
	})
}

// makeReporting is a new resource that is online and reports its failures.
func (t *trial) makeReporting() *resource {
	r := t.makeOpen(nil)
	resp := r.online()
	if resp.GetEventHandle() {
		return r
	}
	all, _ := r.reports()
	for _, st := range all {
		if st.state == stateOnline && st.eventHandle {
			return r
		}
	}
	t.skip("Online gave no event handle: failures are found by polling")
	return nil
}

var failureCases = []Case{
	{Name: "Failure/IsSignalled", Needs: []Need{breaking},
		Rule: "A resource whose Online gave an event handle reports its failure by SignalFailure (RA 2.3, RA 1.3).",
		run: func(t *trial) {
			r := t.makeReporting()
			r.breakIt()
			r.awaitFailure()
		}},
	{Name: "Failure/IsNotAliveWhenSignalled", Needs: []Need{breaking},
		Rule: "The monitor verifies a failure by IsAlive, which must not deny it (RA 2.3).",
		run: func(t *trial) {
			r := t.makeReporting()
			r.breakIt()
			r.awaitFailure()
			if r.alive() {
				t.fail("IsAlive after SignalFailure: expected not alive, got alive")
			}
		}},
	{Name: "Failure/ThenTerminateLeavesNothing", Needs: []Need{breaking},
		Rule: "After a failure Terminate follows, and answers 0 once nothing is left (RA 2.1).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			r.breakIt()
			t.eventually("IsAlive to answer not alive after the failure", func() bool { return !r.alive() })
			r.terminate()
			r.mustBeDown("after Terminate")
		}},
	{Name: "Failure/ThenRestart", Needs: []Need{breaking},
		Rule: "A failed resource is terminated and brought online again by the policy (RA 2.1).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			for range 3 {
				r.breakIt()
				t.eventually("IsAlive to answer not alive after the failure", func() bool { return !r.alive() })
				r.terminate()
				r.epoch++
				r.online()
				r.mustBeUp("after Terminate and Online")
			}
		}},
	{Name: "Failure/ThenOffline", Needs: []Need{breaking},
		Rule: "Offline of what failed answers 0 or 997 with nothing left, or an error, and Terminate follows (RA 2.1).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			r.breakIt()
			t.eventually("IsAlive to answer not alive after the failure", func() bool { return !r.alive() })
			since := time.Now()
			resp, err := t.provider.Offline(t.ctx, &pb.OfflineRequest{ResourceId: r.id})
			if unknownOutcome(err) {
				t.answered("Offline", err)
			}
			if err == nil && resp.GetStatus() == ioPending {
				r.awaitEnd(since)
			}
			r.terminate()
			r.mustBeDown("after Offline and Terminate")
		}},
	{Name: "Failure/OfOneLeavesOthersAlone", Needs: []Need{breaking, several},
		Rule: "A failure is of the resource whose handle it names (RA 1.3).",
		run: func(t *trial) {
			a, b := t.makeOnline(nil), t.makeOnline(nil)
			a.breakIt()
			t.eventually("IsAlive to answer not alive after the failure", func() bool { return !a.alive() })
			b.mustBeUp("after another failed")
		}},
	{Name: "Failure/SurvivesTheMonitor", Needs: []Need{breaking},
		Rule: "What was to be reported while no monitor was there is reported to the next one (proto: " +
			"UNAVAILABLE leaves the outcome unknown).",
		run: func(t *trial) {
			r := t.makeReporting()
			t.without(func() {
				r.breakIt()
				t.eventually("IsAlive to answer not alive after the failure", func() bool { return !r.alive() })
				time.Sleep(slack) // the report falls into the absence
			})
			r.awaitFailure()
		}},
	{Name: "Failure/UnansweredIsRepeated", Needs: []Need{breaking},
		Rule: "UNAVAILABLE leaves the outcome of a callback unknown: it is sent again (proto).",
		run: func(t *trial) {
			r := t.makeReporting()
			var refused atomic.Int32
			t.monitor.script(func(_ context.Context, m proto.Message) (proto.Message, error) {
				if f, ok := m.(*pb.SignalFailureRequest); ok && f.GetResourceHandle() == r.handle && refused.Add(1) <= 2 {
					return nil, status.Error(codes.Unavailable, "the monitor is on its way down")
				}
				return nil, nil
			})
			r.breakIt()
			t.await("SignalFailure a third time", func(events []event) bool { return refused.Load() >= 3 })
		}},
	{Name: "Failure/SaysNothingAfterTerminate", Needs: []Need{breaking},
		Rule: "Terminate ends the life that a failure is about: what fails by it is no failure (RA 1.3).",
		run: func(t *trial) {
			r := t.makeReporting()
			r.terminate()
			at := time.Now()
			t.later(func() { r.silentAfter("Terminate", at) })
		}},
	{Name: "Failure/SaysNothingAfterOffline", Needs: []Need{breaking},
		Rule: "The end that Offline asked for is no failure (RA 1.3).",
		run: func(t *trial) {
			r := t.makeReporting()
			r.offline()
			t.later(func() {
				for _, e := range t.callbacks(r) {
					if _, ok := e.req.(*pb.SignalFailureRequest); ok {
						t.fail("expected no SignalFailure for an Offline, got {%s}", brief(e.req))
					}
				}
			})
		}},
}

// without runs f while no monitor is there: its socket is gone, and a new one comes.
func (t *trial) without(f func()) {
	t.monitor.stop()
	// Also if f ends the case: Goexit runs what is deferred.
	defer func() {
		if err := t.monitor.start(); err != nil {
			t.failure = "the suite itself failed: " + err.Error()
		}
	}()
	f()
}

var absenceCases = []Case{
	{Name: "MonitorGone/WhatIsOnlineStaysOnline",
		Rule: "The monitor may go away and come back at any time: the provider goes on (proto: Open, to recover).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			t.without(func() { r.mustBeUp("while no monitor listens") })
			r.mustBeUp("after the monitor came back")
		}},
	{Name: "MonitorGone/CallsAreAnswered",
		Rule: "Entry points do not wait for callbacks: all of them answer while no monitor listens (RA 2.0).",
		run: func(t *trial) {
			t.without(func() {
				r := t.makeOpen(nil)
				resp, err := r.callOnline()
				t.answered("Online", err)
				if s := resp.GetStatus(); s != success && s != ioPending {
					t.fail("Online: expected status 0 or 997, got %d: %s", s, resp.GetMessage())
				}
				r.terminate()
				r.mustBeDown("after Terminate")
				r.close()
			})
		}},
	{Name: "MonitorGone/OpenThenAnswersTheSame",
		Rule: "A monitor that comes back repeats Open with RECOVER_MONITOR_STATE and learns what is so (proto).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			id := r.id
			t.without(func() {})
			if resp := r.reopen(recoverState); resp.GetState() != stateOnline || resp.GetResourceId() != id {
				t.fail("Open: expected id %q and state ONLINE, got {%s}", id, brief(resp))
			}
		}},
	{Name: "MonitorGone/TheEndIsReportedAfterwards", Needs: []Need{pending},
		Rule: "A pending operation outlives the monitor, and its end is reported to the next one (proto: " +
			"UNAVAILABLE leaves the outcome unknown).",
		run: func(t *trial) {
			r := t.makePending()
			t.without(func() {
				// It may end meanwhile, or wait for somebody to hear its progress.
				for end := time.Now().Add(t.config.Limits.quiet()); !r.alive() && time.Now().Before(end); {
					time.Sleep(5 * time.Millisecond)
				}
			})
			if st := r.awaitEnd(time.Time{}); st.state != stateOnline {
				t.fail("expected the final report ONLINE, got %s: %s", st.state, st.message)
			}
		}},
	{Name: "MonitorGone/AnEndThatGotNoAnswerIsRepeated", Needs: []Need{pending},
		Rule: "UNAVAILABLE leaves the outcome of a report unknown: it is sent again (proto).",
		run: func(t *trial) {
			r := t.makeOpen(t.typ.PendingProperties)
			var refused atomic.Int32
			t.monitor.script(func(_ context.Context, m proto.Message) (proto.Message, error) {
				st, ok := reportOf(m)
				if h, _ := m.(handled); ok && !underWay(st.state) && h.GetResourceHandle() == r.handle && refused.Add(1) <= 2 {
					return nil, status.Error(codes.Unavailable, "the monitor is on its way down")
				}
				return nil, nil
			})
			resp, err := r.callOnline()
			t.answered("Online", err)
			if resp.GetStatus() != ioPending {
				t.skip("pendingProperties: Online answered %d at once, not 997", resp.GetStatus())
			}
			t.await("the final report a third time", func([]event) bool { return refused.Load() >= 3 })
		}},
	{Name: "MonitorGone/ASlowMonitorHoldsNothingUp",
		Rule: "Entry points do not wait for callbacks to be answered (RA 2.0).",
		run: func(t *trial) {
			release := make(chan struct{})
			defer close(release)
			t.monitor.script(func(ctx context.Context, _ proto.Message) (proto.Message, error) {
				select {
				case <-release:
				case <-ctx.Done():
				}
				return nil, nil
			})
			r := t.makeOpen(nil)
			_, err := r.callOnline()
			t.answered("Online", err)
			t.survives()
			r.terminate()
			r.mustBeDown("after Terminate")
			r.close()
		}},
	{Name: "MonitorGone/ManyTimes",
		Rule: "The monitor may go away and come back at any time (proto: Open, to recover).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			for range 5 {
				t.without(func() {})
				r.reopen(recoverState)
				r.mustBeUp("after the monitor came back")
			}
		}},
	{Name: "MonitorGone/ItsConnectionEndsInACall",
		Rule: "A call whose caller died goes on, or is undone; the next monitor repeats it (proto).",
		run: func(t *trial) {
			r := t.makeOpen(nil)
			ctx, cancel := context.WithCancel(t.ctx)
			var wg sync.WaitGroup
			wg.Go(func() { _, _ = t.provider.Online(ctx, r.onlineRequest()) })
			cancel()
			wg.Wait()
			r.reopen(recoverState)
			t.onlineAfterAll(r)
		}},
}

// onlineAfterAll repeats an Online whose outcome is unknown until it is online.
func (t *trial) onlineAfterAll(r *resource) {
	t.eventually("the repeated Online to succeed", func() bool {
		resp, err := r.callOnline()
		if unknownOutcome(err) {
			t.answered("Online again", err)
		}
		return err == nil && resp.GetStatus() == success
	})
	r.mustBeUp("after Online again")
	r.terminate()
	r.mustBeDown("after Terminate")
}

var exitStateCases = []Case{
	{Name: "ExitState/TerminateEndsTheWork", Needs: []Need{pending},
		Rule: "The answer TERMINATE to a report means: end the work at once; nothing more is reported of it (RA 1.1).",
		run: func(t *trial) {
			r := t.makeOpen(t.typ.PendingProperties)
			var at atomic.Int64
			t.monitor.script(func(_ context.Context, m proto.Message) (proto.Message, error) {
				st, ok := reportOf(m)
				h, _ := m.(handled)
				if !ok || h.GetResourceHandle() != r.handle || at.Load() != 0 || !underWay(st.state) {
					return nil, nil
				}
				at.Store(time.Now().UnixNano())
				if _, ex := m.(*pb.SetResourceStatusExRequest); ex {
					return &pb.SetResourceStatusExResponse{ExitState: end}, nil
				}
				return &pb.SetResourceStatusResponse{ExitState: end}, nil
			})
			resp, err := r.callOnline()
			t.answered("Online", err)
			if resp.GetStatus() != ioPending {
				t.skip("pendingProperties: Online answered %d at once, not 997", resp.GetStatus())
			}
			t.await("a report", func([]event) bool {
				all, _ := r.reports()
				return len(all) > 0
			})
			if at.Load() == 0 {
				t.skip("the operation reports no checkpoint on its way")
			}
			r.wild = true
			r.forgetAtEnd() // it is to be silent by itself
			process := t.process
			t.later(func() {
				told := time.Unix(0, at.Load())
				r.silentAfter("the answer TERMINATE", told)
				if t.process != process {
					return // another case has ended it since, with all that it had
				}
				r.terminate()
				r.mustBeDown("after Terminate")
				r.close()
			})
		}},
	exitState("UnspecifiedMeansContinue", "An exit state that is not said means continue (proto).", 0),
	exitState("UnknownMeansContinue",
		"Unknown enum values count as unspecified, so an unknown exit state means continue (proto).", 77),
}

// exitState answers every report with a value that means continue.
func exitState(name, rule string, value pb.ResourceExitState) Case {
	return Case{Name: "ExitState/" + name, Rule: rule, Needs: []Need{pending},
		run: func(t *trial) {
			t.monitor.script(func(_ context.Context, m proto.Message) (proto.Message, error) {
				switch m.(type) {
				case *pb.SetResourceStatusExRequest:
					return &pb.SetResourceStatusExResponse{ExitState: value}, nil
				case *pb.SetResourceStatusRequest:
					return &pb.SetResourceStatusResponse{ExitState: value}, nil
				}
				return nil, nil
			})
			r := t.makePending()
			if st := r.awaitEnd(time.Time{}); st.state != stateOnline {
				t.fail("expected the final report ONLINE, got %s: %s", st.state, st.message)
			}
			r.mustBeUp("after the final report")
		}}
}
