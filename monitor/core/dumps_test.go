// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"testing"
	"time"

	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
)

func (h *host) uid() string { return h.rig.plan.Resources[0].UID }

func dumps(e core.Effect) bool { return e.Dump != nil }

// What was registered and dumped is told, also after the monitor's life.
// Shows: ChangeResourceProcessForDumps, RequestDump.
func TestDumpIsTold(t *testing.T) {
	r, a := up(t, "a", "b")
	mark := a.mark()
	a.callback(engine.Callback{ChangeProcessForDumps: &engine.ChangeProcessForDumps{Name: "db", PID: 7, Add: true}})
	a.callback(engine.Callback{ChangeProcessForDumps: &engine.ChangeProcessForDumps{Name: "any", Add: true}})
	a.callback(engine.Callback{RequestDump: &engine.RequestDump{}})
	r.pass(2 * time.Second)
	if n := count(a.since(mark), dumps); n != 1 {
		t.Fatalf("%d dumps", n)
	}
	d, _ := a.told()
	p, l := d.Owner.DumpProcesses, d.Owner.LastDump
	if len(p) != 2 || p[0].Name != "db" || *p[0].ProcessID != 7 || *p[1].ProcessID != 0 {
		t.Errorf("%+v", p)
	}
	if l == nil || l.Reason != "DumpRequested" || l.Name != "" || l.Message != "it is being collected" || l.Time.IsZero() {
		t.Errorf("%+v", l)
	}

	a.stop()
	a.start()
	r.pass(time.Second)
	a.input(core.Input{Dumped: &engine.Dumped{Container: "main", Resource: a.uid(), File: "f.txt", Bytes: 9, Message: "cut"}})
	r.pass(2 * time.Second)
	d, _ = a.told()
	if l := d.Owner.LastDump; l == nil || l.Name != "f.txt" || l.Bytes != 9 || l.Message != "cut" || len(d.Owner.DumpProcesses) != 2 {
		t.Errorf("%+v", d.Owner)
	}
}

// A provider that hangs is dumped, and then killed, by an order that waits for the dump.
// What ownership kills does not wait.
func TestDeadlockDumpsFirst(t *testing.T) {
	r, a := up(t, "a", "b")
	a.hold["BeginResourceControl"] = true
	mark := a.mark()
	r.tune(2, `{"live":1}`)
	r.pass(12 * time.Second)
	var order []string
	for _, e := range a.since(mark) {
		switch {
		case e.Dump != nil:
			order = append(order, "dump "+string(e.Dump.Reason))
		case e.Kill != nil && e.Kill.AfterDump:
			order = append(order, "kill after it")
		case e.Kill != nil:
			order = append(order, "kill")
		}
	}
	if len(order) < 2 || order[0] != "dump Deadlock" || order[1] != "kill after it" {
		t.Fatalf("%v", order)
	}

	r, a = up(t, "a", "b")
	a.callback(engine.Callback{RequestDump: &engine.RequestDump{}})
	mark = a.mark()
	r.takeAway()
	r.run()
	kills := count(a.since(mark), func(e core.Effect) bool { return e.Kill != nil })
	waiting := count(a.since(mark), func(e core.Effect) bool { return e.Kill != nil && e.Kill.AfterDump })
	if kills == 0 || waiting != 0 {
		t.Errorf("%d kills, %d of them wait for a dump, after the group was lost", kills, waiting)
	}
}

// The policy of the type reaches the engine.
func TestDumpPolicyOfThePlan(t *testing.T) {
	for _, policy := range []*planv1.DumpPolicy{nil, {OnFailure: true, CoreFiles: true}} {
		r, a := up(t, "a", "b")
		r.plan.Resources[0].DumpPolicy = policy
		r.tune(2, `{}`)
		mark := a.mark()
		a.signalFailure()
		r.run()
		n := count(a.since(mark), func(e core.Effect) bool { return e.Dump != nil && e.Dump.Core })
		if want := map[bool]int{true: 1}[policy != nil]; n != want {
			t.Errorf("%+v: %d dumps", policy, n)
		}
	}
}
