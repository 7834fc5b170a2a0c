// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"testing"
)

// typedOnline has resources of two types, and one of them has a code of its own.
func typedOnline(t *testing.T) *rig {
	t.Helper()
	g := newRig(t)
	other := with(res("d"), func(r *Resource) { r.Container, r.TypeName = "d", "other" })
	second := with(controlled("b"), func(r *Resource) { r.Container = "e" })
	g.typedPlan(controlled("a"), other, second)
	for _, c := range []string{"c", "d", "e"} {
		g.up(c, c+"1")
	}
	g.openAll()
	g.grant(1)
	for _, c := range []string{"c", "d", "e"} {
		g.guard(c, 1)
	}
	g.onlineAll()
	return g
}

func (g *rig) typedPlan(rs ...Resource) {
	g.t.Helper()
	g.send(Event{PlanChanged: &PlanChanged{Plan: Plan{
		Revision: "p", Resources: rs, Group: Group{Name: "db", UID: "g", Properties: []byte(`{"FailoverThreshold":2}`)},
		Types: []Type{{
			Name: "test", Class: "Storage", Subclass: 0x40000000, Quorum: true, ControlTimeoutMaximum: 30 * sec,
			RequiredDependencies: []string{"class:Storage"},
			PropertyFormats:      []PropertyFormat{{"path", "string"}, {"size", "integer"}},
			Controls: []ControlSpec{
				{Name: "PREPARE", Code: 0x0280000a, Access: AccessWrite}, {Name: "LIST", Code: 0x02800005, Access: AccessRead},
			},
		}, {Name: "other"}},
	}}})
}

// A type's code runs in the first container that has a resource of the type, and its
// context is one of a type's.
//
// Shows: EndTypeControlCall.
func TestControlOfAType(t *testing.T) {
	g := typedOnline(t)
	g.ask(Control{ID: "1", TypeName: "Test", Code: 0x0280000a, Input: []byte("in")})
	g.flying()
	g.claim("1", true)
	g.barrierBefore(func(a Action) bool { return a.Call != nil })
	c := g.call(OpBeginResourceTypeControl, "")
	g.want(c != nil && c.Container == "c" && c.TypeName == "test" && c.Control.Name == "PREPARE" &&
		string(c.Control.Input) == "in" && c.ResourceID == "", "%+v", c)
	context := c.Control.Context
	g.answer(OpBeginResourceTypeControl, "", Returned{Async: true})
	end := func(container string, typed bool) Code {
		return g.cb(Callback{Container: container, EndControlCall: &EndControlCall{
			Type: typed, Context: context, Status: 3, Output: []byte("out"),
		}}).Code
	}
	g.want(end("c", false) == CodeInvalidParameter, "EndControlCall of a type's context")
	g.want(end("e", true) == CodeInvalidParameter, "another container's, of the same type")
	g.want(end("c", true) == CodeSuccess, "end")
	g.barrierBefore(func(a Action) bool { return a.Reply != nil })
	f := g.finished("1")
	g.want(f != nil && f.Status == 3 && string(f.Output) == "out", "%+v", f)
	g.want(end("c", true) == CodeInvalidParameter, "twice")
	h := restored(t, g)
	for _, e := range []*Engine{g.e, h.e} {
		s := e.Snapshot(g.now).Types
		g.want(len(s) == 1 && len(s[0].ControlResults) == 1 && s[0].ControlResults[0].Name == "PREPARE" &&
			s[0].ControlResults[0].Status == 3, "%+v", s)
	}
	g.want(len(g.snap("a").ControlResults) == 0, "told of a resource")

	g.empty("c", "c2")
	g.ask(Control{ID: "2", TypeName: "test", Name: "LIST"})
	g.claim("2", true)
	c = g.call(OpBeginResourceTypeControl, "")
	g.want(c != nil && c.Container == "e", "not where a resource of the type is callable: %+v", c)
	g.want(c.Control.Context > context, "a context is used twice")
}

// EndTypeControlCall does not end a call of a resource, whose context it is.
func TestEndTypeControlCallOfAResource(t *testing.T) {
	g := typedOnline(t)
	context := g.later("1", false, 0)
	end := Callback{Container: "c", EndControlCall: &EndControlCall{Type: true, Context: context}}
	g.want(g.cb(end).Code == CodeInvalidParameter && g.finished("1") == nil, "ended")
	g.want(g.endCall("c", context, 0, "").Code == CodeSuccess, "not ended")
	g.want(g.cb(end).Code == CodeInvalidParameter, "ended before, as the other kind")
}

