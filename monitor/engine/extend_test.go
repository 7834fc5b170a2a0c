// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"testing"
	"time"
)

var _ = everySame("Callback/ExtendControlCall", Event{Callback: &Callback{ID: 1, Container: "c", ExtendControlCall: &ExtendControlCall{Context: 1}}},
	"Reply(87,0)")

func (g *rig) extend(container string, typed bool, context int64, d time.Duration) Reply {
	g.t.Helper()
	return g.cb(Callback{Container: container, ExtendControlCall: &ExtendControlCall{Type: typed, Context: context, Timeout: d}})
}

// later has a call of a resource, or of a type, run that the provider ends later.
func (g *rig) later(id string, typed bool, timeout time.Duration) (context int64) {
	g.t.Helper()
	ask := Control{ID: id, Resource: "a", Name: "SAVE", Timeout: timeout}
	if typed {
		ask = Control{ID: id, TypeName: "TEST", Name: "PREPARE", Timeout: timeout}
	}
	g.ask(ask)
	g.claim(id, true)
	i := slices.IndexFunc(g.calls, func(c Call) bool { return c.Control != nil })
	g.want(i >= 0, "nothing is called")
	context = g.calls[i].Control.Context
	g.answer(g.calls[i].Op, g.calls[i].Resource, Returned{Async: true})
	return context
}

// The new time-out counts from now, shorter or longer than what is left, and is bounded
// by the type.
//
// Shows: ExtendControlCall, ExtendResTypeControlCall.
func TestExtendControlCall(t *testing.T) {
	for _, typed := range []bool{false, true} {
		g := typedOnline(t)
		context := g.later("1", typed, 10*sec)
		g.pass(9 * sec)
		g.want(g.extend("c", typed, context, 20*sec).Code == CodeSuccess, "code")
		g.barrierBefore(func(a Action) bool { return a.Reply != nil })
		s := g.e.Snapshot(g.now).Controls[0]
		g.want(s.Extended && s.Deadline == g.now.Boot+20*int64(sec), "%+v", s)
		g.healthy(15 * sec)
		g.want(g.finished("1") == nil, "ended before its new time")
		g.want(g.extend("c", typed, context, 24*time.Hour).Code == CodeSuccess, "code")
		d := g.e.Snapshot(g.now).Controls[0].Deadline - g.now.Boot
		g.want(time.Duration(d) == 30*sec, "it is bounded by the type: %v", time.Duration(d))
		g.want(g.extend("c", typed, context, 2*sec).Code == CodeSuccess, "code")
		g.healthy(2*sec - 1)
		g.want(g.finished("1") == nil, "ended before its time")
		g.pass(1)
		f := g.finished("1")
		g.want(f != nil && f.Kind == FinishTimedOut, "%+v", f)
		g.want(g.extend("c", typed, context, sec).Code == CodeCallTimedOut, "too late")
		g.want(g.extend("c", !typed, context, sec).Code == CodeInvalidParameter, "too late, and the other kind")
	}
}

func TestExtendControlCallRefused(t *testing.T) {
	for _, typed := range []bool{false, true} {
		g := typedOnline(t)
		context := g.later("1", typed, 10*sec)
		for name, r := range map[string]Reply{
			"another container": g.extend("d", typed, context, sec),
			"the other kind":    g.extend("c", !typed, context, sec),
			"unknown":           g.extend("c", typed, context+1, sec),
			"no time":           g.extend("c", typed, context, 0),
			"less than no time": g.extend("c", typed, context, -sec),
		} {
			g.want(r.Code == CodeInvalidParameter, "%s: %+v", name, r)
		}
		g.want(!g.e.Snapshot(g.now).Controls[0].Extended, "extended")
		end := Callback{Container: "c", EndControlCall: &EndControlCall{Type: typed, Context: context}}
		g.want(g.cb(end).Code == CodeSuccess, "end")
		g.want(g.extend("c", typed, context, sec).Code == CodeInvalidParameter, "ended already")
	}
	if got := online(t, controlled("a")).e.controlMaximum("test"); got != time.Hour {
		t.Errorf("a type without a bound has %v", got)
	}
}

// A provider that extends all the time costs a journal a second, and a monitor that dies
// knows the deadline of a second ago.
func TestExtensionsArePaced(t *testing.T) {
	g := typedOnline(t)
	context := g.later("1", false, 10*sec)
	journals, barriers := 0, 0
	for i := range 1000 {
		g.extend("c", false, context, 10*sec+time.Duration(i))
		for _, a := range g.last {
			if a.Journal != nil {
				journals++
				if a.Journal.Barrier {
					barriers++
				}
			}
		}
	}
	g.want(journals == 1 && barriers == 1, "%d journals, %d barriers", journals, barriers)
	deadline := g.now.Boot + 10*int64(sec) + 999
	g.want(g.e.Snapshot(g.now).Controls[0].Deadline == deadline, "the newest counts")
	g.pass(sec)
	g.want(slices.ContainsFunc(g.last, func(a Action) bool { return a.Journal != nil }) &&
		slices.ContainsFunc(g.last, func(a Action) bool { return a.Status != nil && a.Status.Group }),
		"the newest is not journaled, or not shown")
	h := restored(t, g)
	h.grant(1)
	h.pass(time.Duration(deadline-h.now.Boot) - 1)
	h.want(h.finished("1") == nil, "ended before the extended time")
	h.pass(1)
	h.want(h.finished("1") != nil && h.finished("1").Kind == FinishTimedOut, "%+v", h.finished("1"))
}

// A provider that takes over properties in its own time may ask for more of it.
func TestExtendSettingOfProperties(t *testing.T) {
	g := online(t, tuned(1, 1))
	g.plan(tuned(2, 1))
	context := g.call(OpBeginResourceControl, "a").Control.Context
	g.answer(OpBeginResourceControl, "a", Returned{Async: true})
	g.healthy(50 * sec)
	g.want(g.extend("c", false, context, 60*sec).Code == CodeSuccess, "code")
	g.healthy(30 * sec)
	g.inForce(ReasonUpdating, "alpha")
	g.want(g.endCall("c", context, 0, "").Code == CodeSuccess, "end")
	g.want(g.snap("a").Properties == nil, "not in force")
}

// healthy lets d go by while polls are answered.
func (g *rig) healthy(d time.Duration) {
	g.t.Helper()
	for end := g.now.Boot + int64(d); g.now.Boot < end; {
		g.pass(min(time.Duration(end-g.now.Boot), sec))
		for _, op := range []Op{OpLooksAlive, OpIsAlive} {
			for i := 0; i < len(g.calls); {
				if g.calls[i].Op == op {
					g.ok(op, g.calls[i].Resource)
				} else {
					i++
				}
			}
		}
	}
}
