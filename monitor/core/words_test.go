// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"testing"
	"time"

	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
)

// fails has the API server refuse some writes of a host, until it is told to take them.
func (h *host) fails(which func(core.Write) bool) (take func()) {
	h.outcome = func(w core.Write) core.WriteOutcome {
		if which(w) {
			return core.WriteFailed
		}
		return ""
	}
	return func() { h.outcome = nil }
}

func ofGroup(w core.Write) bool { return w.Group != nil }

func outcomes(w core.Write) bool { return w.Call != nil && w.Call.Finish != nil }

// goes has the host go away with its pod.
func (h *host) goes() {
	h.rig.t.Helper()
	h.input(core.Input{Stopping: &core.Stopping{Container: "main"}})
	h.end()
}

// What only the old owner can tell is stored before another one can be, within a bound.
func TestHandOverWaitsForWhatIsNotStored(t *testing.T) {
	for _, leave := range []struct {
		how string
		do  func(*rig, *host)
	}{
		{"its pod ends", func(_ *rig, a *host) { a.goes() }},
		{"the group is moved", func(r *rig, _ *host) { r.ask(core.ControlCall{Name: "move", Code: "MOVE"}) }},
		{"it fails over", func(r *rig, a *host) { a.signalFailure(); a.signalFailure() }},
	} {
		t.Run("a notification, when "+leave.how, func(t *testing.T) {
			r, a := up(t, "a", "b")
			r.pass(2 * time.Second)
			take := a.fails(ofGroup)
			a.raise("one")
			leave.do(r, a)
			if r.pass(time.Second); r.host("b").isOnline() {
				t.Fatalf("handed over with this stored: %q", r.stored())
			}
			take()
			r.pass(2 * time.Second)
			r.storedIs("1 a one, last 1")
			if !r.host("b").isOnline() {
				t.Error("not handed over")
			}
		})
	}
	t.Run("the outcome of a control call", func(t *testing.T) {
		r, a := up(t, "a", "b")
		take := a.fails(outcomes)
		r.ask(core.ControlCall{Name: "backup", ResourceName: "store", Code: "BACKUP"})
		a.goes()
		r.pass(time.Second)
		take()
		r.pass(2 * time.Second)
		r.finished("backup", v1alpha1.ReasonSucceeded)
	})
	t.Run("no longer than it must", func(t *testing.T) {
		r, a := up(t, "a", "b")
		r.pass(2 * time.Second)
		a.fails(ofGroup)
		a.raise("one")
		a.goes()
		if r.pass(2500 * time.Millisecond); !r.host("b").isOnline() {
			t.Error("a document that is refused keeps the group")
		}
	})
	t.Run("not when the time of the pod is over", func(t *testing.T) {
		r, a := up(t, "a", "b")
		a.grace = 6000
		a.stop()
		a.start()
		r.pass(2 * time.Second)
		a.fails(ofGroup)
		a.raise("one")
		a.hold[string(engine.OpOffline)] = true
		a.goes()
		r.pass(4500 * time.Millisecond) // it terminates after 3 s, which takes one
		if !r.host("b").isOnline() {
			t.Error("it waits until it is killed")
		}
	})
	t.Run("nothing, if there is nothing", func(t *testing.T) {
		r, a := up(t, "a", "b")
		a.fails(ofGroup)
		a.goes()
		if r.pass(100 * time.Millisecond); !r.host("b").isOnline() {
			t.Error("it waits")
		}
	})
}

// The last word of a host that goes away is stored before its monitor ends, within a bound.
func TestEndWaitsForTheLastWord(t *testing.T) {
	r, a := up(t, "a")
	r.pass(2 * time.Second)
	take := a.fails(ofGroup)
	a.goes()
	if r.pass(time.Second); a.done {
		t.Fatalf("ended with this stored: %+v", r.status.Owner)
	}
	take()
	if r.pass(time.Second); !a.done || !r.status.Owner.Released || r.status.Owner.State != v1alpha1.GroupOffline {
		t.Errorf("done %v, stored: %+v", a.done, r.status.Owner)
	}

	r, a = up(t, "a")
	a.fails(ofGroup)
	a.goes()
	if r.pass(2500 * time.Millisecond); !a.done {
		t.Error("a document that is refused keeps it from ending")
	}
}

// A monitor that is replaced waits until the outcome of a call is stored.
func TestReplacedMonitorStoresOutcomes(t *testing.T) {
	r, a := up(t, "a", "b")
	take := a.fails(outcomes)
	r.ask(core.ControlCall{Name: "cancel", Code: "CANCEL"}) // core's own: no journal has it
	a.end()
	if r.pass(5 * time.Second); a.done {
		t.Fatal("it leaves with an outcome that nobody else knows")
	}
	take()
	r.pass(5 * time.Second)
	r.finished("cancel", v1alpha1.ReasonFailed)
	if !a.done {
		t.Error("it does not leave")
	}
}
