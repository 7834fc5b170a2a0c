// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"testing"
)

func controlled(uid string) Resource {
	return with(res(uid), func(r *Resource) {
		r.Controls = []ControlSpec{
			{Name: "PEEK", Code: 0x01800005, Access: AccessRead}, {Name: "SAVE", Code: 0x0180000A, Access: AccessWrite},
		}
	})
}

func (g *rig) ask(c Control) []Action { g.t.Helper(); return g.send(Event{Control: &c}) }
func (g *rig) claim(id string, ok bool) []Action {
	g.t.Helper()
	return g.send(Event{Claimed: &Claimed{ID: id, OK: ok}})
}

func (g *rig) claims() int {
	n := 0
	for _, a := range g.last {
		if a.Claim != nil {
			n++
		}
	}
	return n
}

func (g *rig) endCall(container string, context int64, status Code, out string) Reply {
	g.t.Helper()
	return g.cb(Callback{Container: container, EndControlCall: &EndControlCall{Context: context, Status: status, Output: []byte(out)}})
}

// barrierBefore checks that the action waits for the journal.
func (g *rig) barrierBefore(is func(Action) bool) {
	g.t.Helper()
	barrier := false
	for _, a := range g.last {
		if a.Journal != nil && a.Journal.Barrier {
			barrier = true
		}
		if is(a) {
			g.want(barrier, "does not wait for the journal")
			return
		}
	}
	g.want(false, "no such action")
}

// Who may only read is not obeyed when the code writes: the API server could not
// know what the type declares.
func TestControlThatMayOnlyRead(t *testing.T) {
	g := online(t, controlled("a"))
	g.ask(Control{ID: "1", Resource: "a", Name: "SAVE", Read: true})
	f := g.finished("1")
	g.want(g.claims() == 0 && f != nil && f.Kind == FinishRefused && f.Status == CodeAccessDenied, "%+v", f)
	g.flying()
	g.ask(Control{ID: "2", Resource: "a", Name: "PEEK", Read: true})
	g.want(g.claims() == 1, "no claim")
}

func TestControlSynchronous(t *testing.T) {
	g := online(t, controlled("a"))
	g.ask(Control{ID: "1", Resource: "a", Name: "SAVE", Input: []byte("in")})
	g.want(g.claims() == 1, "no claim")
	g.flying() // not before the claim is durable
	g.ask(Control{ID: "1", Resource: "a", Name: "SAVE"})
	g.want(g.claims() == 0, "twice")
	g.claim("1", true)
	g.barrierBefore(func(a Action) bool { return a.Call != nil })
	c := g.call(OpBeginResourceControl, "a")
	g.want(c.Control.Code == 0x0180000A && string(c.Control.Input) == "in" && c.Control.Context > 0, "%+v", c.Control)
	context := c.Control.Context
	g.answer(OpBeginResourceControl, "a", Returned{Status: 5024, Output: []byte("out")})
	f := g.finished("1")
	g.want(f != nil && f.Kind == FinishCompleted && f.Status == 5024 && string(f.Output) == "out", "%+v", f)
	g.want(g.endCall("c", context, 0, "").Code == CodeInvalidParameter, "ended already")
	r := g.snap("a").ControlResults
	g.want(len(r) == 1 && r[0].ID == "1" && r[0].Status == 5024 && r[0].Name == "SAVE", "%+v", r)
	g.want(len(g.e.Snapshot(g.now).Controls) == 1, "kept until it is recorded")
	g.send(Event{Recorded: &Recorded{ID: "1"}})
	g.want(len(g.e.Snapshot(g.now).Controls) == 0, "kept")
}

