// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"testing"
)

var _ = everywhere("Callback/SetInternalState",
	Event{Callback: &Callback{ID: 1, Container: "c", Handle: "a", SetInternalState: &SetInternalState{State: ApplicationReady, Active: true}}},
	"Initializing: Reply(5023,0)", "Offline: Reply(5023,0)", "OnlinePending: Reply(0,0)", "Online: Reply(0,0)",
	"OfflinePending: Reply(5023,0)", "Failed: Reply(5023,0)")

func (g *rig) internal(uid string, s ApplicationState, active bool) Code {
	g.t.Helper()
	return g.cb(Callback{Container: g.containerOf(uid), Handle: uid,
		SetInternalState: &SetInternalState{State: s, Active: active}}).Code
}

// said is what is known of the application: states, and the bits of StatusInformation.
func (g *rig) said(uid string, bits uint64, want ...ApplicationReport) {
	g.t.Helper()
	s := g.snap(uid)
	got := slices.Clone(s.ApplicationStates)
	for i := range got {
		g.want(got[i].Time.Boot > 0, "no time: %+v", got[i])
		got[i].Time = ApplicationReport{}.Time
	}
	g.want(slices.Equal(got, want) && s.StatusInformation == bits, "%+v with %#x, want %+v with %#x",
		got, s.StatusInformation, want, bits)
}

var (
	beats    = ApplicationReport{State: ApplicationOSHeartBeat, Active: true}
	isReady  = ApplicationReport{State: ApplicationReady, Active: true}
	notReady = ApplicationReport{State: ApplicationReady}
)

// Shows: SetInternalState.
func TestApplicationStates(t *testing.T) {
	g := ready(t, res("a"))
	g.want(g.internal("a", ApplicationReady, true) == CodeSuccess, "coming online")
	g.barrierBefore(func(a Action) bool { return a.Reply != nil })
	g.ok(OpOnline, "a")
	g.said("a", 0x100, isReady) // kept
	g.pass(sec)
	g.internal("a", ApplicationOSHeartBeat, true)
	g.said("a", 0x180, beats, isReady)
	since := g.snap("a").ApplicationStates[1].Time
	g.pass(sec)

	// Twice is nothing new.
	g.want(g.internal("a", ApplicationReady, true) == CodeSuccess, "twice")
	g.want(len(g.last) == 1 && g.snap("a").ApplicationStates[1].Time == since, "%+v", g.last)
	g.internal("a", ApplicationReady, false)
	g.said("a", 0x80, beats, notReady)
	g.is("a", Online)
	g.want(g.snap("a").Since.Boot < g.now.Boot && len(g.calls) == 0, "it changed the state")

	// Unknown forgets both, if it is active.
	g.want(g.internal("a", ApplicationUnknown, false) == CodeSuccess, "unknown, not active")
	g.said("a", 0x80, beats, notReady)
	g.want(g.internal("a", ApplicationUnknown, true) == CodeSuccess, "unknown, active")
	g.said("a", 0)
	g.want(g.internal("a", ApplicationUnknown, true) == CodeSuccess && len(g.last) == 1, "nothing to forget: %+v", g.last)
	for _, s := range []ApplicationState{0, 4, 1 << 31} {
		g.want(g.internal("a", s, true) == CodeInvalidParameter, "state %d is known", s)
	}
}

// Whatever ends Online ends what was said, and the bits that others set stay.
// Shows: SetInternalState.
func TestApplicationStatesEndWithOnline(t *testing.T) {
	for name, end := range map[string]func(g *rig){
		"offline":     func(g *rig) { g.plan(offline(res("a"))) },
		"failed":      func(g *rig) { g.signal("a", true) },
		"revoked":     func(g *rig) { g.revoke(Emergency) },
		"killed":      func(g *rig) { g.revoke(Kill) },
		"lost":        func(g *rig) { g.send(Event{ProviderDown: &ProviderDown{Container: "c"}}) },
		"new process": func(g *rig) { g.up("c", "c2") },
		"new epoch":   func(g *rig) { g.grant(2) },
	} {
		t.Run(name, func(t *testing.T) {
			g := online(t, with(res("a"), func(r *Resource) { r.EmbeddedFailureAction = EmbeddedLogOnly }))
			g.cb(Callback{Container: "c", Handle: "a", SignalFailure: &SignalFailure{Type: FailureEmbedded}})
			g.internal("a", ApplicationReady, true)
			g.said("a", 0x102, isReady)
			end(g)
			g.want(g.snap("a").State != Online, "still online")
			g.said("a", g.snap("a").StatusInformation&2)
			g.want(g.internal("a", ApplicationReady, true) == CodeInvalidState, "taken after the end")
			g.said("a", g.snap("a").StatusInformation&2)
		})
	}
}

