// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"testing"
	"time"
)

func TestDeadlock(t *testing.T) {
	for _, byEdge := range []bool{true, false} {
		g := online(t, res("a"), res("b"), with(res("d"), func(r *Resource) { r.Container = "d" }))
		g.pass(5 * sec) // LooksAlive of all
		g.ok(OpLooksAlive, "b")
		g.ok(OpLooksAlive, "d")
		if byEdge {
			g.answer(OpLooksAlive, "a", Returned{Outcome: DeadlineExceeded})
		} else {
			g.pass(59 * sec)
			for g.call(OpLooksAlive, "d") != nil || g.call(OpIsAlive, "d") != nil || g.call(OpIsAlive, "b") != nil || g.call(OpLooksAlive, "b") != nil {
				for _, c := range slices.Clone(g.calls) {
					if c.Resource != "a" {
						g.ok(c.Op, c.Resource)
					}
				}
			}
			g.pass(sec)
		}
		g.want(len(g.restarts()) == 1 && g.restarts()[0] == Restart{
			Container: "c", Nonce: "c1", Reason: ReasonDeadlock, AfterDump: true,
		}, "restarts %v", g.restarts())
		g.is("a", Failed)
		g.is("b", Failed)
		g.is("d", Online)
		a, b := g.snap("a"), g.snap("b")
		g.want(a.LastFailure.Reason == ReasonDeadlock && a.LastOperationStatusCode == CodeCallTimedOut, "a: %+v", a.LastFailure)
		g.want(b.LastFailure.Reason == ReasonProviderLost && len(b.Failures) == 1, "b: %+v", b.LastFailure)
		g.want(!a.StopProven, "proven before it is")
		g.empty("c", "c2")
		g.want(g.snap("a").StopProven, "not proven")
		g.up("c", "c2")
		g.openAll()
		g.guard("c", 1)
		g.pass(500 * ms)
		g.want(g.call(OpOnline, "a") != nil && g.call(OpOnline, "b") != nil, "not restarted: %v", g.inFlight())
	}
}

func TestTerminateFails(t *testing.T) {
	for name, do := range map[string]func(g *rig){
		"error":   func(g *rig) { g.answer(OpTerminate, "a", Returned{Status: 1}) },
		"timeout": func(g *rig) { g.pass(sec) },
		"gone":    func(g *rig) { g.answer(OpTerminate, "a", Returned{Outcome: Unavailable}) },
	} {
		t.Run(name, func(t *testing.T) {
			g := online(t, res("a"))
			g.signal("a", true)
			do(g)
			g.want(len(g.restarts()) == 1 && g.restarts()[0].Reason == ReasonTerminateFailed, "restarts %v", g.restarts())
			g.want(g.snap("a").TotalFailures == 1, "one failure, not two")
			g.empty("c", "c2")
			g.want(g.snap("a").StopProven, "not proven")
		})
	}
}

func TestProviderCrash(t *testing.T) {
	g := online(t, res("a"), res("b", "a"))
	g.send(Event{ProviderDown: &ProviderDown{Container: "c", Reason: "EOF"}})
	g.is("a", Failed)
	g.is("b", Failed)
	g.want(g.snap("a").LastFailure.Reason == ReasonProviderLost && !g.snap("a").StopProven, "a: %+v", g.snap("a"))
	g.want(len(g.restarts()) == 1 && g.restarts()[0].Nonce == "c1", "what merely hangs must go: %v", g.restarts())
	g.up("c", "c1")
	g.flying() // the dying process is of no use
	g.want(!g.e.Snapshot(g.now).Containers[0].Up, "up")
	g.empty("c", "c2")
	g.want(g.snap("a").StopProven, "not proven")
	g.up("c", "c2")
	g.want(g.call(OpOpen, "a").Flags == 0, "nothing to recover in a new process")
	g.openAll()
	g.pass(500 * ms)
	g.flying()
	g.waits("a", ReasonWaitingGuard) // the guard went with the old process
	g.guard("c", 1)
	g.flying("Online a")
	g.ok(OpOnline, "a")
	g.ok(OpOnline, "b")
	g.want(g.snap("a").TotalRestarts == 1, "restarts")
}