func TestControlAsynchronous(t *testing.T) {
	for _, early := range []bool{false, true} {
		g := online(t, controlled("a"), with(res("d"), func(r *Resource) { r.Container = "d" }))
		g.ask(Control{ID: "1", Resource: "a", Code: 0x01800005})
		g.claim("1", true)
		context := g.call(OpBeginResourceControl, "a").Control.Context
		if !early {
			g.answer(OpBeginResourceControl, "a", Returned{Async: true})
		}
		g.want(g.finished("1") == nil, "finished too early")
		g.want(g.endCall("d", context, 0, "").Code == CodeInvalidParameter, "another provider's")
		g.want(g.endCall("c", context+1, 0, "").Code == CodeInvalidParameter, "unknown")
		g.want(g.endCall("c", context, 13, "out").Code == CodeSuccess, "code")
		f := g.finished("1")
		g.want(f != nil && f.Kind == FinishCompleted && f.Status == 13 && string(f.Output) == "out", "%+v", f)
		g.barrierBefore(func(a Action) bool { return a.Reply != nil })
		g.want(g.endCall("c", context, 0, "").Code == CodeInvalidParameter && g.finished("1") == nil, "twice")
		if early {
			g.answer(OpBeginResourceControl, "a", Returned{Async: true})
			g.want(g.finished("1") == nil, "twice")
		}
	}
}

func TestControlRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		ask  Control
		prep func(g *rig)
		want Code
	}{
		"no id":            {Control{Resource: "a", Name: "SAVE"}, nil, CodeInvalidParameter},
		"unknown resource": {Control{ID: "1", Resource: "zz", Name: "SAVE"}, nil, CodeResourceNotFound},
		"unknown name":     {Control{ID: "1", Resource: "a", Name: "NOPE", Code: 0x0180000A}, nil, CodeInvalidFunction},
		"unknown code":     {Control{ID: "1", Resource: "a", Code: 4}, nil, CodeInvalidFunction},
		"not owner":        {Control{ID: "1", Resource: "a", Name: "SAVE"}, func(g *rig) { g.revoke(Ordered) }, CodeHostNodeNotOwner},
		"no provider":      {Control{ID: "1", Resource: "a", Name: "PEEK"}, func(g *rig) { g.empty("c", "c2") }, CodeResourceNotAvailable},
	} {
		t.Run(name, func(t *testing.T) {
			g := online(t, controlled("a"))
			if tc.prep != nil {
				tc.prep(g)
			}
			g.ask(tc.ask)
			f := g.finished(tc.ask.ID)
			g.want(f != nil && f.Kind == FinishRefused && f.Status == tc.want && g.claims() == 0, "%+v", f)
		})
	}
}

func TestControlReadsOnAStandby(t *testing.T) {
	g := newRig(t)
	g.plan(controlled("a"))
	g.up("c", "c1")
	g.openAll()
	g.ask(Control{ID: "1", Resource: "a", Name: "PEEK"})
	g.claim("1", true)
	g.flying("BeginResourceControl a")
}

func TestControlClaim(t *testing.T) {
	g := online(t, controlled("a"))
	g.ask(Control{ID: "1", Resource: "a", Name: "SAVE"})
	g.claim("1", false)
	g.want(g.finished("1") == nil && len(g.e.Snapshot(g.now).Controls) == 0, "it is somebody else's")
	g.ask(Control{ID: "2", Resource: "a", Name: "SAVE"})
	g.revoke(Emergency)
	g.claim("2", true)
	f := g.finished("2")
	g.want(f.Kind == FinishRefused && f.Status == CodeHostNodeNotOwner, "%+v", f)
	g.claim("3", true)
	g.claim("2", true)
	g.want(g.call(OpBeginResourceControl, "a") == nil, "run although it was not asked for")
}

// An API server that takes long for the claim takes nothing from the call's time.
func TestControlTimeCountsFromTheClaim(t *testing.T) {
	g := online(t, controlled("a"))
	g.ask(Control{ID: "1", Resource: "a", Name: "SAVE", Timeout: sec})
	g.pass(10 * sec)
	g.claim("1", true)
	g.answer(OpBeginResourceControl, "a", Returned{Async: true})
	g.pass(sec - 1)
	g.want(g.finished("1") == nil, "ended before its time")
	g.pass(1)
	f := g.finished("1")
	g.want(f != nil && f.Kind == FinishTimedOut, "%+v", f)
}

