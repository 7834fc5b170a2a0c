// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/understudy-dev/understudy/monitor/instant"
)

// rig drives an engine in virtual time and keeps what it asked for. It checks
// with every step what must hold at any time.
type rig struct {
	t      *testing.T
	e      *Engine
	now    instant.Instant
	armed  int64
	last   []Action // of the last send, with the timers that it let pass
	calls  []Call   // not returned yet
	nextCB uint64
	need   Need
	proven int
	record []string // JSON of every input and its actions
}

const (
	ms  = time.Millisecond
	sec = time.Second
)

var start = instant.Instant{Boot: 1_000 * int64(sec), Raw: 900 * int64(sec), Wall: 1_700_000_000 * int64(sec)}

func newRig(t *testing.T) *rig {
	return &rig{t: t, e: New(Config{}), now: start}
}

// res is a resource with short, round numbers.
func res(uid string, deps ...string) Resource {
	r := Resource{
		UID: uid, Name: uid, TypeName: "test", Container: "c", Generation: 1,
		PendingTimeout: 10 * sec, DeadlockTimeout: 60 * sec, TerminateTimeout: sec,
		LooksAliveInterval: 5 * sec, IsAliveInterval: 30 * sec,
		RestartAction: RestartNotify, RestartThreshold: 1, RestartPeriod: 900 * sec,
		RestartDelay: 500 * ms, RetryPeriodOnFailure: 3600 * sec,
	}
	for _, d := range deps {
		r.Dependencies = append(r.Dependencies, strings.Split(d, "|"))
	}
	return r
}

func with(r Resource, f func(*Resource)) Resource { f(&r); return r }

// send steps once, at the present.
func (g *rig) send(ev Event) []Action {
	g.t.Helper()
	out := g.e.Step(g.now, ev)
	in, err := json.Marshal(ev)
	if err != nil {
		g.t.Fatal(err)
	}
	acts, err := json.Marshal(out)
	if err != nil {
		g.t.Fatal(err)
	}
	g.record = append(g.record, fmt.Sprintf("%d %s -> %s", g.now.Boot-start.Boot, in, acts))
	g.take(out)
	g.last = out
	return out
}

func (g *rig) take(out []Action) {
	g.t.Helper()
	for _, a := range out {
		switch {
		case a.Call != nil:
			g.checkCall(*a.Call)
			g.calls = append(g.calls, *a.Call)
		case a.Restart != nil:
			// What is killed does not answer any more.
			g.calls = slices.DeleteFunc(g.calls, func(c Call) bool { return c.Container == a.Restart.Container })
		case a.Arm != nil:
			g.armed = a.Arm.At
			if g.armed != 0 && g.armed <= g.now.Boot {
				g.t.Fatalf("armed in the past: %d", g.armed-g.now.Boot)
			}
		case a.Need != nil:
			g.need = *a.Need
		case a.Proven != nil:
			g.proven++
		}
	}
}

func stateChanging(o Op) bool {
	return o == OpOpen || o == OpOnline || o == OpOffline || o == OpClose || o == OpArbitrate || o == OpRelease
}

func (g *rig) checkCall(c Call) {
	g.t.Helper()
	if c.Deadline <= g.now.Boot {
		g.t.Fatalf("call %+v has no deadline", c)
	}
	for _, o := range g.calls {
		if o.Resource != c.Resource {
			continue
		}
		if stateChanging(o.Op) && stateChanging(c.Op) {
			g.t.Fatalf("%s of %s while %s is in flight", c.Op, c.Resource, o.Op)
		}
		if o.Op == OpTerminate && (c.Op == OpTerminate || stateChanging(c.Op)) {
			g.t.Fatalf("%s of %s while Terminate is in flight", c.Op, c.Resource)
		}
		if c.Op == OpTerminate && (o.Op == OpOpen || o.Op == OpClose) {
			g.t.Fatalf("Terminate of %s overlaps %s", c.Resource, o.Op)
		}
	}
}

