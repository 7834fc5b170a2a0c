// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"testing"
	"time"

	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
	"github.com/understudy-dev/understudy/monitor/ownership"
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

// Also a stop that nobody asked for may end in a release. It waits for the same, within the
// same bound, and keeps the lease meanwhile.
func TestReleaseAfterASelfStopWaitsForWhatIsNotStored(t *testing.T) {
	goes := func(_ *rig, a *host) { a.goes() }
	offline := func(r *rig, _ *host) { r.plan.Online, r.status.PlanRevision = false, "p2" }
	for name, s := range map[string]struct {
		leave            func(*rig, *host)
		outcome          bool // of a control call; else it is a notification
		stopped, refused bool // the stop is proven before that; what is to be stored never is
	}{
		"a notification, asked to go while it stops": {leave: goes},
		"a notification, asked to go when stopped":   {leave: goes, stopped: true},
		"a notification, wanted offline meanwhile":   {leave: offline},
		"an outcome, asked to go while it stops":     {leave: goes, outcome: true},
		"what is refused for ever":                   {leave: goes, refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			r, a := up(t, "a", "b")
			r.pass(2 * time.Second)
			if a.async = s.outcome; s.outcome {
				r.ask(core.ControlCall{Name: "backup", ResourceName: "store", Code: "BACKUP"})
			}
			take := a.fails(func(w core.Write) bool { return ofGroup(w) || outcomes(w) })
			if !s.outcome {
				a.raise("one")
			}
			a.cut, a.hold["Terminate"] = true, true
			for core.RoleOf(a.core) != ownership.SelfStopping {
				r.pass(10 * time.Millisecond)
			}
			if s.outcome {
				a.endsCall()
			}
			if s.stopped {
				a.release("Terminate")
			}
			s.leave(r, a)
			a.heal()
			a.release("Terminate")
			kept, mark := func() bool { return *r.lease.HolderIdentity == "a/uid-a" }, a.mark()
			// Whenever it is taken within the bound, there is a try left for it.
			if r.pass(1650 * time.Millisecond); !kept() {
				t.Fatalf("released with this stored: %q, %+v", r.stored(), r.finish["backup"])
			}
			if count(a.since(mark), isPut) == 0 {
				t.Error("the lease is left to run out")
			}
			if !s.refused {
				take()
			}
			if r.pass(850 * time.Millisecond); kept() {
				t.Error("not released")
			}
			switch {
			case s.outcome:
				r.finished("backup", v1alpha1.ReasonSucceeded)
			case !s.refused:
				r.storedIs("1 a one, last 1")
			}
		})
	}
}

// An outcome that could not be stored for long, so that it is tried seldom, is not forgotten
// when the link heals late in the time that a release waits for it.
func TestOutcomeOfLongAgoIsStoredBeforeTheRelease(t *testing.T) {
	for heals := 100 * time.Millisecond; heals < 1700*time.Millisecond; heals += 200 * time.Millisecond {
		t.Run(heals.String(), func(t *testing.T) {
			r, a := up(t, "a", "b")
			r.pass(2 * time.Second)
			a.async = true
			r.ask(core.ControlCall{Name: "backup", ResourceName: "store", Code: "BACKUP"})
			a.cut, a.hold["Terminate"] = true, true
			a.endsCall()
			for core.RoleOf(a.core) != ownership.SelfStopping {
				r.pass(10 * time.Millisecond)
			}
			a.goes()
			a.release("Terminate")
			r.pass(heals)
			a.heal()
			if r.pass(3 * time.Second); *r.lease.HolderIdentity == "a/uid-a" {
				t.Error("not released")
			}
			r.finished("backup", v1alpha1.ReasonSucceeded)
		})
	}
}

// endsCall is the end of the control call that the provider answered last.
func (h *host) endsCall() {
	h.input(core.Input{Callback: &engine.Callback{
		ID: 9, Container: "main", Handle: "u1", EndControlCall: &engine.EndControlCall{Context: h.lastContext},
	}})
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