// Begin's answer is overtaken by the end, for a type as for a resource.
func TestEndTypeControlCallOvertakesBegin(t *testing.T) {
	g := typedOnline(t)
	g.ask(Control{ID: "1", TypeName: "test", Name: "LIST"})
	g.claim("1", true)
	context := g.call(OpBeginResourceTypeControl, "").Control.Context
	g.want(g.cb(Callback{Container: "c", EndControlCall: &EndControlCall{Type: true, Context: context}}).Code == CodeSuccess, "end")
	g.want(g.finished("1") != nil, "not finished")
	g.answer(OpBeginResourceTypeControl, "", Returned{Async: true})
	g.want(g.finished("1") == nil, "twice")
}

func TestControlOfATypeRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		ask  Control
		prep func(*rig)
		want Code
	}{
		"unknown type":         {Control{ID: "1", TypeName: "none", Name: "LIST"}, nil, CodeTypeNotFound},
		"a code of resources":  {Control{ID: "1", TypeName: "test", Name: "SAVE"}, nil, CodeInvalidFunction},
		"a code of types":      {Control{ID: "1", Resource: "a", Name: "PREPARE"}, nil, CodeInvalidFunction},
		"not owner":            {Control{ID: "1", TypeName: "test", Name: "PREPARE"}, func(g *rig) { g.revoke(Ordered) }, CodeHostNodeNotOwner},
		"may only read":        {Control{ID: "1", TypeName: "test", Name: "PREPARE", Read: true}, nil, CodeAccessDenied},
		"no provider anywhere": {Control{ID: "1", TypeName: "test", Name: "LIST"}, func(g *rig) { g.empty("c", "c2"); g.empty("e", "e2") }, CodeResourceNotAvailable},
	} {
		t.Run(name, func(t *testing.T) {
			g := typedOnline(t)
			if tc.prep != nil {
				tc.prep(g)
			}
			g.ask(tc.ask)
			f := g.finished("1")
			g.want(f != nil && f.Kind == FinishRefused && f.Status == tc.want && g.claims() == 0, "%+v", f)
		})
	}
}

// A monitor that dies while a type's call runs has it end in its next life; a context is
// not used again.
func TestMonitorRestartControlOfAType(t *testing.T) {
	h := typedOnline(t)
	context := h.later("1", true, 0)
	g := restored(t, h)
	g.grant(1)
	g.ask(Control{ID: "1", TypeName: "test", Name: "PREPARE", Claimed: true})
	g.want(g.finished("1") == nil, "it is running")
	g.want(g.endCall("c", context, 0, "").Code == CodeInvalidParameter, "as a resource's")
	end := Callback{Container: "c", EndControlCall: &EndControlCall{Type: true, Context: context}}
	g.want(g.cb(end).Code == CodeSuccess && g.finished("1") != nil, "it ends after all")
	g.typedPlan(controlled("a"))
	g.up("c", "c1")
	g.ask(Control{ID: "2", TypeName: "test", Name: "PREPARE"})
	g.claim("2", true)
	g.want(g.call(OpBeginResourceTypeControl, "").Control.Context > context, "a context is used twice")
}

// A Begin that does not come back is a deadlock, for a type as for a resource.
func TestControlOfATypeThatHangs(t *testing.T) {
	g := typedOnline(t)
	g.ask(Control{ID: "1", TypeName: "test", Name: "PREPARE"})
	g.claim("1", true)
	for range 70 {
		g.healthy(sec)
		if g.finished("1") != nil {
			break
		}
	}
	g.want(!slices.ContainsFunc(g.e.containers, func(c *container) bool { return c.name == "c" && c.killing != ReasonDeadlock }),
		"not killed")
	g.is("a", Failed)
	g.is("d", Online)
}

// What runs when the ownership ends is not known to have run: also if the word of the
// providers is trusted, and no container is emptied.
func TestControlsEndWithTheOwnership(t *testing.T) {
	g := newRig(t)
	g.e = New(Config{TrustProviders: true})
	g.plan(controlled("a"))
	g.up("c", "c1")
	g.openAll()
	g.grant(1)
	g.guard("c", 1)
	g.onlineAll()
	context := g.later("1", false, 0)
	g.want(g.extend("c", false, context, 50*sec).Code == CodeSuccess, "extend")
	g.revoke(Ordered)
	g.ok(OpOffline, "a")
	f := g.finished("1")
	g.want(g.proven == 1 && f != nil && f.Kind == FinishUnknown, "%+v", f)
	g.want(g.extend("c", false, context, sec).Code == CodeInvalidParameter, "extended after the ownership")
}

func TestTypeResultsAreBounded(t *testing.T) {
	e := New(Config{})
	for i := range 300 {
		e.keepTypeResult(string(rune('a'+i)), ControlResult{})
		e.keepTypeResult("a", ControlResult{Status: Code(i)})
		e.keepTypeResult("A", ControlResult{Status: Code(i)})
	}
	s := e.Snapshot(start).Types
	if len(s) != maxTypeResults || len(s[0].ControlResults) != maxResults || s[0].ControlResults[3].Status != 299 {
		t.Errorf("%d types, %+v", len(s), s[0])
	}
}
