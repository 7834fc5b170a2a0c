// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"testing"
)

func TestOrderedStopDependentsFirst(t *testing.T) {
	g := online(t, res("a"), res("b", "a"), res("c1", "b"), res("x"))
	g.revoke(Ordered)
	g.flying("Offline c1", "Offline x")
	g.waits("b", ReasonWaitingDependents, "c1")
	g.ok(OpOffline, "x")
	g.answer(OpOffline, "c1", Returned{Status: CodeIOPending})
	g.flying()
	g.status("c1", ReportedOfflinePending, 1)
	g.flying()
	g.status("c1", ReportedOffline, 2)
	g.flying("Offline b")
	g.ok(OpOffline, "b")
	g.flying("Offline a")
	g.ok(OpOffline, "a")
	g.want(g.proven == 0, "proven before init said so")
	g.want(slices.Equal(g.restarts(), []Restart{{Container: "c", Nonce: "c1", Reason: ReasonProveStop}}), "restarts %v", g.restarts())
	g.empty("c", "c2")
	g.want(g.proven == 1, "not proven")
	for _, u := range []string{"a", "b", "c1", "x"} {
		g.is(u, Offline)
	}
}

func TestStopOutcomes(t *testing.T) {
	for name, tc := range map[string]struct {
		do   func(g *rig)
		want State
		kill bool
	}{
		"at once":           {func(g *rig) { g.ok(OpOffline, "a") }, Offline, false},
		"pending":           {func(g *rig) { g.pendOff("a") }, OfflinePending, false},
		"reported":          {func(g *rig) { g.pendOff("a"); g.status("a", ReportedOffline, 1) }, Offline, false},
		"before the return": {func(g *rig) { g.status("a", ReportedOffline, 1); g.pendOff("a"); g.pass(20 * sec) }, Offline, false},
		"then an error":     {func(g *rig) { g.status("a", ReportedOffline, 1); g.answer(OpOffline, "a", Returned{Status: 5}) }, Failed, true},
		"error":             {func(g *rig) { g.answer(OpOffline, "a", Returned{Status: 5}) }, Failed, true},
		"reported failed":   {func(g *rig) { g.pendOff("a"); g.status("a", ReportedFailed, 1) }, Failed, true},
		"reported online":   {func(g *rig) { g.pendOff("a"); g.status("a", ReportedOnline, 1) }, Failed, true},
		"no checkpoint":     {func(g *rig) { g.pendOff("a"); g.pass(10 * sec) }, Failed, true},
		"checkpoints": {func(g *rig) {
			g.pendOff("a")
			g.pass(9 * sec)
			g.status("a", ReportedOfflinePending, 1)
			g.pass(9 * sec)
		}, OfflinePending, false},
		"signal is no news": {func(g *rig) { g.pendOff("a"); g.want(g.signal("a", true).Code == CodeInvalidState, "code") }, OfflinePending, false},
	} {
		t.Run(name, func(t *testing.T) {
			g := online(t, res("a"))
			g.plan(with(res("a"), func(r *Resource) { r.DesiredState = DesiredOffline }))
			g.is("a", OfflinePending)
			tc.do(g)
			g.is("a", tc.want)
			g.want((g.call(OpTerminate, "a") != nil) == tc.kill, "Terminate called: %v", !tc.kill)
			if tc.kill {
				g.ok(OpTerminate, "a")
				g.is("a", Failed) // forced offline ends Failed
				s := g.snap("a")
				g.want(s.StopProven && len(s.Failures) == 0 && s.Verdict == VerdictNone && !g.need.Failover, "no policy acts: %+v", s)
				g.flying()
				g.plan(res("a"))
				g.flying("Online a")
			}
		})
	}
}

func (g *rig) pendOff(uid string) {
	g.t.Helper()
	g.answer(OpOffline, uid, Returned{Status: CodeIOPending})
}

