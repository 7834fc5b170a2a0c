// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"testing"
	"time"

	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
	"github.com/understudy-dev/understudy/monitor/ownership"
)

// A journal that is a step behind a guard says nothing of what runs under that guard.
func TestStaleJournal(t *testing.T) {
	for _, dumb := range []bool{false, true} {
		r, a := up(t, "a", "b")
		a.dumb = dumb
		old := a.state
		a.kill() // a new life of the container, and online again in it
		r.run()
		r.pass(100 * time.Millisecond)
		a.stop()
		a.state = old
		mark := a.mark()
		a.start()
		r.pass(1500 * time.Millisecond)
		if n := count(a.since(mark), isKill); n != 1 || !a.isOnline() {
			t.Errorf("dumb %t: killed %d times, online %t; want what is unknown killed, and started anew", dumb, n, a.isOnline())
		}
		// The same, and the order to kill is lost with the connection.
		a.stop()
		a.state = old
		mark = a.mark()
		a.hold["kill"] = true
		a.start()
		a.input(core.Input{InitGone: &core.InitGone{Container: "main", Cut: true}})
		a.hold["kill"] = false
		a.connect()
		r.run()
		r.pass(1500 * time.Millisecond)
		if n := count(a.since(mark), isKill); n != 2 || !a.isOnline() {
			t.Errorf("dumb %t: killed %d times, online %t; want the kill repeated", dumb, n, a.isOnline())
		}
	}
}

// Online waits for the journal, which then knows of the tenure in which it was asked for.
func TestOnlineIsInTheJournal(t *testing.T) {
	_, a := up(t, "a", "b")
	barrier := false
	for _, e := range a.effects {
		if e.Journal != nil {
			barrier = e.Journal.Barrier
		}
		if e.Call != nil && e.Call.Op == engine.OpOnline && !barrier {
			t.Error("Online does not wait for the journal")
		}
	}
}

func TestMonitorRestart(t *testing.T) {
	quiet := func(e core.Effect) bool {
		return e.Kill != nil || e.Call != nil && (e.Call.Op == engine.OpOnline ||
			e.Call.Op == engine.OpOffline || e.Call.Op == engine.OpTerminate)
	}
	t.Run("the same epoch goes on, as often as you like", func(t *testing.T) {
		r, a := up(t, "a", "b")
		epoch, story := r.status.Owner.Epoch, asJSON(t, r.status.Owner.Timeline)
		mark := a.mark()
		a.hold["plan"] = true // the last accepted one is in the journal
		for range 5 {
			a.stop()
			r.pass(300 * time.Millisecond)
			a.start()
			r.pass(700 * time.Millisecond)
		}
		r.pass(10 * time.Second)
		if n := count(a.since(mark), quiet); n != 0 || !a.isOnline() || r.status.Owner.Epoch != epoch {
			t.Errorf("%d calls or kills, online %v, epoch %d after %d", n, a.isOnline(), r.status.Owner.Epoch, epoch)
		}
		if e := asJSON(t, r.status.Owner.Timeline); e != story {
			t.Errorf("%s, before %s", e, story)
		}
		a.signalFailure()
		r.pass(time.Second)
		if e := r.status.Owner.Timeline; len(e) != 2 || e[1].Kind != "Restart" || !a.isOnline() {
			t.Errorf("%+v", e)
		}
	})
	for name, between := range map[string]func(r *rig, a *host){
		"taken by another meanwhile": func(r *rig, _ *host) {
			r.takeAway()
		},
		"guard expired": func(r *rig, _ *host) {
			r.hosts[1].stop()
			r.pass(6 * time.Second)
		},
		"state folder erased": func(_ *rig, a *host) { a.state = nil },
	} {
		t.Run(name, func(t *testing.T) {
			r, a := up(t, "a", "b")
			a.stop()
			between(r, a)
			a.start()
			r.pass(100 * time.Millisecond)
			if a.isOnline() {
				t.Fatal("it goes on")
			}
			r.pass(100 * time.Millisecond)
			for i, e := range a.effects[max(0, len(a.effects)-200):] {
				if e.Put != nil && e.Put.Record.Epoch == r.status.Owner.Epoch && e.Put.Record.Inc == "a-1" {
					t.Errorf("effect %d renews what is not its own", i)
				}
			}
		})
	}
	t.Run("without a journal nothing is proven before init proves it", func(t *testing.T) {
		r, a := up(t, "a")
		a.stop()
		a.state = nil
		a.hold["emptied"], a.hold["kill"] = true, true
		a.start()
		r.pass(4 * time.Second) // less than the guard of before
		if s := core.RoleOf(a.core); s != ownership.Clearing {
			t.Fatalf("role %s", s)
		}
		a.hold["kill"] = false
		a.kill()
		a.release("emptied")
		if s := core.RoleOf(a.core); s != ownership.Observer {
			t.Fatalf("role %s", s)
		}
	})
}
