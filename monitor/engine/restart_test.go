// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"
)

func TestRestartInPlace(t *testing.T) {
	g := online(t, res("a"))
	g.signal("a", true)
	at := g.now.Boot
	g.want(g.snap("a").NextTry.Boot == at+int64(500*ms), "NextTry %+v", g.snap("a").NextTry)
	g.pass(300 * ms)
	g.waits("a", ReasonWaitingStop)
	g.ok(OpTerminate, "a")
	g.waits("a", ReasonWaitingRestart)
	g.pass(200*ms - 1)
	g.flying()
	g.pass(1) // the delay counts from the detection, not from the end of Terminate
	g.flying("Online a")
	g.want(g.call(OpOnline, "a").Epoch == 1, "the same epoch")
	g.ok(OpOnline, "a")
	s := g.snap("a")
	g.want(s.TotalRestarts == 1 && s.Verdict == VerdictNone && s.NextTry == nil && len(s.Failures) == 1, "%+v", s)
}

func TestRestartWithoutDelayIsImmediate(t *testing.T) {
	g := online(t, with(res("a"), func(r *Resource) { r.RestartDelay = 0 }))
	g.signal("a", true)
	g.ok(OpTerminate, "a")
	g.flying("Online a") // in the very step in which Terminate was answered
}

func TestRestartWaitsForTerminate(t *testing.T) {
	g := online(t, res("a"))
	g.signal("a", true)
	g.pass(900 * ms)
	g.flying("Terminate a")
	g.ok(OpTerminate, "a")
	g.flying("Online a")
}

// fails lets it fail once more, and be restarted if the policy says so.
func (g *rig) fails(uid string) {
	g.t.Helper()
	g.exit(uid)
	if g.snap(uid).Verdict == VerdictRestart {
		g.pass(500 * ms)
		g.ok(OpOnline, uid)
	}
}

func TestThreshold(t *testing.T) {
	for _, tc := range []struct {
		action    RestartAction
		threshold int64
		retry     time.Duration
		restarts  int
		verdict   Verdict
		failover  bool
		waiting   Reason
	}{
		{RestartNotify, 1, 3600 * sec, 1, VerdictRetry, true, ReasonWaitingRetry},
		{RestartNotify, 2, 3600 * sec, 2, VerdictRetry, true, ReasonWaitingRetry},
		{RestartNotify, 0, 3600 * sec, 0, VerdictRetry, true, ReasonWaitingRetry},
		{RestartNotify, 1, 0, 1, VerdictStay, true, ReasonNeedsFailover},
		{RestartNoNotify, 1, 3600 * sec, 1, VerdictRetry, false, ReasonWaitingRetry},
		{RestartNoNotify, 1, -1, 1, VerdictStay, false, ReasonFailedForGood},
		{DontRestart, 5, 3600 * sec, 0, VerdictStay, false, ReasonFailedForGood},
	} {
		g := online(t, with(res("a"), func(r *Resource) {
			r.RestartAction, r.RestartThreshold, r.RetryPeriodOnFailure = tc.action, tc.threshold, tc.retry
		}))
		for range tc.restarts {
			g.want(!g.need.Failover, "%+v: need too early", tc)
			g.fails("a")
			g.is("a", Online)
		}
		g.exit("a")
		s := g.snap("a")
		g.want(s.Verdict == tc.verdict && g.need.Failover == tc.failover && s.Waiting == tc.waiting, "%+v: %+v %+v", tc, s, g.need)
		g.pass(60 * sec)
		g.flying()
		g.is("a", Failed)
		if tc.failover {
			g.want(g.need.Reason == ReasonThreshold && g.need.Resource == "a" && !g.need.Immediate, "need %+v", g.need)
		}
	}
}

func TestWindowSlides(t *testing.T) {
	g := online(t, with(res("a"), func(r *Resource) {
		r.RestartThreshold, r.RestartPeriod = 2, 100*sec
		r.IsAliveInterval, r.LooksAliveInterval = 1e6*sec, 1e6*sec
	}))
	g.fails("a") // at 0
	g.pass(60 * sec)
	g.fails("a") // at 60.5
	g.pass(39*sec + 499*ms)
	g.want(len(g.snap("a").Failures) == 1, "the first is 100 s old: %d", len(g.snap("a").Failures))
	g.fails("a") // a window that tumbles would begin at 0 here
	g.is("a", Online)
	g.exit("a")
	g.want(g.need.Failover, "three within 100 s, of which two are allowed")
}

func TestRetryBeginsANewSeries(t *testing.T) {
	g := online(t, res("a"))
	g.fails("a")
	g.exit("a")
	g.want(g.need.Failover, "need")
	g.pass(3600*sec - ms)
	g.flying()
	g.pass(ms)
	g.flying("Online a")
	g.answer(OpOnline, "a", Returned{Status: 5})
	g.ok(OpTerminate, "a")
	g.want(g.snap("a").Verdict == VerdictRestart, "the series has only begun: %+v", g.snap("a"))
	g.pass(500 * ms)
	g.ok(OpOnline, "a")
	g.want(!g.need.Failover, "recovered, and still wants to leave")
	g.exit("a")
	g.want(g.need.Failover, "two in the new series")
}

