// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import "testing"

var _ = everywhere("Callback/SetLockedMode",
	Event{Callback: &Callback{ID: 1, Container: "c", Handle: "a", SetLockedMode: &SetLockedMode{Enabled: true}}},
	"Initializing: Reply(5023,0)", "Offline: Reply(5023,0)", "OnlinePending: Reply(5023,0)", "Online: Reply(0,0)",
	"OfflinePending: Reply(5023,0)", "Failed: Reply(5023,0)")

func (g *rig) lock(uid string, s SetLockedMode) Code {
	g.t.Helper()
	return g.cb(Callback{Container: g.containerOf(uid), Handle: uid, SetLockedMode: &s}).Code
}

// locked has it enter locked mode.
func (g *rig) locked(uid string) {
	g.t.Helper()
	g.want(g.lock(uid, SetLockedMode{Enabled: true, Reason: 7, Flags: 1}) == CodeSuccess, "%s is not locked", uid)
}

// unlocked has it leave.
func (g *rig) unlocked(uid string) {
	g.t.Helper()
	g.want(g.lock(uid, SetLockedMode{}) == CodeSuccess, "%s does not leave locked mode", uid)
}

// Shows: SetResourceLockedMode, SetResourceLockedModeEx.
func TestLockedModeIsKept(t *testing.T) {
	g := online(t, res("a"))
	g.want(g.snap("a").LockedMode == nil, "never said")
	g.unlocked("a")
	g.want(g.snap("a").LockedMode == nil, "left what it never entered")
	g.locked("a")
	m := g.snap("a").LockedMode
	g.want(m.Locked && m.Reason == 7 && m.Flags == 1 && m.Time == g.now, "%+v", m)
	s := g.e.Snapshot(g.now)
	g.want(g.snap("a").StatusInformation == StatusLockedMode && s.StatusInformation() == GroupLockedMode, "bits")
	g.want(len(s.Locked()) == 1, "%v", s.Locked())
	entered := g.now
	g.pass(sec)
	g.locked("a")
	g.want(len(g.last) == 1, "a repetition costs %d actions", len(g.last))
	g.want(g.lock("a", SetLockedMode{Enabled: true, Reason: 8}) == CodeSuccess, "another reason")
	m = g.snap("a").LockedMode
	g.want(m.Reason == 8 && m.Flags == 0 && m.Time == entered, "%+v", m)
	g.unlocked("a")
	m = g.snap("a").LockedMode
	g.want(!m.Locked && m.Time == g.now && g.snap("a").StatusInformation == 0, "%+v", m)
}

// Shows: SetResourceLockedMode, SetResourceLockedModeEx.
func TestLockedModeIsBounded(t *testing.T) {
	g := online(t, res("a"))
	g.want(g.lock("a", SetLockedMode{Enabled: true, Flags: 2}) == CodeInvalidParameter, "an unknown flag")
	g.want(g.snap("a").LockedMode == nil, "%+v", g.snap("a").LockedMode)
	changes := func(n int) (taken int) {
		for i := range n {
			code := g.lock("a", SetLockedMode{Enabled: true, Reason: uint32(i + 1)})
			g.want(code == CodeSuccess || code == CodeTypeBusy && len(g.last) == 1, "%d, with %d actions", code, len(g.last))
			if code == CodeSuccess {
				taken++
			}
		}
		return taken
	}
	g.want(changes(100) == maxChanges, "each is made durable")
	g.want(g.lock("a", SetLockedMode{Enabled: true, Reason: maxChanges}) == CodeSuccess, "a repetition costs nothing")
	g.pass(changesEvery)
	g.want(changes(maxChanges) == maxChanges, "it does not end")
}

// The answer waits for the journal: a lock that was answered is not lost.
func TestLockedModeIsDurableBeforeItsAnswer(t *testing.T) {
	g := online(t, res("a"))
	for _, enabled := range []bool{true, false} {
		g.lock("a", SetLockedMode{Enabled: enabled})
		barrier := false
		for _, a := range g.last {
			barrier = barrier || a.Journal != nil && a.Journal.Barrier
			g.want(a.Reply == nil || barrier, "answered before it was durable")
		}
	}
}

func TestLockedModeIsLostWithOnline(t *testing.T) {
	for name, end := range map[string]func(g *rig){
		"it fails":           func(g *rig) { g.exit("a") },
		"the provider dies":  func(g *rig) { g.empty("c", "c2"); g.up("c", "c2") },
		"the container dies": func(g *rig) { g.send(Event{InitGone: &InitGone{Container: "c"}}) },
		"the ownership ends": func(g *rig) { g.revoke(Ordered) },
		"another epoch":      func(g *rig) { g.grant(2) },
		"kill":               func(g *rig) { g.revoke(Kill) },
	} {
		t.Run(name, func(t *testing.T) {
			g := online(t, res("a"))
			g.locked("a")
			end(g)
			g.want(g.snap("a").State != Online && g.snap("a").LockedMode == nil, "%+v", g.snap("a").LockedMode)
			g.want(g.snap("a").StatusInformation&StatusLockedMode == 0, "the bit")
		})
	}
	g := online(t, res("a"))
	g.locked("a")
	g.exit("a")
	g.pass(500 * ms)
	g.ok(OpOnline, "a")
	g.want(g.snap("a").LockedMode == nil, "locked in its next life")
}

