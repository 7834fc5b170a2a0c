// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import "testing"

// Shows: LooksAlive, IsAlive.
func TestPolls(t *testing.T) {
	g := online(t, res("a"))
	g.pass(5*sec - ms)
	g.flying()
	g.pass(ms)
	g.flying("LooksAlive a")
	g.pass(20 * sec)
	g.flying("LooksAlive a") // one at a time
	g.ok(OpLooksAlive, "a")
	g.pass(5*sec - ms) // counted from completion; IsAlive does not queue behind it
	g.flying()
	g.pass(ms)
	g.flying("IsAlive a", "LooksAlive a")
	g.ok(OpIsAlive, "a")
	g.ok(OpLooksAlive, "a")
	g.is("a", Online)
	g.want(len(g.last) == 1 && g.last[0].Arm != nil, "a healthy poll says nothing: %+v", g.last)
}

func TestLooksAliveFalseAsksIsAlive(t *testing.T) {
	for name, a := range map[string]Returned{"false": {}, "broken": {Outcome: Broken}} {
		t.Run(name, func(t *testing.T) {
			g := online(t, res("a"))
			g.pass(5 * sec)
			g.answer(OpLooksAlive, "a", a)
			g.is("a", Online)
			g.flying("IsAlive a")
			g.ok(OpIsAlive, "a")
			g.is("a", Online)
			g.pass(5 * sec)
			g.answer(OpLooksAlive, "a", a)
			g.answer(OpIsAlive, "a", Returned{Message: "no PONG"})
			g.is("a", Failed)
			f := g.snap("a").LastFailure
			g.want(f.Reason == ReasonIsAliveFailed && f.Message == "no PONG" && f.Verified, "%+v", f)
			g.flying("Terminate a")
		})
	}
}

func TestLooksAliveNotServed(t *testing.T) {
	g := online(t, res("a"))
	g.pass(5 * sec)
	g.answer(OpLooksAlive, "a", Returned{Status: CodeInvalidFunction})
	g.flying()
}

func TestEventHandleStopsLooksAlive(t *testing.T) {
	for _, byReport := range []bool{false, true} {
		g := ready(t, res("a"))
		if byReport {
			g.pend("a")
			g.cb(Callback{Container: "c", Handle: "a", SetResourceStatus: &SetResourceStatus{State: ReportedOnline, EventHandle: true}})
		} else {
			g.answer(OpOnline, "a", Returned{EventHandle: true})
		}
		g.pass(29 * sec)
		g.flying()
		g.pass(sec)
		g.flying("IsAlive a")
	}
}

func TestNoPollsButOnline(t *testing.T) {
	g := online(t, res("a"))
	g.pass(5 * sec)
	g.revoke(Ordered)
	g.ok(OpLooksAlive, "a") // of a time that is over
	g.pendOff("a")
	for range 20 {
		g.pass(5 * sec)
		g.status("a", ReportedOfflinePending, uint32(g.now.Boot/int64(sec)))
		g.flying()
		g.is("a", OfflinePending)
	}
}

func TestStalePollAnswerDoesNotFailTheNextRun(t *testing.T) {
	g := online(t, res("a"))
	g.pass(30 * sec)
	old := *g.call(OpIsAlive, "a")
	g.ok(OpLooksAlive, "a")
	g.exit("a")
	g.pass(500 * ms)
	g.ok(OpOnline, "a")
	g.send(Event{Returned: &Returned{Call: old.ID}})
	g.is("a", Online)
	g.send(Event{Returned: &Returned{Call: 12345}})
	g.is("a", Online)
}

func TestSignalFailureIsVerified(t *testing.T) {
	for name, tc := range map[string]struct {
		do   func(g *rig)
		want State
	}{
		"alive":     {func(g *rig) { g.ok(OpIsAlive, "a") }, Online},
		"not alive": {func(g *rig) { g.answer(OpIsAlive, "a", Returned{}) }, Failed},
		"broken":    {func(g *rig) { g.answer(OpIsAlive, "a", Returned{Outcome: Unavailable}) }, Failed},
		"silent":    {func(g *rig) { g.pass(500 * ms) }, Failed},
		"edge":      {func(g *rig) { g.answer(OpIsAlive, "a", Returned{Outcome: DeadlineExceeded}) }, Failed},
		"not yet":   {func(g *rig) { g.pass(499 * ms) }, Online},
	} {
		t.Run(name, func(t *testing.T) {
			g := online(t, res("a"))
			g.want(g.signal("a", false).Code == CodeSuccess, "code")
			g.is("a", Online)
			g.flying("IsAlive a")
			g.want(g.call(OpIsAlive, "a").Deadline == g.now.Boot+int64(500*ms), "deadline")
			tc.do(g)
			g.is("a", tc.want)
			g.want(len(g.restarts()) == 0, "a slow verification is no deadlock")
			if tc.want == Failed {
				g.want(g.snap("a").LastFailure.Reason == ReasonSignalled, "%+v", g.snap("a").LastFailure)
				g.want(g.snap("a").LastFailure.Verified == (name == "not alive"), "verified")
			}
		})
	}
}

func TestSignalFloodIsOneIsAliveEach500ms(t *testing.T) {
	g := online(t, res("a"))
	n := 0
	for i := range 1000 {
		g.want(g.signal("a", false).Code == CodeSuccess, "code")
		if i%2 == 0 && g.call(OpIsAlive, "a") != nil {
			n++
			g.ok(OpIsAlive, "a")
		}
		g.pass(2 * ms)
	}
	g.want(n >= 3 && n <= 5, "%d verifications in 2 s", n)
	g.pass(500 * ms) // the last signal is not forgotten
	g.answer(OpIsAlive, "a", Returned{})
	g.is("a", Failed)
}

func TestExitNeedsNoVerification(t *testing.T) {
	g := online(t, res("a"))
	g.want(g.signal("a", true).Code == CodeSuccess, "code")
	g.is("a", Failed)
	g.flying("Terminate a")
	f := g.snap("a").LastFailure
	g.want(f.Reason == ReasonExited && f.Verified, "%+v", f)
	g.want(g.signal("a", true).Code == CodeInvalidState, "it is not online any more")
	g.want(g.snap("a").TotalFailures == 1, "counted twice")
}
