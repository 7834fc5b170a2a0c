// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"time"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
)

// reports are the status reports about a resource so far, with the time of their coming.
func (r *resource) reports() ([]report, []time.Time) {
	var all []report
	var at []time.Time
	for _, e := range r.t.callbacks(r) {
		if st, ok := reportOf(e.req); ok {
			all, at = append(all, st), append(at, e.begun)
		}
	}
	return all, at
}

// slack is how long a callback that was sent before an answer may arrive after it.
const slack = 50 * time.Millisecond

// silentAfter wants no status report and no failure of it later on.
func (r *resource) silentAfter(what string, at time.Time) {
	for _, e := range r.t.callbacks(r) {
		switch e.req.(type) {
		case *pb.SetResourceStatusRequest, *pb.SetResourceStatusExRequest, *pb.SignalFailureRequest:
			if late := e.begun.Sub(at); late > slack {
				r.t.fail("expected no report after %s, but %s{%s} came %.0f ms after it", what, e.method, brief(e.req),
					float64(late.Milliseconds()))
			}
		}
	}
}

var pendingCases = []Case{
	{Name: "Pending/OnlineEndsInOneReport", Needs: []Need{pending},
		Rule: "After 997, SetResourceStatus reports progress and then the end: ONLINE, once (RA 1.1, RA 2.2).",
		run: func(t *trial) {
			r := t.makePending()
			if st := r.awaitEnd(time.Time{}); st.state != stateOnline {
				t.fail("expected the final report ONLINE, got %s: %s", st.state, st.message)
			}
			r.mustBeUp("after the final report")
			t.later(func() {
				n := 0
				all, _ := r.reports()
				for _, st := range all {
					if st.state == stateOnline {
						n++
					}
				}
				if n != 1 {
					t.fail("expected one final report ONLINE, got %d", n)
				}
			})
		}},
	{Name: "Pending/OnlineRepeatedContinues", Needs: []Need{pending},
		Rule: "A repeated Online continues where it was: 997 again or 0, and one end (proto).",
		run: func(t *trial) {
			r := t.makePending()
			for range 3 {
				resp, err := r.callOnline()
				t.answered("Online again", err)
				if s := resp.GetStatus(); s != ioPending && s != success {
					t.fail("Online again: expected status 997 or 0, got %d: %s", s, resp.GetMessage())
				}
			}
			if st := r.awaitEnd(time.Time{}); st.state != stateOnline {
				t.fail("expected the final report ONLINE, got %s: %s", st.state, st.message)
			}
			r.mustBeUp("after the final report")
			r.terminate()
			r.mustBeDown("after Terminate")
		}},
	{Name: "Pending/IsNotAProofOfLife", Needs: []Need{pending},
		Rule: "Open answers the state that the resource has: ONLINE_PENDING until its end is reported (proto; RA 2.2).",
		run: func(t *trial) {
			r := t.makePending()
			resp := r.reopen(recoverState)
			if s := resp.GetState(); s != stateOnlinePending && s != stateOnline {
				t.fail("Open while Online is pending: expected state ONLINE_PENDING, or ONLINE if it just ended, got %s", s)
			}
		}},
	{Name: "Pending/OnlineIsEndedByTerminate", Needs: []Need{pending},
		Rule: "Terminate cancels a pending Online: it answers 0 once nothing is left, nothing starts later (RA 2.1).",
		run: func(t *trial) {
			r := t.makePending()
			r.terminate()
			r.mustBeDown("after Terminate")
			r.forgetAtEnd()
			t.later(func() { r.mustBeGone("long after Terminate") })
		}},
	{Name: "Pending/NoReportAfterTerminate", Needs: []Need{pending},
		Rule: "A terminated Online reports no more (RA 1.1, RA 2.1).",
		run: func(t *trial) {
			r := t.makePending()
			r.terminate()
			at := time.Now()
			t.later(func() { r.silentAfter("Terminate", at) })
		}},
	{Name: "Pending/OnlineIsEndedByClose", Needs: []Need{pending},
		Rule: "Close of what is not offline terminates it first, also while Online is pending (RA 2.1).",
		run: func(t *trial) {
			r := t.makePending()
			resp, err := t.provider.Close(t.ctx, &pb.CloseRequest{ResourceId: r.id})
			if err != nil || resp.GetStatus() != success {
				t.skip("Close while Online is pending was refused; a monitor terminates first")
			}
			r.closed = true
			r.mustBeDown("after Close")
			t.later(func() { r.mustBeGone("long after Close") })
		}},
	{Name: "Pending/OnlineAgainAfterTerminate", Needs: []Need{pending},
		Rule: "A terminated Online leaves nothing that hurts the next one (RA 2.0, instance order).",
		run: func(t *trial) {
			r := t.makePending()
			r.terminate()
			r.epoch++
			r.online()
			r.mustBeUp("after Terminate and Online")
		}},
	{Name: "Pending/OtherCallsAreAnswered", Needs: []Need{pending},
		Rule: "Entry points answer at once while work is pending: that is what 997 is for (RA 2.0).",
		run: func(t *trial) {
			r := t.makePending()
			t.survives()
			if _, err := t.provider.IsAlive(t.ctx, &pb.IsAliveRequest{ResourceId: r.id}); unknownOutcome(err) {
				t.answered("IsAlive while Online is pending", err)
			}
			t.getInfo(&pb.GetInfoRequest{})
			r.awaitEnd(time.Time{})
		}},
	{Name: "Pending/OfflineMeanwhileIsAnswered", Needs: []Need{pending},
		Rule: "At most one state-changing call is under way; a second one is answered, and Terminate ends both (proto).",
		run: func(t *trial) {
			r := t.makePending()
			r.wild = true
			if _, err := t.provider.Offline(t.ctx, &pb.OfflineRequest{ResourceId: r.id}); unknownOutcome(err) {
				t.answered("Offline while Online is pending", err)
			}
			r.terminate()
			r.mustBeDown("after Terminate")
		}},
	{Name: "Pending/OfflineAfterwards", Needs: []Need{pending},
		Rule: "What came online by a pending operation goes offline like anything else: 0, or 997 and a report (RA 2.2).",
		run: func(t *trial) {
			r := t.makeOnline(t.typ.PendingProperties)
			r.offline()
			r.mustBeDown("after Offline")
			r.offline()
		}},
	{Name: "Pending/OfflineIsEndedByTerminate", Needs: []Need{pending},
		Rule: "Terminate cancels a pending Offline, and answers 0 once nothing is left (RA 2.1).",
		run: func(t *trial) {
			r := t.makeOnline(t.typ.PendingProperties)
			resp, err := t.provider.Offline(t.ctx, &pb.OfflineRequest{ResourceId: r.id})
			t.answered("Offline", err)
			if resp.GetStatus() != ioPending {
				t.skip("Offline answered %d at once, not 997", resp.GetStatus())
			}
			r.terminate()
			r.mustBeDown("after Terminate")
			at := time.Now()
			t.later(func() { r.silentAfter("Terminate", at) })
		}},
	{Name: "Pending/OfflineRepeatedContinues", Needs: []Need{pending},
		Rule: "A repeated Offline continues where it was: 997 again or 0, and one end (proto).",
		run: func(t *trial) {
			r := t.makeOnline(t.typ.PendingProperties)
			since := time.Now()
			for i := range 3 {
				resp, err := t.provider.Offline(t.ctx, &pb.OfflineRequest{ResourceId: r.id})
				t.answered("Offline", err)
				if s := resp.GetStatus(); s == success && i == 0 {
					t.skip("Offline answered 0 at once, not 997")
				} else if s != ioPending && s != success {
					t.fail("Offline again: expected status 997 or 0, got %d: %s", s, resp.GetMessage())
				}
			}
			if st := r.awaitEnd(since); st.state != stateOffline {
				t.fail("expected the final report OFFLINE, got %s: %s", st.state, st.message)
			}
			r.mustBeDown("after the final report")
		}},
	{Name: "Pending/OneDoesNotHoldUpAnother", Needs: []Need{pending, several},
		Rule: "At most one state-changing call is under way *for a resource*: others go on (proto).",
		run: func(t *trial) {
			a := t.makePending()
			b := t.makeOnline(nil)
			b.mustBeUp("while another is coming online")
			b.offline()
			a.awaitEnd(time.Time{})
			a.mustBeUp("after its final report")
		}},
	{Name: "Pending/SeveralAtOnce", Needs: []Need{pending, several},
		Rule: "Each resource has its own pending operation, and its own reports (proto).",
		run: func(t *trial) {
			all := []*resource{t.makePending(), t.makePending(), t.makePending()}
			for _, r := range all {
				if st := r.awaitEnd(time.Time{}); st.state != stateOnline {
					t.fail("expected the final report ONLINE, got %s: %s", st.state, st.message)
				}
				r.mustBeUp("after its final report")
			}
		}},
}

