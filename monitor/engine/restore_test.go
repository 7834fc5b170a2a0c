// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"encoding/json"
	"reflect"
	"testing"
)

// restored is a rig whose monitor was killed: the engine is made anew of the
// journal, calls and armed timer are lost, providers go on.
func restored(t *testing.T, g *rig) *rig {
	t.Helper()
	return &rig{t: t, e: Restore(Config{}, roundTrip(t, g.e.Snapshot(g.now))), now: g.now.Add(10 * ms)}
}

func roundTrip(t *testing.T, s Snapshot) Snapshot {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var out Snapshot
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestMonitorRestartAdopts(t *testing.T) {
	g := restored(t, online(t, res("a"), res("b", "a")))
	g.want(g.e.Snapshot(g.now).Phase == Undecided, "phase")
	g.is("a", Online)
	g.up("c", "c1")
	g.want(g.call(OpOpen, "a").Flags == OpenRecoverMonitorState, "flags")
	g.answer(OpOpen, "a", Returned{State: ReportedOnline, ResourceID: "r7"})
	g.answer(OpOpen, "b", Returned{State: ReportedOnline})
	g.flying() // nothing is stopped before ownership has spoken
	g.grant(1)
	g.guard("c", 1)
	g.flying()
	g.is("a", Online)
	g.is("b", Online)
	g.want(g.snap("a").TotalFailures == 0 && g.snap("a").TotalRestarts == 0, "%+v", g.snap("a"))
	g.pass(5 * sec)
	g.want(g.call(OpLooksAlive, "a") != nil && g.call(OpLooksAlive, "a").ResourceID == "r7", "polls go on: %v", g.inFlight())
}

// A life that took what it found for a stranger's may be killed before that was ended, and the
// next one own the group after all: then it is no stranger's.
func TestWhatIsAdoptedIsExpected(t *testing.T) {
	g := online(t, res("a"))
	s := roundTrip(t, g.e.Snapshot(g.now))
	s.Resources[0].UnexpectedlyActive = true
	h := newRig(t)
	h.e, h.now = Restore(Config{}, s), g.now
	h.up("c", "c1")
	h.answer(OpOpen, "a", Returned{State: ReportedOnline})
	h.grant(1)
	h.guard("c", 1)
	h.is("a", Online)
	h.want(!h.snap("a").UnexpectedlyActive, "nobody would take the group")
}

func TestMonitorRestartGrantedBeforeOpen(t *testing.T) {
	g := restored(t, online(t, res("a"), res("b", "a")))
	g.grant(1)
	g.flying()
	g.is("a", Online)
	g.up("c", "c1")
	g.answer(OpOpen, "a", Returned{State: ReportedOnline})
	g.answer(OpOpen, "b", Returned{State: ReportedOnline})
	g.flying()
	g.is("b", Online)
}

func TestMonitorRestartFinds(t *testing.T) {
	for name, tc := range map[string]struct {
		answer Returned
		want   State
		flying []string
		why    Reason
	}{
		"pending":        {Returned{State: ReportedOnlinePending, CheckPoint: 3}, OnlinePending, nil, ""},
		"going down":     {Returned{State: ReportedOfflinePending}, OfflinePending, nil, ""},
		"stopped":        {Returned{State: ReportedOffline}, Failed, nil, ReasonVanished},
		"failed":         {Returned{State: ReportedFailed}, Failed, []string{"Terminate a"}, ReasonReportedFailed},
		"does not say":   {Returned{}, Failed, []string{"Terminate a"}, ReasonReportedFailed},
		"cannot open it": {Returned{Status: 5}, Failed, nil, ReasonProviderLost},
	} {
		t.Run(name, func(t *testing.T) {
			g := restored(t, online(t, res("a")))
			g.grant(1)
			g.guard("c", 1)
			g.up("c", "c1")
			g.answer(OpOpen, "a", tc.answer)
			g.is("a", tc.want)
			g.flying(tc.flying...)
			if f := g.snap("a").LastFailure; tc.why != "" && (f == nil || f.Reason != tc.why) {
				t.Fatalf("failure %+v, want %s", f, tc.why)
			}
			switch name {
			case "pending":
				g.pass(9 * sec)
				g.status("a", ReportedOnline, 4)
				g.is("a", Online)
			case "going down":
				g.status("a", ReportedOffline, 4)
				g.flying("Online a")
			case "stopped":
				g.pass(500 * ms)
				g.flying("Online a")
			case "cannot open it":
				g.want(len(g.restarts()) == 1, "what cannot be controlled is killed")
			}
		})
	}
}

func TestMonitorRestartReportDuringOpen(t *testing.T) {
	h := ready(t, res("a"))
	h.pend("a")
	g := restored(t, h)
	g.grant(1)
	g.up("c", "c1")
	// The worker ends while Open is on its way back with "pending".
	g.want(g.status("a", ReportedOnline, 9).ExitState == ExitContinue, "exit state")
	g.answer(OpOpen, "a", Returned{State: ReportedOnlinePending, CheckPoint: 3})
	g.is("a", Online)
}

func TestMonitorRestartWithAJournalThatIsBehind(t *testing.T) {
	h := ready(t, res("a"))
	behind := h.e.Snapshot(h.now)
	r := &behind.Resources[0] // as before Online was called
	r.State, r.StopProven, r.StartedEpoch = Offline, true, 0
	h.ok(OpOnline, "a")
	g := &rig{t: t, e: Restore(Config{}, roundTrip(t, behind)), now: h.now}
	g.up("c", "c1")
	g.answer(OpOpen, "a", Returned{State: ReportedOnline})
	g.grant(1)
	g.guard("c", 1)
	g.is("a", Online)
	g.flying()
}

func TestMonitorRestartAndAnotherEpoch(t *testing.T) {
	for _, openFirst := range []bool{true, false} {
		g := restored(t, online(t, res("a")))
		open := func() { g.up("c", "c1"); g.answer(OpOpen, "a", Returned{State: ReportedOnline}) }
		if openFirst {
			open()
		}
		g.grant(2)
		g.guard("c", 2)
		if !openFirst {
			open()
		}
		g.flying("Terminate a")
		g.ok(OpTerminate, "a")
		g.flying("Online a")
		g.want(g.call(OpOnline, "a").Epoch == 2 && g.snap("a").TotalFailures == 0, "%+v", g.snap("a"))
	}
}

func TestMonitorRestartAndOwnershipIsLost(t *testing.T) {
	for _, mode := range []RevokeMode{Ordered, Emergency, Kill} {
		g := restored(t, online(t, res("a")))
		g.up("c", "c1")
		g.answer(OpOpen, "a", Returned{State: ReportedOnline})
		g.revoke(mode)
		switch mode {
		case Ordered:
			g.ok(OpOffline, "a")
		case Emergency:
			g.ok(OpTerminate, "a")
		}
		g.want(g.proven == 0, "proven too early")
		g.empty("c", "c2")
		g.want(g.proven == 1, "%s: not proven", mode)
		g.up("c", "c2")
		g.flying("Open a")
	}
}

func TestMonitorRestartWithoutJournal(t *testing.T) {
	g := newRig(t)
	g.plan(res("a"))
	g.up("c", "c1")
	g.want(g.call(OpOpen, "a").Flags == 0, "there is nothing to recover")
	g.answer(OpOpen, "a", Returned{State: ReportedOnline})
	g.flying("Terminate a")
}

func TestMonitorRestartProviderDiedMeanwhile(t *testing.T) {
	g := restored(t, online(t, res("a")))
	g.grant(1)
	g.up("c", "c2")
	g.is("a", Failed)
	g.want(g.snap("a").StopProven && g.snap("a").LastFailure.Reason == ReasonProviderLost, "%+v", g.snap("a"))
	g.want(g.call(OpOpen, "a").Flags == 0, "flags")
}

func TestMonitorRestartProviderNeverComesBack(t *testing.T) {
	g := restored(t, online(t, res("a")))
	g.grant(1)
	g.pass(10 * sec)
	g.is("a", Failed)
	g.want(g.need.Failover, "need")
}

func TestMonitorRestartWhileRestartIsDue(t *testing.T) {
	h := online(t, res("a"))
	h.exit("a")
	g := restored(t, h)
	g.grant(1)
	g.guard("c", 1)
	g.up("c", "c1")
	g.answer(OpOpen, "a", Returned{State: ReportedOffline})
	g.pass(500 * ms)
	g.flying("Online a")
	g.want(len(g.snap("a").Failures) == 1, "the failure still counts")
}

func TestMonitorRestartDuringTerminate(t *testing.T) {
	h := online(t, res("a"))
	h.signal("a", true)
	g := restored(t, h)
	g.grant(1)
	g.guard("c", 1)
	g.up("c", "c1")
	g.answer(OpOpen, "a", Returned{State: ReportedOnline})
	g.flying("Terminate a") // not adopted: it failed
}

func TestMonitorRestartRepeatsTheKill(t *testing.T) {
	h := online(t, res("a"))
	h.send(Event{ProviderDown: &ProviderDown{Container: "c"}})
	g := restored(t, h)
	g.send(Event{Timer: &Timer{}})
	g.want(len(g.restarts()) == 1 && !g.noted(ReasonStopFailed), "restarts %v", g.restarts())
	g.up("c", "c1")
	g.flying()
	g.pass(500 * ms)
	g.want(g.noted(ReasonStopFailed), "StopFailed")
}

func TestMonitorRestartAfterInitGone(t *testing.T) {
	h := online(t, res("a"))
	h.send(Event{InitGone: &InitGone{Container: "c"}})
	g := restored(t, h)
	g.send(Event{Timer: &Timer{}})
	g.want(!g.snap("a").StopProven, "K begins anew")
	g.pass(500 * ms)
	g.want(g.snap("a").StopProven, "K has passed")
}

func TestMonitorRestartControls(t *testing.T) {
	h := online(t, controlled("a"))
	for _, id := range []string{"running", "claiming", "finished", "lost"} {
		h.ask(Control{ID: id, Resource: "a", Name: "SAVE"})
	}
	h.claim("running", true)
	context := h.call(OpBeginResourceControl, "a").Control.Context
	h.answer(OpBeginResourceControl, "a", Returned{Async: true})
	h.claim("finished", true)
	h.answer(OpBeginResourceControl, "a", Returned{Status: 3})
	g := restored(t, h)
	g.grant(1)
	f := g.finished("finished")
	g.want(f != nil && f.Status == 3, "an outcome that was not recorded is repeated: %+v", f)
	g.ask(Control{ID: "lost", Resource: "a", Name: "SAVE", Claimed: true})
	g.want(g.finished("lost") != nil && g.finished("lost").Kind == FinishUnknown, "claimed, and nobody knows: %+v", g.finished("lost"))
	g.ask(Control{ID: "running", Resource: "a", Name: "SAVE", Claimed: true})
	g.want(g.finished("running") == nil, "it is running")
	g.up("c", "c1")
	g.answer(OpOpen, "a", Returned{State: ReportedOnline})
	g.want(g.endCall("c", context, 0, "out").Code == CodeSuccess && g.finished("running") != nil, "it ends after all")
	g.ask(Control{ID: "claiming", Resource: "a", Name: "SAVE"})
	g.claim("claiming", true)
	g.want(g.call(OpBeginResourceControl, "a").Control.Context > context, "a context is never used twice")
}

func TestMonitorRestartRemovedResource(t *testing.T) {
	h := online(t, res("a"))
	h.plan()
	g := restored(t, h)
	g.grant(1)
	g.up("c", "c1")
	g.answer(OpOpen, "a", Returned{State: ReportedOnline})
	g.ok(OpOffline, "a")
	g.ok(OpClose, "a")
	g.want(len(g.e.Snapshot(g.now).Resources) == 0, "still there")
}

// What is restored says the same, but for what only the providers can tell.
func TestSnapshotRoundTrip(t *testing.T) {
	g := online(t, controlled("a"), with(res("b", "a"), func(r *Resource) { r.Container = "d" }), res("x", "a|b"))
	g.ask(Control{ID: "1", Resource: "a", Name: "SAVE"})
	g.claim("1", true)
	g.fails("b")
	g.exit("b")
	g.plan(controlled("a"), with(res("b", "a"), func(r *Resource) { r.Container = "e"; r.Generation = 5 }))
	g.pass(3 * sec)
	want := roundTrip(t, g.e.Snapshot(g.now))
	got := roundTrip(t, Restore(Config{}, want).Snapshot(g.now))
	want.Phase = Undecided
	for i := range want.Containers {
		c := &want.Containers[i]
		c.Up, c.GuardEpoch = false, 0
		c.Empty = c.Empty && c.Name == "e"
	}
	for i := range want.Resources {
		r, o := &want.Resources[i], got.Resources[i]
		r.Opened, r.StopProven, r.Waiting, r.WaitingFor = false, false, o.Waiting, o.WaitingFor
	}
	if !reflect.DeepEqual(want, got) {
		a, _ := json.MarshalIndent(want, "", " ")
		b, _ := json.MarshalIndent(got, "", " ")
		t.Fatalf("want %s\ngot %s", a, b)
	}
}

func TestMonitorRestartStartsNothingBeforeOwnershipSpoke(t *testing.T) {
	h := online(t, res("a"))
	h.exit("a")
	g := restored(t, h)
	g.up("c", "c1")
	g.answer(OpOpen, "a", Returned{State: ReportedOffline})
	g.guard("c", 1) // left from the earlier life
	g.pass(sec)
	g.flying()
	g.waits("a", ReasonUndecided)
	g.grant(1)
	g.flying("Online a")
}

func TestStopOfWhatCannotBeOpened(t *testing.T) {
	g := restored(t, ready(t, offline(res("a"))))
	g.up("c", "c1")
	g.answer(OpOpen, "a", Returned{Status: 5})
	g.want(len(g.restarts()) == 0, "nothing says that it runs")
	g.revoke(Ordered)
	g.want(g.proven == 0 && len(g.restarts()) == 1, "nobody can say that it does not run: only init can")
	g.empty("c", "c2")
	g.want(g.proven == 1, "not proven")
}

func TestContextsOutliveALostJournal(t *testing.T) {
	g := online(t, controlled("a"))
	g.ask(Control{ID: "1", Resource: "a", Name: "SAVE", Input: []byte("secret")})
	g.claim("1", true)
	first := g.call(OpBeginResourceControl, "a").Control.Context
	g.answer(OpBeginResourceControl, "a", Returned{})
	g.want(g.e.Snapshot(g.now).Controls[0].Control.Input == nil, "the input of a finished call is kept")
	now := g.now.Add(sec)
	g = online(t, controlled("a"))
	g.now = now
	g.ask(Control{ID: "2", Resource: "a", Name: "SAVE"})
	g.claim("2", true)
	g.want(g.call(OpBeginResourceControl, "a").Control.Context > first, "a context is used twice")
}

// A dependent was going down when the monitor died: what it stands on does not come up
// under it before it is known what became of that.
func TestMonitorRestartWhileADependentGoesDown(t *testing.T) {
	h := online(t, res("a"), res("b", "a"))
	h.signal("a", true)
	h.ok(OpTerminate, "a")
	h.flying("Offline b")
	g := restored(t, h)
	g.grant(1)
	g.guard("c", 1)
	g.up("c", "c1")
	g.answer(OpOpen, "a", Returned{State: ReportedOffline})
	g.pass(sec)
	g.want(g.call(OpOnline, "a") == nil, "a is brought online under b: %v", g.inFlight())
	g.answer(OpOpen, "b", Returned{State: ReportedOnline})
	g.flying("Offline b")
	g.ok(OpOffline, "b")
	g.flying("Online a")
}