func TestOfflineWhileComingOnline(t *testing.T) {
	for _, pending := range []bool{true, false} {
		g := ready(t, res("a"))
		if pending {
			g.pend("a")
		}
		g.plan(with(res("a"), func(r *Resource) { r.DesiredState = DesiredOffline }))
		g.is("a", OfflinePending)
		g.want(g.status("a", ReportedOnline, 1).ExitState == ExitTerminate, "not told to end")
		g.ok(OpTerminate, "a")
		if !pending {
			g.is("a", OfflinePending) // Online has not returned: it could still start something
			g.answer(OpOnline, "a", Returned{Status: 995})
			g.is("a", OfflinePending) // perhaps it has begun after Terminate: once more
			g.ok(OpTerminate, "a")
		}
		g.is("a", Offline)
		g.want(g.snap("a").TotalFailures == 0, "counted as a failure")
	}
}

func TestTerminateAnsweredButOnlineHangs(t *testing.T) {
	g := ready(t, res("a"))
	g.revoke(Emergency)
	g.ok(OpTerminate, "a")
	g.pass(999 * ms)
	g.want(g.proven == 0, "proven")
	g.pass(ms)
	g.want(len(g.restarts()) == 1, "the container is not killed")
	g.empty("c", "c2")
	g.want(g.proven == 1, "not proven")
}

func TestEmergencyInParallel(t *testing.T) {
	g := ready(t, res("a"), res("b", "a"), with(res("d"), func(r *Resource) { r.Container = "d" }), res("e", "b"))
	g.ok(OpOnline, "a")
	g.ok(OpOnline, "d")
	// b is being brought online; e waits.
	g.revoke(Emergency)
	g.flying("Terminate a", "Terminate b", "Terminate d", "Online b")
	g.answer(OpOnline, "b", Returned{Status: CodeIOPending})
	g.ok(OpTerminate, "b")
	g.ok(OpTerminate, "b") // once more, since Online was in flight
	g.ok(OpTerminate, "d")
	g.want(len(g.restarts()) == 1 && g.restarts()[0].Container == "d", "d is emptied as soon as it is stopped")
	g.ok(OpTerminate, "a")
	g.empty("c", "c2")
	g.want(g.proven == 0, "proven too early")
	g.empty("d", "d2")
	g.want(g.proven == 1, "not proven")
	for _, u := range []string{"a", "b", "d", "e"} {
		g.is(u, Offline)
		g.want(g.snap(u).TotalFailures == 0, "%s: counted as a failure", u)
	}
}

func TestEmergencyInterruptsAnOrderedStop(t *testing.T) {
	g := online(t, res("a"), res("b", "a"))
	g.revoke(Ordered)
	g.flying("Offline b")
	g.revoke(Emergency)
	g.flying("Offline b", "Terminate a", "Terminate b")
	g.revoke(Ordered) // does not soften it
	g.ok(OpTerminate, "b")
	g.ok(OpTerminate, "a")
	g.answer(OpOffline, "b", Returned{Status: 995})
	g.want(len(g.restarts()) == 1, "not emptied")
	g.empty("c", "c2")
	g.want(g.proven == 1, "not proven")
}

func TestKillCallsNothingAndWaitsForProof(t *testing.T) {
	g := online(t, res("a"), with(res("d"), func(r *Resource) { r.Container = "d" }))
	g.revoke(Kill)
	g.flying()
	g.want(len(g.restarts()) == 0, "the caller kills")
	g.empty("c", "c2")
	g.want(g.proven == 0, "d is not proven")
	g.send(Event{InitGone: &InitGone{Container: "d"}})
	g.pass(499 * ms)
	g.want(g.proven == 0, "K has not passed")
	g.pass(ms)
	g.want(g.proven == 1, "not proven")
	g.is("a", Offline)
}

func TestKillDoesNotTrustAnswers(t *testing.T) {
	g := online(t, res("a"))
	g.revoke(Ordered)
	g.revoke(Kill)
	g.ok(OpOffline, "a")
	g.want(g.proven == 0 && len(g.restarts()) == 0, "proven by an answer")
	g.empty("c", "c2")
	g.want(g.proven == 1, "not proven")
}