// What the plan asks is refused while a resource is locked, and done as soon as it is not.
func TestLockedModeRefusesOffline(t *testing.T) {
	wish := func(f func(*Resource), who string, all ...Resource) []Resource {
		var out []Resource
		for _, r := range all {
			if r.UID == who {
				f(&r)
			}
			out = append(out, r)
		}
		return out
	}
	off := func(r *Resource) { r.DesiredState = DesiredOffline }
	a, b, c, other := res("a"), res("b", "a"), res("c", "b"), res("other")
	for name, tc := range map[string]struct {
		locked, who string
		plan        []Resource
	}{
		"itself":              {"a", "a", wish(off, "a", a, b, c, other)},
		"a dependent":         {"b", "a", wish(off, "a", a, b, c, other)},
		"a dependent's":       {"c", "a", wish(off, "a", a, b, c, other)},
		"removed":             {"c", "c", []Resource{a, b, other}},
		"to another provider": {"a", "a", wish(func(r *Resource) { r.Container = "d" }, "a", a, b, c, other)},
	} {
		t.Run(name, func(t *testing.T) {
			g := online(t, a, b, c, other)
			g.locked(tc.locked)
			g.plan(tc.plan...)
			g.want(g.noted(ReasonLocked), "nobody is told")
			for _, uid := range []string{"a", "b", "c", "other"} {
				g.is(uid, Online)
			}
			g.flying()
			g.waits(tc.who, ReasonLocked, tc.locked)
			s := g.snap(tc.who)
			g.want(s.LastOperationStatusCode == CodeLocked && s.Held, "%+v", s)
			g.send(Event{Timer: &Timer{}})
			g.plan(tc.plan...)
			g.want(!g.noted(ReasonLocked), "told twice")
			g.pass(20 * sec)
			g.unlocked(tc.locked)
			g.want(len(g.calls) > 0 && g.snap(tc.who).LastOperationStatusCode == CodeSuccess, "it does not go offline")
		})
	}
	t.Run("taken back", func(t *testing.T) {
		g := online(t, a)
		g.locked("a")
		g.plan(offline(a))
		g.plan(a)
		g.unlocked("a")
		g.is("a", Online)
		g.flying()
		g.want(g.snap("a").LastOperationStatusCode == CodeSuccess, "the code stays")
	})
	t.Run("what is not concerned goes", func(t *testing.T) {
		g := online(t, a, b, other)
		g.locked("a")
		g.plan(a, offline(b), offline(other))
		g.flying("Offline b", "Offline other")
	})
	t.Run("a dependent that stands on another", func(t *testing.T) {
		g := online(t, a, other, res("x", "a|other"))
		g.locked("x")
		g.plan(offline(a), other, res("x", "a|other"))
		g.flying("Offline a")
		g.plan(offline(a), offline(other), res("x", "a|other"))
		g.flying("Offline a")
		g.waits("other", ReasonLocked, "x")
	})
}

func TestLockedModeIgnored(t *testing.T) {
	ignoring := func(r *Resource) { r.DesiredState, r.IgnoreLockedMode = DesiredOffline, true }
	t.Run("of the resource", func(t *testing.T) {
		g := online(t, res("a"), res("b", "a"))
		g.locked("b")
		g.plan(offline(res("a")), res("b", "a"))
		g.flying()
		g.plan(with(res("a"), ignoring), res("b", "a"))
		g.flying("Offline b")
		g.ok(OpOffline, "b")
		g.want(g.call(OpOffline, "a").Flags == OfflineIgnoreResourceStatus, "%+v", g.call(OpOffline, "a"))
	})
	t.Run("of the group, for what is removed", func(t *testing.T) {
		g := online(t, res("a"))
		g.locked("a")
		g.plan()
		g.flying()
		g.send(Event{PlanChanged: &PlanChanged{Plan: Plan{Revision: "q", IgnoreLockedMode: true}}})
		g.flying("Offline a")
	})
	t.Run("Online says so", func(t *testing.T) {
		g := ready(t, with(res("a"), func(r *Resource) { r.IgnoreLockedMode = true }))
		g.want(g.call(OpOnline, "a").Flags == OnlineIgnoreResourceStatus, "%+v", g.call(OpOnline, "a"))
	})
}

