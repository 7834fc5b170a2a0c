// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
)

// The grace period counts from the first request to end, whatever became of the
// monitor that heard it.
func TestGraceCountsOnce(t *testing.T) {
	r, a := up(t, "a", "b")
	a.grace = 60000
	a.hold["Offline"] = true // it takes its time
	a.stop()
	a.start()
	r.pass(2 * time.Second)
	at := r.now
	a.input(core.Input{Stopping: &core.Stopping{Container: "main"}})
	var s core.State
	must(t, json.Unmarshal(a.state, &s))
	if s.Draining.Boot < at.Boot || s.Draining.Boot > r.now.Boot {
		t.Errorf("the journal says %+v", s.Draining)
	}
	// The monitor dies in the middle of the stop, and init says it again to the next one.
	r.pass(2 * time.Second)
	a.stop()
	a.start()
	a.input(core.Input{Stopping: &core.Stopping{Container: "main"}})
	var again core.State
	must(t, json.Unmarshal(a.state, &again))
	if again.Draining != s.Draining {
		t.Errorf("after a restart it counts from %+v, not %+v", again.Draining, s.Draining)
	}
}

// A monitor that was replaced in a pod that lived on does not count from that drain.
func TestGraceOfAnEarlierDrain(t *testing.T) {
	r, a := up(t, "a", "b")
	a.grace = 60000
	a.input(core.Input{Stopping: &core.Stopping{Container: "main"}})
	r.pass(5 * time.Second)
	a.stop()
	a.nonce++
	a.start()
	r.pass(time.Hour)
	r.ask(core.ControlCall{Name: "back", Code: "MOVE"})
	r.pass(20 * time.Second)
	if !a.isOnline() {
		t.Fatalf("%+v", r.status.Owner)
	}
	mark := a.mark()
	a.hold["Offline"] = true
	a.input(core.Input{Stopping: &core.Stopping{Container: "main"}})
	r.pass(time.Second)
	if off, ended := count(a.since(mark), calls(engine.OpOffline)), count(a.since(mark), calls(engine.OpTerminate)); off != 1 || ended != 0 {
		t.Errorf("%d calls of Offline, %d of Terminate, want an orderly stop", off, ended)
	}
}

func TestDrain(t *testing.T) {
	t.Run("asked by its container, it stays until it is asked itself", func(t *testing.T) {
		r, a := up(t, "a", "b")
		a.input(core.Input{Stopping: &core.Stopping{Container: "main"}})
		r.pass(time.Second)
		if a.done || a.connected {
			t.Fatalf("done %v, connected %v", a.done, a.connected)
		}
		if a.end(); !a.done {
			t.Error("does not leave")
		}
	})
	t.Run("a container that comes back begins another life", func(t *testing.T) {
		r, a := up(t, "a", "b")
		a.input(core.Input{Stopping: &core.Stopping{Container: "main"}})
		r.pass(time.Second)
		a.connect()
		if r.run(); !a.done {
			t.Error("the old life goes on")
		}
	})
	t.Run("not before the stop is proven", func(t *testing.T) {
		r, a := up(t, "a", "b")
		a.hold["emptied"] = true
		a.input(core.Input{Stopping: &core.Stopping{Container: "main"}})
		r.pass(20 * time.Second)
		if a.done || r.host("b").isOnline() {
			t.Errorf("done %v, b online %v", a.done, r.host("b").isOnline())
		}
	})
}