// forgetAtEnd keeps a terminated resource out of cleaning up: nothing may end it again.
func (r *resource) forgetAtEnd() { r.forgotten = true }

var recoveryCases = []Case{
	{Name: "Recover/OfWhatIsOnlineSaysOnline",
		Rule: "Open with RECOVER_MONITOR_STATE adopts what runs: the same id, and ONLINE (proto; RA 2.4).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			id := r.id
			resp := r.reopen(recoverState)
			if resp.GetState() != stateOnline || resp.GetResourceId() != id {
				t.fail("Open: expected id %q and state ONLINE, got {%s}", id, brief(resp))
			}
		}},
	{Name: "Recover/StopsNothing",
		Rule: "Open with RECOVER_MONITOR_STATE does not stop what runs (proto; RA 2.4).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			for range 3 {
				r.reopen(recoverState)
				r.mustBeUp("after Open with RECOVER_MONITOR_STATE")
			}
		}},
	{Name: "Recover/OfWhatIsOfflineSaysOffline",
		Rule: "Open answers the state that the resource has (proto).",
		run: func(t *trial) {
			if resp := t.makeOpen(nil).reopen(recoverState); resp.GetState() != stateOffline {
				t.fail("Open: expected state OFFLINE, got %s", resp.GetState())
			}
		}},
	{Name: "Recover/OfWhatIsNewOpensIt",
		Rule: "With nothing to recover, Open with RECOVER_MONITOR_STATE is Open (proto).",
		run: func(t *trial) {
			r := t.newResource(nil)
			if resp := r.reopen(recoverState); resp.GetState() != stateOffline {
				t.fail("Open: expected state OFFLINE, got %s", resp.GetState())
			}
			r.online()
			r.mustBeUp("after Online")
		}},
	{Name: "Recover/ThenOnlineContinues",
		Rule: "A new monitor repeats Online of what is online, with the same arguments: 0 (proto).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			r.reopen(recoverState)
			req := r.onlineRequest()
			req.OnlineFlags = 0x01
			r.onlineAs(req)
			r.mustBeUp("after Open and Online, both to recover")
		}},
	{Name: "Recover/ThenTerminateLeavesNothing",
		Rule: "What was adopted can be ended (proto).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			r.reopen(recoverState)
			r.terminate()
			r.mustBeDown("after Open and Terminate")
		}},
	{Name: "Recover/OfWhatIsPendingSaysSo", Needs: []Need{pending},
		Rule: "Open of a pending resource answers ONLINE_PENDING, and the end is reported to the new monitor (proto).",
		run: func(t *trial) {
			r := t.makePending()
			if s := r.reopen(recoverState).GetState(); s != stateOnlinePending && s != stateOnline {
				t.fail("Open: expected state ONLINE_PENDING, or ONLINE if it just ended, got %s", s)
			}
			if st := r.awaitEnd(time.Time{}); st.state != stateOnline {
				t.fail("expected the final report ONLINE, got %s: %s", st.state, st.message)
			}
		}},
	{Name: "Recover/CheckPointIsNotAheadOfTheReports", Needs: []Need{pending},
		Rule: "Open answers the checkpoint of the pending operation: reports that follow have larger ones (proto; RA 3.1).",
		run: func(t *trial) {
			r := t.makePending()
			resp := r.reopen(recoverState)
			at := time.Now()
			if resp.GetState() != stateOnlinePending {
				t.skip("the operation had just ended")
			}
			r.awaitEnd(time.Time{})
			all, when := r.reports()
			for i, st := range all {
				if when[i].Sub(at) > slack && st.checkPoint <= resp.GetCheckPoint() {
					t.fail("Open said checkpoint %d, but a later report has %d", resp.GetCheckPoint(), st.checkPoint)
				}
			}
		}},
	{Name: "Recover/OfWhatFailedDoesNotSayOffline", Needs: []Need{breaking},
		Rule: "Open answers the state that the resource has; OFFLINE only if nothing of it is left (proto; RA 3.5).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			r.breakIt()
			t.eventually("IsAlive to answer not alive after the failure", func() bool { return !r.alive() })
			resp := r.reopen(recoverState)
			switch resp.GetState() {
			case stateFailed, stateOnline: // which of them, IsAlive decides
			case stateOffline:
				r.mustBeGone("after Open said OFFLINE")
			default:
				t.fail("Open of what failed: expected state FAILED, ONLINE or OFFLINE, got %s", resp.GetState())
			}
			r.terminate()
			r.mustBeDown("after Terminate")
		}},
}