func TestControlTimesOut(t *testing.T) {
	g := online(t, controlled("a"))
	g.ask(Control{ID: "1", Resource: "a", Name: "SAVE", Timeout: sec})
	g.claim("1", true)
	context := g.call(OpBeginResourceControl, "a").Control.Context
	g.answer(OpBeginResourceControl, "a", Returned{Async: true})
	g.pass(sec)
	f := g.finished("1")
	g.want(f != nil && f.Kind == FinishTimedOut && f.Status == CodeCallTimedOut, "%+v", f)
	g.want(g.endCall("c", context, 0, "").Code == CodeCallTimedOut && g.finished("1") == nil, "too late")
	g.is("a", Online)
	// Begin itself that hangs is a deadlock.
	g.ask(Control{ID: "2", Resource: "a", Name: "SAVE"})
	g.claim("2", true)
	for range 70 {
		g.pass(sec)
		if g.finished("2") != nil {
			break
		}
		for _, op := range []Op{OpLooksAlive, OpIsAlive} {
			if g.call(op, "a") != nil {
				g.ok(op, "a")
			}
		}
	}
	g.is("a", Failed)
}

func TestControlOutcomeUnknown(t *testing.T) {
	for name, do := range map[string]func(g *rig){
		"provider lost": func(g *rig) { g.send(Event{ProviderDown: &ProviderDown{Container: "c"}}) },
		"emptied":       func(g *rig) { g.empty("c", "c2") },
		"no answer":     func(g *rig) { g.answer(OpBeginResourceControl, "a", Returned{Outcome: Unavailable}) },
	} {
		t.Run(name, func(t *testing.T) {
			g := online(t, controlled("a"))
			g.ask(Control{ID: "1", Resource: "a", Name: "SAVE"})
			g.claim("1", true)
			do(g)
			f := g.finished("1")
			g.want(f != nil && f.Kind == FinishUnknown, "%+v", f)
		})
	}
}

func TestControlsAreBounded(t *testing.T) {
	g := online(t, controlled("a"))
	for i := range 16 {
		g.ask(Control{ID: fmt.Sprint(i), Resource: "a", Name: "SAVE"})
		g.want(g.claims() == 1, "%d refused", i)
		if i%2 == 0 {
			g.claim(fmt.Sprint(i), true)
		}
	}
	g.ask(Control{ID: "x", Resource: "a", Name: "SAVE"})
	g.want(g.finished("x") != nil && g.finished("x").Status == CodeGroupBusy, "the 17th: %+v", g.finished("x"))
	for i := range 500 {
		g.ask(Control{ID: fmt.Sprint("r", i), Resource: "zz"})
	}
	g.want(len(g.e.controls) <= 16+maxFinished && len(g.e.ended) <= maxFinished, "%d kept", len(g.e.controls))
	g.want(len(g.snap("a").ControlResults) <= maxResults, "results")
	contexts := map[int64]bool{}
	for _, c := range g.calls {
		contexts[c.Control.Context] = true
	}
	g.want(len(contexts) == 8, "contexts are not unique: %v", contexts)
}

// Shows: Close.
func TestCloseWaitsForControls(t *testing.T) {
	g := online(t, controlled("a"))
	g.ask(Control{ID: "1", Resource: "a", Name: "SAVE"})
	g.claim("1", true)
	g.plan()
	g.ok(OpOffline, "a")
	g.flying("BeginResourceControl a")
	g.answer(OpBeginResourceControl, "a", Returned{})
	g.flying("Close a")
}

// Whether a Begin whose answer the monitor never got is answered, or goes on, nobody knows.
func TestBeginThatWasNotHeardIsUnknown(t *testing.T) {
	for name, heard := range map[string]bool{"heard": true, "not heard": false} {
		g := online(t, controlled("a"))
		g.ask(Control{ID: "k", Resource: "a", Name: "SAVE", Timeout: sec})
		g.claim("k", true)
		want := FinishUnknown
		if heard {
			g.answer(OpBeginResourceControl, "a", Returned{Async: true})
			want = FinishTimedOut
		}
		h := newRig(t)
		h.now = g.now
		h.e = Restore(Config{}, roundTrip(t, g.e.Snapshot(g.now)))
		h.up("c", "c1")
		h.answer(OpOpen, "a", Returned{State: ReportedOnline})
		h.grant(1)
		h.pass(2 * sec)
		if f := h.finished("k"); f == nil || f.Kind != want {
			t.Errorf("%s: %+v, want %s", name, f, want)
		}
	}
}