func TestNewNonceProvesTheEndOfTheOld(t *testing.T) {
	g := online(t, res("a"))
	g.up("c", "c2") // neither ProviderDown nor Emptied came before
	g.is("a", Failed)
	g.want(g.snap("a").StopProven, "not proven")
	g.want(g.call(OpOpen, "a").Flags == 0, "flags")
	g.send(Event{Emptied: &Emptied{Container: "c", Nonce: "c2"}}) // comes late: it is the one that we know
	g.want(g.call(OpOpen, "a") != nil, "voided")
	g.openAll()
	g.guard("c", 1)
	g.pass(500 * ms)
	g.flying("Online a")
}

func TestEmptiedUnasked(t *testing.T) {
	g := online(t, res("a"))
	g.empty("c", "c2")
	g.is("a", Failed)
	s := g.snap("a")
	g.want(s.StopProven && s.LastFailure.Reason == ReasonProviderLost && s.Verdict == VerdictRestart, "%+v", s)
}

func TestContainerLostFailsOverAtOnce(t *testing.T) {
	g := online(t, res("a"), with(res("n"), func(r *Resource) { r.Container = "n"; r.RestartAction = RestartNoNotify }))
	g.send(Event{InitGone: &InitGone{Container: "n"}})
	g.want(!g.need.Failover, "a resource that never fails the group over does not do so here either")
	g.send(Event{InitGone: &InitGone{Container: "c"}})
	g.want(g.need == Need{Failover: true, Immediate: true, Reason: ReasonContainerLost, Resource: "a", Message: g.need.Message}, "need %+v", g.need)
	g.is("a", Failed)
	g.want(!g.snap("a").StopProven, "K has not passed")
	g.pass(500 * ms)
	g.want(g.snap("a").StopProven, "K has passed")
	g.up("c", "c7")
	g.want(!g.need.Failover, "it is back before anybody took over")
	g.openAll()
	g.guard("c", 1)
	g.flying("Online a")
}

func TestInitHeardOfAgain(t *testing.T) {
	g := online(t, res("a"))
	g.send(Event{InitGone: &InitGone{Container: "c"}})
	g.pass(100 * ms)
	g.calls = nil
	g.up("c", "c1") // the same process: it was not gone after all
	g.pass(10 * sec)
	g.want(!g.snap("a").StopProven, "proven although it lives")
	g.want(g.call(OpOpen, "a").Flags == OpenRecoverMonitorState, "flags")
	g.answer(OpOpen, "a", Returned{State: ReportedOnline})
	g.flying("Terminate a")
	g.ok(OpTerminate, "a")
	g.guard("c", 1)
	g.flying("Online a")
}

func TestStandbyProviderCrash(t *testing.T) {
	g := newRig(t)
	g.plan(res("a"))
	g.up("c", "c1")
	g.openAll()
	g.send(Event{ProviderDown: &ProviderDown{Container: "c"}})
	g.is("a", Offline)
	g.want(!g.need.Failover && g.snap("a").TotalFailures == 0, "a standby has nothing to fail over")
	g.send(Event{ProviderDown: &ProviderDown{Container: "unknown"}})
	g.want(len(g.restarts()) == 0, "a container that was never heard of")
	g.empty("c", "c2")
	g.send(Event{ProviderDown: &ProviderDown{Container: "c"}})
	g.want(len(g.restarts()) == 0, "it has not begun yet: leave it")
	g.up("c", "c2")
	g.flying("Open a")
}