// pass lets d go by, with a Timer whenever one is due.
func (g *rig) pass(d time.Duration) []Action {
	g.t.Helper()
	end := g.now.Boot + int64(d)
	var all []Action
	for n := 0; g.armed != 0 && g.armed <= end; n++ {
		if n > 100_000 {
			g.t.Fatal("the timer never rests")
		}
		g.now = g.now.Add(time.Duration(g.armed - g.now.Boot))
		g.armed = 0
		all = append(all, g.send(Event{Timer: &Timer{}})...)
	}
	g.now = g.now.Add(time.Duration(end - g.now.Boot))
	g.last = all
	return all
}

// call is the one call in flight with that op and resource.
func (g *rig) call(op Op, uid string) *Call {
	for i := range g.calls {
		if g.calls[i].Op == op && g.calls[i].Resource == uid {
			return &g.calls[i]
		}
	}
	return nil
}

// answer answers the oldest such call.
func (g *rig) answer(op Op, uid string, a Returned) []Action {
	g.t.Helper()
	c := g.call(op, uid)
	if c == nil {
		g.t.Fatalf("no %s of %s in flight, but %v", op, uid, g.inFlight())
	}
	a.Call = c.ID
	g.calls = slices.DeleteFunc(g.calls, func(x Call) bool { return x.ID == a.Call })
	return g.send(Event{Returned: &a})
}

// ok answers with success.
func (g *rig) ok(op Op, uid string) []Action {
	g.t.Helper()
	return g.answer(op, uid, Returned{Alive: true})
}

func (g *rig) inFlight() []string {
	var s []string
	for _, c := range g.calls {
		s = append(s, string(c.Op)+" "+c.Resource)
	}
	slices.Sort(s)
	return s
}

// flying checks what is in flight, as "Op uid", sorted.
func (g *rig) flying(want ...string) {
	g.t.Helper()
	slices.Sort(want)
	if got := g.inFlight(); !slices.Equal(got, want) {
		g.t.Fatalf("in flight %v, want %v", got, want)
	}
}

func (g *rig) plan(rs ...Resource) []Action {
	g.t.Helper()
	return g.send(Event{PlanChanged: &PlanChanged{Plan: Plan{Revision: "p", Resources: rs}}})
}

func (g *rig) up(c, nonce string) []Action {
	g.t.Helper()
	return g.send(Event{ProviderUp: &ProviderUp{Container: c, Nonce: nonce}})
}

func (g *rig) grant(epoch int64) []Action {
	g.t.Helper()
	return g.send(Event{Granted: &Granted{Epoch: epoch}})
}

func (g *rig) guard(c string, epoch int64) []Action {
	g.t.Helper()
	return g.send(Event{Guarded: &Guarded{Container: c, Epoch: epoch}})
}

func (g *rig) revoke(m RevokeMode) []Action {
	g.t.Helper()
	return g.send(Event{Revoked: &Revoked{Mode: m}})
}

func (g *rig) empty(c, nonce string) []Action {
	g.t.Helper()
	g.calls = slices.DeleteFunc(g.calls, func(x Call) bool { return x.Container == c })
	return g.send(Event{Emptied: &Emptied{Container: c, Nonce: nonce}})
}

// openAll answers every Open with "offline".
func (g *rig) openAll() {
	g.t.Helper()
	for {
		i := slices.IndexFunc(g.calls, func(c Call) bool { return c.Op == OpOpen })
		if i < 0 {
			return
		}
		g.ok(OpOpen, g.calls[i].Resource)
	}
}

// ready has the resources planned, opened, granted and guarded under epoch 1.
func ready(t *testing.T, rs ...Resource) *rig {
	t.Helper()
	g := newRig(t)
	g.plan(rs...)
	var names []string
	for _, r := range rs {
		if !slices.Contains(names, r.Container) {
			names = append(names, r.Container)
		}
	}
	for _, c := range names {
		g.up(c, c+"1")
	}
	g.openAll()
	g.grant(1)
	for _, c := range names {
		g.guard(c, 1)
	}
	return g
}

