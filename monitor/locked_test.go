// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build envtest

package monitor_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	providerv1 "github.com/understudy-dev/understudy/api/provider/v1"
	"github.com/understudy-dev/understudy/api/v1alpha1"
)

func (w *world) store() *v1alpha1.ClusterResource {
	w.t.Helper()
	r := &v1alpha1.ClusterResource{}
	must(w.t, api.Get(w.t.Context(), client.ObjectKeyFromObject(w.resource), r))
	return r
}

// Locked mode, from a call of the provider to what a person reads: and no move, nor
// going offline, until it ends.
//
// Shows: SetResourceLockedMode, SetResourceLockedModeEx.
func TestLockedMode(t *testing.T) {
	w, hosts, _ := running(t, "db-1", "db-2")
	p := hosts[0].provider
	handle := string(w.resource.UID)
	locked := func(list []metav1.Condition) bool { return meta.IsStatusConditionTrue(list, v1alpha1.ConditionLocked) }
	lock := func(enabled bool) {
		t.Helper()
		r, err := p.monitor().SetResourceLockedModeEx(t.Context(), &providerv1.SetResourceLockedModeExRequest{
			ResourceHandle: handle, LockedModeEnabled: enabled, LockedModeReason: 7,
		})
		must(t, err)
		if r.GetStatus() != 0 {
			t.Fatalf("locked mode %v: %d", enabled, r.GetStatus())
		}
	}
	move := func(k *v1alpha1.ControlCall) {
		k.Spec.ResourceName, k.Spec.Code, k.Spec.Input = "", v1alpha1.CodeMove, nil
	}

	if r, err := hosts[1].provider.monitor().SetResourceLockedMode(t.Context(), &providerv1.SetResourceLockedModeRequest{
		ResourceHandle: handle, LockedModeEnabled: true,
	}); err != nil || r.GetStatus() != 5023 {
		t.Errorf("on a standby: %v, %v", r, err)
	}
	lock(true)
	wait(t, "the lock is shown", func() bool {
		s := w.store().Status
		m := s.Owner.LockedMode
		return m != nil && m.Locked && m.Reason == 7 && !m.Time.IsZero() && s.Owner.StatusInformation == 1 && locked(s.Conditions)
	})
	w.eventually("and of the group", func(g *v1alpha1.ResourceGroup) bool {
		return locked(g.Status.Conditions) && g.Status.Owner.StatusInformation == 1
	})

	k := w.outcome(w.call("refused", move))
	if reason(k) != v1alpha1.ReasonRefused || *k.Status.StatusCode != 5960 || !strings.Contains(k.Status.Message, "store is in locked mode") {
		t.Errorf("%+v", k.Status)
	}
	w.plan.Resources[0].Online = false
	w.tune(2, `{}`)
	wait(t, "refused", func() bool {
		o := w.store().Status.Owner
		return o.Reason == v1alpha1.ReasonLocked && o.LastOperationStatusCode == 5960 && o.State == v1alpha1.StateOnline
	})
	w.plan.Resources[0].Online = true
	w.tune(3, `{}`)

	k = w.call("queued", func(k *v1alpha1.ControlCall) { move(k); k.Spec.Queue = true })
	wait(t, "it waits", func() bool {
		must(t, api.Get(t.Context(), client.ObjectKeyFromObject(k), k))
		c := meta.FindStatusCondition(k.Status.Conditions, v1alpha1.ConditionFinished)
		return c != nil && c.Status == metav1.ConditionFalse && c.Reason == v1alpha1.ReasonQueued && strings.Contains(c.Message, "store")
	})
	_ = hosts[0].end()
	hosts[0].startMonitor()
	w.renewals(1)
	if p.downs.Load() != 0 || !p.online.Load() {
		t.Error("went down while it was locked")
	}
	lock(false)
	if k = w.outcome(k); reason(k) != v1alpha1.ReasonSucceeded {
		t.Errorf("%+v", k.Status)
	}
	w.eventually("online on b, unlocked", func(g *v1alpha1.ResourceGroup) bool {
		return onlineOn("db-2")(g) && meta.FindStatusCondition(g.Status.Conditions, v1alpha1.ConditionLocked) == nil
	})
	wait(t, "no lock is left", func() bool {
		s := w.store().Status
		return s.Owner.LockedMode == nil && meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionLocked) == nil
	})
}

// A lost network, from a call of the provider to another host.
//
// Shows: SignalFailure.
func TestNetworkLoss(t *testing.T) {
	w, hosts, _ := running(t, "db-1", "db-2")
	p := hosts[0].provider
	p.dead.Store(true)
	r, err := p.monitor().SignalFailure(t.Context(), &providerv1.SignalFailureRequest{
		ResourceHandle: string(w.resource.UID), FailureType: providerv1.FailureType_FAILURE_TYPE_NETWORK_LOSS,
		ApplicationSpecificErrorCode: 9,
	})
	if err != nil || r.GetStatus() != 0 {
		t.Fatalf("%v, %v", r, err)
	}
	g := w.eventually("online on b", onlineOn("db-2"))
	if e := last(g); e.Kind != "Failover" || e.Cause != "NetworkLoss" || e.ResourceName != "store" {
		t.Errorf("%+v", e)
	}
}
