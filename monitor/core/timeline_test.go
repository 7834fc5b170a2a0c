// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"slices"
	"testing"
	"time"

	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
)

func TestTimeline(t *testing.T) {
	r, a := up(t, "a", "b")
	entries := func() []v1alpha1.TimelineEntry { return r.status.Owner.Timeline }
	if e := entries(); len(e) != 1 || e[0].Kind != "Start" || e[0].OnlineTime == nil || e[0].EndpointTime == nil {
		t.Fatalf("%+v", e)
	}
	detected := r.now
	a.signalFailure()
	r.pass(time.Second)
	e := entries()[1]
	if e.Kind != "Restart" || e.ResourceName != "store" || e.Epoch != r.status.Owner.Epoch || e.OnlineTime == nil ||
		e.DetectedTime.Sub(detected.WallTime()) > time.Millisecond {
		t.Errorf("%+v", e)
	}
	// Beyond the threshold: the entry that is open under a is b's to tell.
	a.signalFailure()
	r.pass(time.Second)
	if e := entries(); len(e) != 3 || e[2].Kind != "Failover" || e[2].FromPodName != "a" || e[2].ToPodName != "b" ||
		slices.ContainsFunc(e, func(e v1alpha1.TimelineEntry) bool { return e.OnlineTime == nil }) {
		t.Errorf("%+v", e)
	}
	h := r.status.Owner.History
	if len(h) != 2 || h[0].PodName != "a" || h[0].UntilTime == nil || h[1].PodName != "b" || h[1].UntilTime != nil {
		t.Errorf("%+v", h)
	}
	// Silence.
	b := r.host("b")
	b.stop()
	last := r.now
	r.pass(7 * time.Second)
	e = entries()[len(entries())-1]
	if e.Kind != "Failover" || e.Cause != "OwnerSilent" || e.FromPodName != "b" || e.ToPodName != "a" ||
		e.LastHeardTime == nil || e.LastHeardTime.After(last.WallTime()) {
		t.Errorf("%+v", e)
	}
	if h := r.status.Owner.History; len(h) != 3 || h[1].Reason != "OwnerLost" {
		t.Errorf("%+v", h)
	}
}

// An owner that leaves in order may be gone before it could say so in the status: the
// record says it.
func TestHistoryKnowsWhoLeftInOrder(t *testing.T) {
	r, a := up(t, "a", "b")
	a.outcome = func(w core.Write) core.WriteOutcome {
		if w.Group != nil {
			return core.WriteFailed
		}
		return ""
	}
	a.input(core.Input{Stopping: &core.Stopping{Container: "main"}})
	r.pass(2 * time.Second)
	if h := r.status.Owner.History; len(h) != 2 || h[0].Reason != "Drain" || h[0].UntilTime == nil {
		t.Errorf("%+v", h)
	}
}

// An owner need not have seen its own last word before it owns the group again.
func TestHistoryKnowsWhatWasNotSeenYet(t *testing.T) {
	r, a := up(t, "a")
	a.hold["group"] = true
	epochs := []int64{r.status.Owner.Epoch}
	for range 2 {
		a.cut = true
		r.pass(10 * time.Second)
		a.cut = false
		r.pass(10 * time.Second)
		epochs = append(epochs, r.status.Owner.Epoch)
	}
	var told []int64
	for _, e := range r.status.Owner.History {
		told = append(told, e.Epoch)
	}
	if epochs[1] == epochs[0] || epochs[2] == epochs[1] || !slices.Equal(told, epochs) {
		t.Errorf("the epochs are %v, and the history tells of %v", epochs, told)
	}
}

// What failed long ago and works is not why something else is down.
func TestTimelineBlamesNoOldFailure(t *testing.T) {
	r := newRig(t, "a", "b")
	second := r.plan.Resources[0]
	second.UID, second.Name, second.Dependencies = "u2", "app", [][]string{{"u1"}}
	r.plan.Resources = append(r.plan.Resources, second)
	for _, h := range r.hosts {
		h.start()
	}
	r.pass(time.Second)
	a := r.hosts[0]
	failed := func(uid string) {
		a.input(core.Input{Callback: &engine.Callback{
			ID: 1, Container: "main", Handle: uid, SignalFailure: &engine.SignalFailure{Exited: true},
		}})
		r.pass(time.Second)
	}
	failed("u2")
	r.pass(time.Minute)
	failed("u1")
	e := r.status.Owner.Timeline
	if len(e) != 3 || e[1].ResourceName != "app" || e[2].ResourceName != "store" ||
		e[2].DetectedTime.Sub(e[1].DetectedTime.Time) < time.Minute {
		t.Errorf("%+v", e)
	}
}
