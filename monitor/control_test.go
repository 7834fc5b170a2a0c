// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build envtest

package monitor_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	providerv1 "github.com/understudy-dev/understudy/api/provider/v1"
	"github.com/understudy-dev/understudy/api/v1alpha1"
)

func (p *testProvider) BeginResourceTypeControl(_ context.Context, r *providerv1.BeginResourceTypeControlRequest) (*providerv1.BeginResourceTypeControlResponse, error) {
	p.begun.Add(1)
	p.context.Store(r.GetContext())
	return &providerv1.BeginResourceTypeControlResponse{ReturnedAsynchronously: true}, nil
}

func (p *testProvider) Cancel(context.Context, *providerv1.CancelRequest) (*providerv1.CancelResponse, error) {
	p.cancels.Add(1)
	return &providerv1.CancelResponse{}, nil
}

// Control calls from what people write to what they read: on hosts, types and groups.
//
// Shows: EndTypeControlCall, ExtendControlCall, ExtendResTypeControlCall.
func TestControlCallsOfAllKinds(t *testing.T) {
	w, hosts, g := running(t, "db-1", "db-2")
	p, standby := hosts[0].provider, hosts[1].provider
	live := func(k *v1alpha1.ControlCall) *v1alpha1.ControlCall {
		must(t, api.Get(t.Context(), client.ObjectKeyFromObject(k), k))
		return k
	}

	k := w.outcome(w.call("standby", func(k *v1alpha1.ControlCall) {
		k.Spec.Code, k.Spec.Access, k.Spec.HostName = "0x01800005", v1alpha1.ControlRead, "node-db-2"
	}))
	if reason(k) != v1alpha1.ReasonSucceeded || k.Status.Owner.PodName != "db-2" || standby.begun.Load() != 1 ||
		k.Status.Owner.Epoch != g.Status.Owner.Epoch || *k.Status.BytesReturned != int64(len(k.Status.Output)) {
		t.Errorf("%+v, begun %d times there", k.Status, standby.begun.Load())
	}

	k = w.outcome(w.call("nowhere", func(k *v1alpha1.ControlCall) {
		k.Spec.Code, k.Spec.Access, k.Spec.HostName = "GET_STATE", v1alpha1.ControlRead, "db-9"
	}))
	if reason(k) != v1alpha1.ReasonRefused || *k.Status.StatusCode != 5005 {
		t.Errorf("%+v", k.Status)
	}

	k = w.outcome(w.call("misfit", func(k *v1alpha1.ControlCall) { k.Spec.Code = "COPY" }))
	if reason(k) != v1alpha1.ReasonRefused || *k.Status.StatusCode != 87 || !strings.Contains(k.Status.Message, "spec.input.to") {
		t.Errorf("%+v", k.Status)
	}

	k = w.call("type", func(k *v1alpha1.ControlCall) {
		k.Spec.ResourceName, k.Spec.TypeName, k.Spec.Code, k.Spec.TimeoutMilliseconds = "", "test", "PREPARE", 5000
	})
	wait(t, "the type's begin", func() bool { return p.begun.Load() == 1 })
	first := live(k).Status.DeadlineTime
	r, err := p.monitor().ExtendResTypeControlCall(t.Context(), &providerv1.ExtendResTypeControlCallRequest{
		Context: p.context.Load(), NewTimeoutInMs: 600_000,
	})
	must(t, err)
	if r.GetStatus() != 0 || first == nil {
		t.Errorf("%+v, deadline %v", r, first)
	}
	wait(t, "the deadline", func() bool { return live(k).Status.DeadlineTime.Sub(first.Time) > 500*time.Second })
	wrong, err := p.monitor().EndControlCall(t.Context(), &providerv1.EndControlCallRequest{Context: p.context.Load()})
	must(t, err)
	end, err := p.monitor().EndTypeControlCall(t.Context(), &providerv1.EndTypeControlCallRequest{
		Context: p.context.Load(), Status: 234, BytesReturned: 70000,
	})
	must(t, err)
	k = w.outcome(k)
	if wrong.GetStatus() != 87 || end.GetStatus() != 0 || k.Status.StatusName != "ERROR_MORE_DATA" || *k.Status.BytesReturned != 70000 {
		t.Errorf("%v %v %+v", wrong, end, k.Status)
	}

	k = w.outcome(w.call("group", func(k *v1alpha1.ControlCall) {
		k.Spec.ResourceName, k.Spec.Code, k.Spec.Access, k.Spec.Input = "", "GET_STATE", v1alpha1.ControlRead, nil
	}))
	if k.Status.Output != `{"code":0,"state":"Online"}` {
		t.Errorf("%+v", k.Status)
	}
	w.eventually("the group tells of it", func(g *v1alpha1.ResourceGroup) bool {
		list := g.Status.Owner.ControlResults
		return len(list) == 1 && list[0].Name == k.Name && list[0].Code == "GET_STATE"
	})

	p.async.Store(true)
	k = w.call("deleted", func(*v1alpha1.ControlCall) {})
	wait(t, "its begin", func() bool { return p.begun.Load() == 2 })
	must(t, api.Delete(t.Context(), k))
	wait(t, "Cancel", func() bool { return p.cancels.Load() == 1 })

	k = w.outcome(w.call("fail", func(k *v1alpha1.ControlCall) { k.Spec.Code, k.Spec.Input = "FAIL", nil }))
	if reason(k) != v1alpha1.ReasonSucceeded {
		t.Errorf("%+v", k.Status)
	}
	w.eventually("restarted", func(g *v1alpha1.ResourceGroup) bool {
		return onlineOn("db-1")(g) && last(g).Cause == "SimulatedFailure" && last(g).OnlineTime != nil
	})
}