// online has them all online.
func online(t *testing.T, rs ...Resource) *rig {
	t.Helper()
	g := ready(t, rs...)
	g.onlineAll()
	for _, r := range rs {
		if r.DesiredState != DesiredOffline {
			g.is(r.UID, Online)
		}
	}
	return g
}

func (g *rig) onlineAll() {
	g.t.Helper()
	for {
		i := slices.IndexFunc(g.calls, func(c Call) bool { return c.Op == OpOnline })
		if i < 0 {
			return
		}
		g.ok(OpOnline, g.calls[i].Resource)
	}
}

func (g *rig) snap(uid string) ResourceSnapshot {
	g.t.Helper()
	for _, r := range g.e.Snapshot(g.now).Resources {
		if r.Spec.UID == uid {
			return r
		}
	}
	g.t.Fatalf("no resource %s", uid)
	return ResourceSnapshot{}
}

func (g *rig) is(uid string, want State) {
	g.t.Helper()
	if got := g.snap(uid).State; got != want {
		g.t.Fatalf("%s is %s, want %s", uid, got, want)
	}
}

func (g *rig) waits(uid string, want Reason, who ...string) {
	g.t.Helper()
	s := g.snap(uid)
	if s.Waiting != want || !slices.Equal(s.WaitingFor, who) {
		g.t.Fatalf("%s waits for %q %v, want %q %v", uid, s.Waiting, s.WaitingFor, want, who)
	}
}

// status is the callback SetResourceStatusEx; it returns the reply.
func (g *rig) status(uid string, state int32, checkPoint uint32) Reply {
	g.t.Helper()
	return g.cb(Callback{Container: g.containerOf(uid), Handle: uid,
		SetResourceStatus: &SetResourceStatus{Ex: true, State: state, CheckPoint: checkPoint}})
}

func (g *rig) signal(uid string, exited bool) Reply {
	g.t.Helper()
	return g.cb(Callback{Container: g.containerOf(uid), Handle: uid, SignalFailure: &SignalFailure{Exited: exited}})
}

func (g *rig) containerOf(uid string) string {
	if r := g.e.find(uid); r != nil {
		return r.c.name
	}
	return "c"
}

func (g *rig) cb(cb Callback) Reply {
	g.t.Helper()
	g.nextCB++
	cb.ID = g.nextCB
	g.send(Event{Callback: &cb})
	for _, a := range g.last {
		if a.Reply != nil && a.Reply.ID == cb.ID {
			return *a.Reply
		}
	}
	g.t.Fatalf("no reply to %+v", cb)
	return Reply{}
}

// exit is how a program ends by itself, with Terminate answered.
func (g *rig) exit(uid string) {
	g.t.Helper()
	g.signal(uid, true)
	g.is(uid, Failed)
	g.ok(OpTerminate, uid)
}

func (g *rig) restarts() []Restart {
	var rs []Restart
	for _, a := range g.last {
		if a.Restart != nil {
			rs = append(rs, *a.Restart)
		}
	}
	return rs
}

func (g *rig) noted(why Reason) bool {
	return slices.ContainsFunc(g.last, func(a Action) bool { return a.Note != nil && a.Note.Reason == why })
}

func (g *rig) finished(id string) *Finish {
	for _, a := range g.last {
		if a.Finish != nil && a.Finish.ID == id {
			return a.Finish
		}
	}
	return nil
}

func (g *rig) want(cond bool, format string, args ...any) {
	g.t.Helper()
	if !cond {
		g.t.Fatalf(format+"\n%s", append(args, strings.Join(g.record[max(0, len(g.record)-12):], "\n"))...)
	}
}