func TestRevokedWhenNothingRuns(t *testing.T) {
	g := newRig(t)
	g.plan(res("a"))
	g.revoke(Ordered)
	g.want(g.proven == 0, "what an earlier life left in a container that was never heard of is unknown")
	g.up("c", "n")
	g.want(g.proven == 0, "Open has not returned")
	g.openAll()
	g.want(g.proven == 1, "nothing runs")
	g.want(len(g.restarts()) == 0, "nothing was started: nothing to empty")
	g.revoke(Emergency)
	g.want(g.proven == 2, "each Revoked is answered")
}

func TestContainerNeverSeenDoesNotBlockTheRelease(t *testing.T) {
	g := newRig(t)
	g.plan(res("a"), with(res("d"), func(r *Resource) { r.Container = "d" }))
	g.up("c", "c1")
	g.openAll()
	g.grant(1)
	g.guard("c", 1)
	g.onlineAll()
	g.revoke(Ordered)
	g.ok(OpOffline, "a")
	g.empty("c", "c2")
	g.want(g.proven == 1, "blocked by a container in which nothing can run")
}

func TestTrustProviders(t *testing.T) {
	g := newRig(t)
	g.e = New(Config{TrustProviders: true})
	g.plan(res("a"))
	g.up("c", "c1")
	g.openAll()
	g.grant(1)
	g.guard("c", 1)
	g.onlineAll()
	g.revoke(Ordered)
	g.want(g.proven == 0, "too early")
	g.ok(OpOffline, "a")
	g.want(g.proven == 1 && len(g.restarts()) == 0, "not proven by word")
}

func TestGrantedAgainWhileStopping(t *testing.T) {
	for _, mode := range []RevokeMode{Ordered, Emergency} {
		g := online(t, res("a"), res("b", "a"))
		g.revoke(mode)
		g.grant(1)
		g.is("b", OfflinePending) // a success that arrives late does not abort the stop
		op := OpTerminate
		if mode == Ordered {
			op = OpOffline
		}
		g.ok(op, "b")
		g.ok(op, "a")
		g.want(g.proven == 0, "Proven although it is granted again")
		g.flying("Online a")
		g.ok(OpOnline, "a")
		g.flying("Online b")
		g.want(g.snap("a").TotalFailures == 0 && len(g.snap("a").Failures) == 0, "counted as a failure")
		g.want(g.e.Snapshot(g.now).Phase == Owner, "phase")
	}
}

func TestRevokedAgainAfterRegrant(t *testing.T) {
	g := online(t, res("a"))
	g.revoke(Ordered)
	g.grant(2)
	g.revoke(Ordered)
	g.ok(OpOffline, "a")
	g.empty("c", "c2")
	g.want(g.proven == 1, "the last word was Revoked")
	g.flying()
}

func TestEmergencyWhileOpenHangs(t *testing.T) {
	g := restored(t, online(t, res("a")))
	g.up("c", "c1")
	g.flying("Open a")
	g.revoke(Emergency)
	g.want(len(g.restarts()) == 1, "Terminate must not overtake Open: kill")
	g.empty("c", "c2")
	g.want(g.proven == 1, "not proven")
}

func TestProvenWaitsForStopFailed(t *testing.T) {
	g := online(t, res("a"), res("b"))
	g.revoke(Emergency)
	g.answer(OpTerminate, "a", Returned{Status: 5})
	g.want(len(g.restarts()) == 1 && g.restarts()[0].Reason == ReasonTerminateFailed, "restarts %v", g.restarts())
	g.pass(500 * ms)
	g.want(g.noted(ReasonStopFailed) && len(g.restarts()) == 1, "StopFailed is not said")
	g.pass(10 * sec)
	g.want(len(g.restarts()) == 10 && !g.noted(ReasonStopFailed), "asked again every second, said once: %d", len(g.restarts()))
	g.want(g.proven == 0, "proven without a proof")
	s := g.e.Snapshot(g.now)
	g.want(s.Containers[0].StopFailed && !s.Containers[0].Empty && !s.Resources[0].StopProven, "snapshot %+v", s.Containers)
	g.empty("c", "c2")
	g.want(g.proven == 1, "not proven")
}