func TestOnlineFailuresCount(t *testing.T) {
	g := ready(t, res("a"))
	g.answer(OpOnline, "a", Returned{Status: 5})
	g.ok(OpTerminate, "a")
	g.want(!g.need.Failover, "too early")
	g.pass(500 * ms)
	g.answer(OpOnline, "a", Returned{Status: 5})
	g.want(g.need.Failover, "need")
}

func TestPlanChangeBeginsANewSeries(t *testing.T) {
	g := online(t, res("a"), res("b"))
	g.fails("a")
	g.exit("a")
	g.want(g.need.Failover, "need")
	g.plan(res("a"), with(res("b"), func(r *Resource) { r.Generation = 2 }))
	g.flying()
	g.want(g.need.Failover, "another resource changed")
	g.plan(with(res("a"), func(r *Resource) { r.Generation = 2 }), res("b"))
	g.want(!g.need.Failover, "need is not withdrawn")
	g.flying("Online a")
}

func TestCannotComeOnline(t *testing.T) {
	g := ready(t, with(res("a"), func(r *Resource) { r.RestartThreshold = 9 }))
	g.pend("a")
	g.status("a", ReportedCannotComeOnlineOnThisNode, 1)
	g.want(g.need.Failover && g.need.Immediate && g.need.Reason == ReasonCannotOnThis, "need %+v", g.need)
	g = ready(t, with(res("a"), func(r *Resource) { r.RestartThreshold = 9 }))
	g.pend("a")
	g.status("a", ReportedCannotComeOnlineOnAnyNode, 1)
	g.want(!g.need.Failover && g.snap("a").Verdict == VerdictStay, "need %+v", g.need)
	g.ok(OpTerminate, "a")
	g.pass(2 * 3600 * sec)
	g.flying() // neither a restart nor a retry, until somebody acts
	g.plan(with(res("a"), func(r *Resource) { r.Generation = 2 }))
	g.flying("Online a")
}

func TestNewEpochStartsFresh(t *testing.T) {
	g := online(t, res("a"))
	g.fails("a")
	g.exit("a")
	g.revoke(Ordered)
	g.want(!g.need.Failover, "it is on its way")
	g.empty("c", "c2")
	g.is("a", Failed)
	g.up("c", "c2")
	g.openAll()
	g.grant(2)
	g.guard("c", 2)
	s := g.snap("a")
	g.want(len(s.Failures) == 0 && s.TotalFailures == 2, "%+v", s)
	g.flying("Online a")
	g.grant(1)
	g.want(g.noted(ReasonBadEvent), "an older epoch")
	g.want(g.e.Snapshot(g.now).Epoch == 2, "epoch")
}

func TestSameEpochKeepsTheCount(t *testing.T) {
	g := online(t, res("a"))
	g.fails("a")
	g.revoke(Emergency)
	g.ok(OpTerminate, "a")
	g.empty("c", "c2")
	g.up("c", "c2")
	g.openAll()
	g.grant(1)
	g.guard("c", 1)
	g.ok(OpOnline, "a")
	g.exit("a")
	g.want(g.need.Failover, "the failure before the emergency stop is forgotten")
}

func TestOtherEpochWithoutRevoke(t *testing.T) {
	g := online(t, res("a"))
	g.grant(2)
	g.flying("Terminate a")
	g.guard("c", 2)
	g.ok(OpTerminate, "a")
	g.flying("Online a")
	g.want(g.call(OpOnline, "a").Epoch == 2 && g.snap("a").TotalFailures == 0, "%+v", g.snap("a"))
}

func TestHugeThresholdIsNeverExceeded(t *testing.T) {
	g := online(t, with(res("a"), func(r *Resource) { r.RestartThreshold = 0xFFFFFFFF }))
	for range 300 {
		g.fails("a")
	}
	s := g.snap("a")
	g.want(s.TotalFailures == 300 && len(s.Failures) == maxFailures && len(s.Transitions) == maxTransitions, "%d %d", s.TotalFailures, len(s.Failures))
	g.is("a", Online)
}

func TestRetrySoonerThanThePeriodBeginsANewSeries(t *testing.T) {
	g := online(t, with(res("a"), func(r *Resource) { r.RetryPeriodOnFailure = 100 * sec }))
	g.fails("a")
	g.exit("a")
	g.pass(100 * sec)
	g.answer(OpOnline, "a", Returned{Status: 5})
	g.want(g.snap("a").Verdict == VerdictRestart && len(g.snap("a").Failures) == 1, "%+v", g.snap("a"))
}

func TestNewEpochForgetsFailuresThatWereSurvived(t *testing.T) {
	g := online(t, res("a"))
	g.fails("a")
	g.grant(2)
	g.want(len(g.snap("a").Failures) == 0, "%+v", g.snap("a"))
}

func TestOpenFailingAgainIsNotCountedTwice(t *testing.T) {
	g := online(t, res("a"))
	g.fails("a")
	g.exit("a") // one too many: waits for the retry period
	g.empty("c", "c2")
	g.up("c", "c2")
	n := g.snap("a").TotalFailures
	g.answer(OpOpen, "a", Returned{Status: 5})
	g.want(g.snap("a").TotalFailures == n && g.snap("a").Verdict == VerdictRetry, "%+v", g.snap("a"))
}
