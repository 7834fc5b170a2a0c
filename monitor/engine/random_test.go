// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"
)

// TestRandomSchedules runs a thousand schedules in which anything goes wrong,
// and then lets everything behave: it must all come online, and stop.
func TestRandomSchedules(t *testing.T) {
	n := uint64(1000)
	if testing.Short() {
		n = 100
	}
	for seed := range n {
		runSchedule(t, seed)
	}
}

func runSchedule(t *testing.T, seed uint64) uint64 {
	w := newWorld(t, seed)
	w.replan()
	for _, c := range w.conts {
		w.boot(c)
	}
	for range 20 + w.rnd.IntN(40) {
		w.run(time.Duration(w.rnd.IntN(4000)) * ms)
		w.mischief()
	}
	w.heal()
	return w.hash.Sum64()
}

// heal: from now on nothing goes wrong any more.
func (w *world) heal() {
	w.benign = true
	w.run(60 * sec)
	w.replan()
	for _, c := range w.conts {
		if !c.up && !c.gone && !c.killing {
			w.boot(c)
		}
	}
	w.grant(w.epoch + 1)
	w.run(1000 * sec) // longer than RetryPeriodOnFailure
	for _, r := range w.e.Snapshot(w.now).Resources {
		if r.State != Online {
			w.failf("%s is %s, waiting for %s %v", r.Spec.UID, r.State, r.Waiting, r.WaitingFor)
		}
		if !w.cont(r.Spec.Container).running[r.Spec.UID] {
			w.failf("%s is not running", r.Spec.UID)
		}
	}
	for range 3 {
		w.replan() // changes what is live, and nothing else
		w.run(10 * sec)
	}
	for _, r := range w.e.Snapshot(w.now).Resources {
		has, planned := w.cont(r.Spec.Container).props[r.Spec.UID], string(r.Spec.Properties)
		switch p := r.Properties; {
		case r.State != Online:
			w.failf("%s is %s after its properties changed", r.Spec.UID, r.State)
		case takesOver(r.Spec.UID) == CodeSuccess && (p != nil || has != planned):
			w.failf("%s has %s, planned is %s, and the engine says %+v", r.Spec.UID, has, planned, p)
		case (p == nil || p.Reason == ReasonApplied) != (has == planned):
			w.failf("%s has %s, planned is %s, and the engine says %+v", r.Spec.UID, has, planned, p)
		}
	}
	w.proven = 0
	w.revoke(Ordered)
	w.run(60 * sec)
	if w.proven != 1 {
		w.failf("the stop is not proven: %+v", w.e.Snapshot(w.now))
	}
}

func TestSchedulesAreDeterministic(t *testing.T) {
	for seed := range uint64(20) {
		if a, b := runSchedule(t, seed), runSchedule(t, seed); a != b {
			t.Fatalf("seed %d: %x and %x", seed, a, b)
		}
	}
}