// A lock saves nothing from a failure, nor from the end of the ownership.
func TestLockedModeSuspendsNothingElse(t *testing.T) {
	for name, end := range map[string]func(g *rig){
		"a failure":            func(g *rig) { g.signal("b", true) },
		"a dependency's":       func(g *rig) { g.signal("a", true) },
		"Ordered":              func(g *rig) { g.revoke(Ordered) },
		"Emergency":            func(g *rig) { g.revoke(Emergency) },
		"Kill":                 func(g *rig) { g.revoke(Kill) },
		"another epoch":        func(g *rig) { g.grant(2) },
		"an embedded failure":  func(g *rig) { g.embedded("b") },
		"the provider is lost": func(g *rig) { g.send(Event{ProviderDown: &ProviderDown{Container: "c"}}) },
	} {
		for _, held := range []bool{false, true} {
			g := online(t, res("a"), res("b", "a"))
			g.locked("a")
			g.locked("b")
			if held {
				g.plan(offline(res("a")), offline(res("b", "a")))
			}
			end(g)
			if g.snap("b").State == Online && len(g.calls) == 0 {
				t.Errorf("%s, held %v: b is online, and nothing is done: %v", name, held, g.record[len(g.record)-1])
			}
		}
	}
}

// What is on its way down cannot be locked any more, and is not held up by it.
func TestLockedModeComesTooLate(t *testing.T) {
	g := online(t, res("a"), res("b", "a"))
	g.plan(offline(res("a")), res("b", "a"))
	g.flying("Offline b")
	g.is("a", Online)
	g.want(g.lock("a", SetLockedMode{Enabled: true}) == CodeInvalidState, "a waits for b to stop")
	g.want(g.lock("b", SetLockedMode{Enabled: true}) == CodeInvalidState, "b stops")
	g.ok(OpOffline, "b")
	g.flying("Offline a")
	g = online(t, res("a"))
	g.signal("a", true)
	g.want(g.lock("a", SetLockedMode{Enabled: true}) == CodeInvalidState, "it failed")
	g.ok(OpTerminate, "a")
	g.want(g.lock("a", SetLockedMode{}) == CodeInvalidState, "after Terminate")
	g.want(g.cb(Callback{Container: "d", Handle: "a", SetLockedMode: &SetLockedMode{}}).Code == CodeInvalidHandle, "from elsewhere")
}

// A provider that lives on while the monitor is replaced holds its lock.
func TestLockedModeAcrossARestartOfTheMonitor(t *testing.T) {
	again := func(g *rig, nonce string) *rig {
		h := newRig(t)
		h.now = g.now
		h.e = Restore(Config{}, roundTrip(t, g.e.Snapshot(g.now)))
		h.up("c", nonce)
		return h
	}
	t.Run("held for another", func(t *testing.T) {
		g := online(t, res("a"), res("b", "a"))
		g.locked("b")
		g.plan(offline(res("a")), res("b", "a"))
		h := again(g, "c1")
		h.answer(OpOpen, "a", Returned{State: ReportedOnline})
		h.answer(OpOpen, "b", Returned{State: ReportedOnline})
		h.grant(1)
		h.waits("a", ReasonLocked, "b")
		h.want(!h.noted(ReasonLocked) && h.snap("a").Held, "told again")
	})
	locked := func() *rig {
		g := online(t, res("a"))
		g.locked("a")
		g.plan(offline(res("a")))
		return g
	}
	t.Run("found online", func(t *testing.T) {
		g := locked()
		h := again(g, "c1")
		h.answer(OpOpen, "a", Returned{State: ReportedOnline})
		h.grant(1)
		h.is("a", Online)
		h.flying()
		h.waits("a", ReasonLocked, "a")
		h.want(*h.snap("a").LockedMode == *g.snap("a").LockedMode, "%+v", h.snap("a").LockedMode)
		h.want(!h.noted(ReasonLocked), "told again")
		h.unlocked("a")
		h.flying("Offline a")
	})
	t.Run("granted before it was opened", func(t *testing.T) {
		h := again(locked(), "c1")
		h.grant(1)
		h.is("a", Online)
		h.flying("Open a")
	})
	for name, found := range map[string]Returned{
		"found offline": {State: ReportedOffline}, "found failed": {State: ReportedFailed},
		"found stopping": {State: ReportedOfflinePending}, "nobody knows": {},
	} {
		t.Run(name, func(t *testing.T) {
			h := again(locked(), "c1")
			h.answer(OpOpen, "a", found)
			h.grant(1)
			h.want(h.snap("a").LockedMode == nil && !h.snap("a").Held, "%+v", h.snap("a"))
		})
	}
	t.Run("another process", func(t *testing.T) {
		h := again(locked(), "c2")
		h.answer(OpOpen, "a", Returned{State: ReportedOffline})
		h.want(h.snap("a").LockedMode == nil, "%+v", h.snap("a"))
	})
}
