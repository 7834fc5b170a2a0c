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

// askBy makes a call that may be claimed for so long.
func (r *rig) askBy(name string, d time.Duration) {
	r.t.Helper()
	r.ask(core.ControlCall{
		Name: name, ResourceName: "store", Code: "BACKUP", StartBy: r.now.Add(d).WallTime(),
	})
}

func claims(w core.Write) bool { return w.Call != nil && w.Call.Finish == nil }

// What nobody claimed in its time is never run; what was claimed is.
func TestCallsThatMustStartInTime(t *testing.T) {
	runs := calls(engine.OpBeginResourceControl)
	t.Run("in time", func(t *testing.T) {
		r, a := up(t, "a")
		a.async = true
		r.askBy("backup", time.Second)
		r.pass(10 * time.Second)
		if count(a.effects, runs) != 1 || r.finish["backup"] != nil {
			t.Errorf("run %d times, %+v", count(a.effects, runs), r.finish["backup"])
		}
	})
	t.Run("nobody was there", func(t *testing.T) {
		r, a := up(t, "a")
		a.stop()
		r.askBy("soon", time.Second)
		r.askBy("later", time.Minute)
		r.pass(5 * time.Second)
		a.start()
		r.pass(15 * time.Second)
		f := r.finished("soon", v1alpha1.ReasonNotStarted)
		if f.StatusCode != 5910 || r.calls["soon"].Start != (time.Time{}) {
			t.Errorf("%+v, %+v", f, r.calls["soon"])
		}
		r.finished("later", v1alpha1.ReasonSucceeded)
		if n := count(a.effects, runs); n != 1 {
			t.Errorf("%d calls are run", n)
		}
	})
	for _, stored := range []bool{false, true} {
		t.Run("the claim is not known to be stored", func(t *testing.T) {
			r, a := up(t, "a")
			take := a.fails(func(w core.Write) bool {
				if claims(w) && stored {
					r.calls[w.Call.Name].Owner = &w.Call.Owner
				}
				return w.Call != nil
			})
			r.askBy("backup", 3*time.Second)
			if r.pass(2 * time.Second); r.finish["backup"] != nil {
				t.Fatalf("%+v before its time is over", r.finish["backup"])
			}
			r.pass(5 * time.Second)
			if waiting := a.core.State(r.now).Engine.Controls; len(waiting) != 0 {
				t.Errorf("stored %v: %+v", stored, waiting)
			}
			take()
			r.pass(5 * time.Second)
			if r.finished("backup", v1alpha1.ReasonNotStarted); count(a.effects, runs) != 0 {
				t.Errorf("stored %v: it is run", stored)
			}
			r.askBy("next", time.Minute)
			r.finished("next", v1alpha1.ReasonSucceeded)
		})
	}
	t.Run("one that runs, and is not seen to be claimed, is left alone", func(t *testing.T) {
		r, a := up(t, "a")
		a.async = true
		r.askBy("backup", 3*time.Second)
		old := *r.calls["backup"]
		old.Owner = nil
		a.input(core.Input{ControlCall: &old})
		a.fails(claims)
		r.pass(4 * time.Second)
		a.input(core.Input{Callback: &engine.Callback{ID: 9, Container: "main", ExtendControlCall: &engine.ExtendControlCall{
			Context: a.lastContext, Timeout: 90 * time.Second,
		}}})
		if r.pass(5 * time.Second); r.finish["backup"] != nil {
			t.Errorf("%+v", r.finish["backup"])
		}
	})
	for _, first := range []string{"answer", "watch"} {
		t.Run("another host has claimed it; first comes the "+first, func(t *testing.T) {
			r, a := up(t, "a")
			a.fails(func(w core.Write) bool {
				a.hold["write"] = outcomes(w) && first == "watch"
				return claims(w)
			})
			r.askBy("backup", time.Second)
			r.calls["backup"].Owner = &v1alpha1.ControlCallOwner{Epoch: 1, PodUID: "uid-z", PodName: "z"}
			if r.pass(5 * time.Second); r.finish["backup"] != nil {
				t.Fatalf("%+v over the head of its claimer", r.finish["backup"])
			}
			r.tellCall("backup")
			r.run()
			a.releaseWrites()
			r.finished("backup", v1alpha1.ReasonOutcomeUnknown)
		})
	}
}
