// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build envtest

package monitor_test

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/understudy-dev/understudy/api/v1alpha1"
)

// tune puts other properties in force, of which only "live" is, as the manager would.
func (w *world) tune(generation int64, properties string) {
	w.t.Helper()
	p := &w.plan.Resources[0]
	p.Generation, p.Properties, p.Live = generation, []byte(properties), []string{"live"}
	name := fmt.Sprintf("db-%d", generation)
	w.savePlan(name)
	w.patchStatus(map[string]any{"planRevision": name})
}

// applied waits for the condition that goes with a generation.
func (w *world) applied(generation int64, status metav1.ConditionStatus, reason string) {
	w.t.Helper()
	wait(w.t, fmt.Sprintf("generation %d: %s", generation, reason), func() bool {
		r := &v1alpha1.ClusterResource{}
		must(w.t, api.Get(w.t.Context(), client.ObjectKeyFromObject(w.resource), r))
		c := meta.FindStatusCondition(r.Status.Conditions, v1alpha1.ConditionPropertiesApplied)
		return r.Status.Owner != nil && r.Status.Owner.Generation == generation && c != nil &&
			c.Status == status && c.Reason == reason && c.ObservedGeneration == generation
	})
}

// A change reaches what runs, or waits and says so; restarts of the monitor and
// failovers forget none of it.
func TestPropertiesChange(t *testing.T) {
	w, hosts, _ := running(t, "db-1", "db-2")
	a, b := hosts[0], hosts[1]
	w.applied(1, metav1.ConditionTrue, v1alpha1.ReasonApplied)
	has := func(h *host, properties string) {
		t.Helper()
		if p := h.provider.properties.Load(); p == nil || *p != properties {
			t.Errorf("%s has %v, not %s", h.name, p, properties)
		}
	}

	w.tune(2, `{"live":1}`)
	w.applied(2, metav1.ConditionTrue, v1alpha1.ReasonApplied)
	has(a, `{"live":1}`)

	w.tune(3, `{"live":1,"name":"x"}`)
	w.applied(3, metav1.ConditionFalse, v1alpha1.ReasonNextOnline)
	has(a, `{"live":1}`)

	a.provider.takes.Store(13)
	w.tune(4, `{"live":2}`)
	w.applied(4, metav1.ConditionFalse, v1alpha1.ReasonRefused)
	_ = a.end()
	a.startMonitor()
	w.renewals(1)
	w.applied(4, metav1.ConditionFalse, v1alpha1.ReasonRefused)
	a.provider.takes.Store(0)
	w.tune(5, `{"live":3}`)
	w.applied(5, metav1.ConditionTrue, v1alpha1.ReasonApplied)
	has(a, `{"live":3}`)
	if n := a.provider.sets.Load(); n != 3 || a.provider.onlines.Load() != 1 || a.provider.downs.Load() != 0 {
		t.Errorf("given %d times, online %d times, down %d times", n, a.provider.onlines.Load(), a.provider.downs.Load())
	}

	w.tune(6, `{"live":4,"name":"y"}`)
	w.applied(6, metav1.ConditionFalse, v1alpha1.ReasonNextOnline)
	a.leave()
	w.eventually("online on b", onlineOn("db-2"))
	w.applied(6, metav1.ConditionTrue, v1alpha1.ReasonApplied)
	has(b, `{"live":4,"name":"y"}`)

	w.plan.Online = false
	w.tune(7, `{"live":5}`)
	wait(t, "nothing is said of what does not run", func() bool {
		r := &v1alpha1.ClusterResource{}
		must(t, api.Get(t.Context(), client.ObjectKeyFromObject(w.resource), r))
		return r.Status.Owner.State == v1alpha1.StateOffline &&
			meta.FindStatusCondition(r.Status.Conditions, v1alpha1.ConditionPropertiesApplied) == nil
	})
}