func TestKillWhileComingOnline(t *testing.T) {
	g := ready(t, res("a"))
	c := *g.call(OpOnline, "a")
	g.revoke(Kill)
	g.revoke(Ordered) // does not soften it
	g.send(Event{Returned: &Returned{Call: c.ID}})
	g.is("a", OfflinePending)
	g.want(g.call(OpTerminate, "a") == nil && g.call(OpOffline, "a") == nil, "called: %v", g.inFlight())
}

func TestFailureWhileStoppingIsNotCounted(t *testing.T) {
	g := online(t, with(res("a"), func(r *Resource) { r.RestartThreshold = 0 }), res("b", "a"))
	g.revoke(Ordered)
	g.signal("a", true)
	g.is("a", Failed)
	s := g.snap("a")
	g.want(len(s.Failures) == 0 && s.Verdict == VerdictNone && s.LastFailure.Reason == ReasonExited, "%+v", s)
	g.ok(OpTerminate, "a")
	g.grant(1)
	g.ok(OpOffline, "b")
	g.flying("Online a")
	g.want(!g.need.Failover, "need %+v", g.need)
}

func TestGrantedAgainFinishesTheWholeStop(t *testing.T) {
	g := online(t, res("a"), res("b"))
	g.revoke(Emergency)
	g.ok(OpTerminate, "a")
	g.grant(1)
	g.flying("Terminate b") // a does not come back before b is down
	g.ok(OpTerminate, "b")
	g.flying("Online a", "Online b")
}

func TestOfflineDeadlockEndsFailed(t *testing.T) {
	g := online(t, with(res("a"), func(r *Resource) { r.PendingTimeout = 100 * sec }), res("b"))
	g.plan(offline(with(res("a"), func(r *Resource) { r.PendingTimeout = 100 * sec })), res("b"))
	g.answer(OpOffline, "a", Returned{Outcome: DeadlineExceeded})
	g.is("a", Failed)
	s := g.snap("a")
	g.want(s.LastFailure.Reason == ReasonForcedOffline && s.LastOperationStatusCode == CodeCallTimedOut && len(s.Failures) == 0, "%+v", s)
	g.want(len(g.restarts()) == 1 && g.restarts()[0].Reason == ReasonDeadlock, "restarts %v", g.restarts())
}

func TestOrderedStopGoesAroundWhatCannotBeKilled(t *testing.T) {
	g := online(t, res("a"), with(res("b", "a"), func(r *Resource) { r.Container = "d" }))
	g.revoke(Ordered)
	g.answer(OpOffline, "b", Returned{Status: 5})
	g.answer(OpTerminate, "b", Returned{Status: 5})
	g.flying()
	g.pass(500 * ms) // init does not answer: StopFailed
	g.flying("Offline a")
	g.ok(OpOffline, "a")
	g.empty("c", "c2")
	g.want(g.proven == 0, "proven")
	g.empty("d", "d2")
	g.want(g.proven == 1, "not proven")
}

func TestTimeNeverGoesBack(t *testing.T) {
	g := online(t, res("a"))
	g.now.Boot += int64(100 * sec)
	g.send(Event{Tick: &Tick{}})
	high := g.now.Boot
	g.now.Boot -= int64(99 * sec)
	g.e.Step(g.now, Event{Callback: &Callback{Container: "c", Handle: "a", SignalFailure: &SignalFailure{Exited: true}}})
	g.want(g.snap("a").NextTry.Boot == high+int64(500*ms), "%+v", g.snap("a").NextTry)
}