func TestUnexpectedlyActive(t *testing.T) {
	g := newRig(t)
	g.plan(res("a"))
	g.up("c", "c1")
	g.answer(OpOpen, "a", Returned{State: ReportedOnline})
	g.want(g.noted(ReasonUnexpectedlyActive) && g.snap("a").UnexpectedlyActive, "not noted")
	g.flying("Terminate a")
	g.grant(3)
	g.guard("c", 3)
	g.flying("Terminate a") // no Online until it is gone
	g.ok(OpTerminate, "a")
	g.want(!g.snap("a").UnexpectedlyActive && g.snap("a").TotalFailures == 0, "%+v", g.snap("a"))
	g.flying("Online a")
}

// What was found running is known until an Open, or its Terminate, says that it is gone: neither
// the monitor's next life nor the end of the container does.
func TestUnexpectedlyActiveIsNotForgotten(t *testing.T) {
	g := newRig(t)
	g.plan(res("a"))
	g.up("c", "c1")
	g.answer(OpOpen, "a", Returned{State: ReportedOnline})
	h := newRig(t)
	h.e = Restore(Config{}, roundTrip(t, g.e.Snapshot(g.now)))
	h.want(h.snap("a").UnexpectedlyActive, "forgotten by the next life")
	g.empty("c", "c2")
	g.want(g.snap("a").UnexpectedlyActive, "forgotten with the process")
	g.up("c", "c2")
	g.answer(OpOpen, "a", Returned{State: ReportedOnline})
	g.flying("Terminate a")
	g.empty("c", "c3")
	g.up("c", "c3")
	g.answer(OpOpen, "a", Returned{State: ReportedOffline})
	g.want(!g.snap("a").UnexpectedlyActive, "it is gone")
	g.is("a", Offline)
}

func TestOpenFails(t *testing.T) {
	g := newRig(t)
	g.plan(res("a"))
	g.up("c", "c1")
	for _, wait := range []int{1, 2, 4, 8, 16, 32, 60, 60} {
		g.answer(OpOpen, "a", Returned{Status: 87})
		g.is("a", Initializing)
		g.pass(sec*time.Duration(wait) - ms)
		g.flying()
		g.pass(ms)
		g.flying("Open a")
	}
	g.want(!g.need.Failover, "a standby")
	g.answer(OpOpen, "a", Returned{Status: 87})
	g.grant(1)
	g.guard("c", 1)
	g.pass(60 * sec)
	g.answer(OpOpen, "a", Returned{Status: 87})
	g.is("a", Failed)
	g.want(g.snap("a").Verdict == VerdictRestart, "%+v", g.snap("a"))
	g.pass(500 * ms)
	g.answer(OpOpen, "a", Returned{Status: 87})
	g.want(g.need.Failover && g.snap("a").Verdict == VerdictRetry, "two failures are one too many: %+v", g.snap("a"))
}

func TestTypeNotServed(t *testing.T) {
	g := newRig(t)
	g.plan(res("a"))
	g.send(Event{ProviderUp: &ProviderUp{Container: "c", Nonce: "n", Types: []string{"other"}}})
	g.flying()
	g.want(g.noted(ReasonTypeMissing) && g.snap("a").LastOperationStatusCode == CodeTypeNotSupported, "%+v", g.snap("a"))
	g.up("c", "n2")
	g.flying("Open a")
	g = newRig(t)
	g.plan(res("a"))
	g.send(Event{ProviderUp: &ProviderUp{Container: "c", Nonce: "n", Types: []string{"TEST"}}})
	g.flying("Open a")
}

func TestProviderThatNeverComesIsAFailure(t *testing.T) {
	g := newRig(t)
	g.plan(res("a"), res("b", "a"))
	g.grant(1)
	g.waits("a", ReasonWaitingProvider)
	g.pass(10*sec - ms)
	g.want(!g.need.Failover, "too early")
	g.pass(ms)
	g.want(g.need.Failover && g.need.Immediate && g.need.Resource == "a", "need %+v", g.need)
	g.is("a", Failed)
	g.up("c", "c1")
	g.openAll()
	g.guard("c", 1)
	g.onlineAll()
	g.is("b", Online)
	g.want(!g.need.Failover, "need is not withdrawn")
}