// A provider whose word flaps costs no more than so many journals a second.
// Shows: SetInternalState.
func TestApplicationStatesFlap(t *testing.T) {
	g := online(t, res("a"), res("b"))
	changed, refused := 0, 0
	for i := range 100 {
		code := g.internal("a", ApplicationReady, i%2 == 0)
		if changed += journals(g.last); code == CodeTypeBusy {
			refused++
		}
	}
	g.want(changed == maxChanges && refused == 46, "%d changes, %d refused", changed, refused)
	g.want(g.internal("b", ApplicationReady, true) == CodeSuccess, "another resource pays for it")
	before := g.snap("a").ApplicationStates[0].Active
	g.want(g.internal("a", ApplicationReady, !before) == CodeTypeBusy && g.snap("a").ApplicationStates[0].Active == before,
		"it changed nevertheless")
	g.want(g.internal("a", ApplicationReady, before) == CodeSuccess, "what is known is no change")
	g.pass(sec)
	g.want(g.internal("a", ApplicationReady, !before) == CodeSuccess, "for ever")
}

// A provider that outlives the monitor need not repeat it.
// Shows: SetInternalState.
func TestApplicationStatesAreRestored(t *testing.T) {
	old := online(t, res("a"))
	old.cb(Callback{Container: "c", Handle: "a", SignalFailure: &SignalFailure{Type: FailureNetworkLoss}})
	old.internal("a", ApplicationReady, true)
	for name, tc := range map[string]struct {
		back func(g *rig)
		bits uint64
		want []ApplicationReport
	}{
		"the same process": {func(g *rig) {
			g.up("c", "c1")
			g.answer(OpOpen, "a", Returned{State: ReportedOnline})
		}, 0x120, []ApplicationReport{isReady}},
		"another process": {func(g *rig) { g.up("c", "c2") }, 0, nil},
		"found stopped": {func(g *rig) {
			g.up("c", "c1")
			g.answer(OpOpen, "a", Returned{State: ReportedOffline})
		}, 0, nil},
		"found pending": {func(g *rig) {
			g.up("c", "c1")
			g.answer(OpOpen, "a", Returned{State: ReportedOnlinePending})
		}, 0, nil},
		"emptied": {func(g *rig) { g.empty("c", "c2") }, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			g := restored(t, old)
			g.said("a", 0x120, isReady)
			g.grant(1)
			tc.back(g)
			g.said("a", tc.bits, tc.want...)
		})
	}
	g := restored(t, old)
	g.up("c", "c1")
	g.want(g.internal("a", ApplicationReady, false) == CodeSuccess, "before Open has returned")
	g.answer(OpOpen, "a", Returned{State: ReportedOnline})
	g.said("a", 0x20, notReady)
}

// waitsReady has the term i of a resource wait for readiness.
func waitsReady(r Resource, i ...int) Resource { r.ReadyTerms = i; return r }

// Shows: SetInternalState.
func TestDependencyWaitsForReadiness(t *testing.T) {
	g := ready(t, res("a"), waitsReady(res("b", "a"), 0), res("d", "a"))
	g.waits("b", ReasonWaitingDependency, "a")
	g.ok(OpOnline, "a")
	g.flying("Online d")
	g.waits("b", ReasonWaitingReady, "a")
	g.internal("a", ApplicationOSHeartBeat, true)
	g.internal("a", ApplicationReady, false)
	g.waits("b", ReasonWaitingReady, "a")
	g.internal("a", ApplicationReady, true)
	g.flying("Online b", "Online d")
	g.ok(OpOnline, "d")
	g.ok(OpOnline, "b")

	// It was for the start alone.
	g.internal("a", ApplicationReady, false)
	g.flying()
	g.is("b", Online)
	// But it is asked for with each start.
	g.exit("b")
	g.pass(500 * ms)
	g.flying()
	g.waits("b", ReasonWaitingReady, "a")
	g.pass(sec)
	g.internal("a", ApplicationReady, true)
	g.flying("Online b")
	g.ok(OpOnline, "b")
	// What fails has to say it again.
	g.exit("a")
	g.ok(OpOffline, "b")
	g.ok(OpOffline, "d")
	g.pass(sec)
	g.ok(OpOnline, "a")
	g.waits("b", ReasonWaitingReady, "a")
}

// One that is ready is enough of a term; the other terms are not asked.
func TestReadinessOfOneOfATerm(t *testing.T) {
	g := online(t, res("x"), res("y"), res("z"))
	g.plan(res("x"), res("y"), res("z"), waitsReady(res("d", "z", "x|y"), 1))
	g.ok(OpOpen, "d")
	g.waits("d", ReasonWaitingReady, "x", "y")
	g.internal("z", ApplicationReady, true)
	g.waits("d", ReasonWaitingReady, "x", "y")
	g.internal("y", ApplicationReady, true)
	g.flying("Online d")
	g.ok(OpOnline, "d")
	// The one that was ready fails: the other is online, which is enough to stay.
	g.exit("y")
	g.is("d", Online)

	// A plan of before knows no readiness.
	g.plan(res("x"), res("y"), res("z"), res("d", "z", "x|y"), res("e", "d"))
	g.ok(OpOpen, "e")
	g.flying("Online e")
}

func TestPlanWithAReadyTermThatIsNotThere(t *testing.T) {
	for _, i := range []int{-1, 1} {
		g := online(t, res("a"))
		g.plan(res("a"), waitsReady(res("b", "a"), i))
		g.want(g.noted(ReasonPlanRefused), "term %d", i)
	}
}
