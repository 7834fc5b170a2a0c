// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build envtest

package monitor_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	providerv1 "github.com/understudy-dev/understudy/api/provider/v1"
	"github.com/understudy-dev/understudy/api/v1alpha1"
)

// reported waits for what the status says of the resource.
func (w *world) reported(what string, ok func(*v1alpha1.ClusterResource) bool) {
	w.t.Helper()
	wait(w.t, what, func() bool {
		r := &v1alpha1.ClusterResource{}
		must(w.t, api.Get(w.t.Context(), client.ObjectKeyFromObject(w.resource), r))
		return r.Status.Owner != nil && ok(r)
	})
}

// raise raises a notification until it is taken, or refused for good.
func (h *host) raise(m providerv1.MonitorServiceClient, payload string) {
	h.w.t.Helper()
	status := uint32(5909)
	wait(h.w.t, "taken: "+payload, func() bool {
		r, err := m.RaiseResTypeNotification(h.w.t.Context(), &providerv1.RaiseResTypeNotificationRequest{
			ResourceType: "test", Payload: []byte(payload),
		})
		if err == nil {
			status = r.GetStatus()
		}
		return status != 5909
	})
	if status != 0 {
		h.w.t.Fatalf("%s is answered %d", payload, status)
	}
}

// watcher follows the notifications of a group by their numbers.
type watcher struct {
	mu   sync.Mutex
	seen []string
	last int64
	gap  bool
}

func (x *watcher) take(g *v1alpha1.ResourceGroup) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, t := range g.Status.Types {
		for _, n := range t.Notifications {
			if n.Sequence > x.last {
				x.gap = x.gap || n.Sequence != x.last+1
				x.last = n.Sequence
				x.seen = append(x.seen, string(n.Payload))
			}
		}
	}
}

func (w *world) watch() *watcher {
	w.t.Helper()
	with, err := client.NewWithWatch(restConfig, client.Options{Scheme: api.Scheme()})
	must(w.t, err)
	events, err := with.Watch(w.t.Context(), &v1alpha1.ResourceGroupList{}, client.InNamespace(w.namespace))
	must(w.t, err)
	x, done := &watcher{}, make(chan struct{})
	go func() {
		defer close(done)
		for e := range events.ResultChan() {
			if g, ok := e.Object.(*v1alpha1.ResourceGroup); ok && e.Type != watch.Deleted {
				x.take(g)
			}
		}
	}()
	w.t.Cleanup(func() {
		events.Stop()
		<-done
	})
	return x
}

// Each notification is seen by a watcher once, in order: through kills of the monitor right
// after the answer, and a failover.
// Shows: RaiseResTypeNotification.
func TestNotificationsAreSeenOnce(t *testing.T) {
	w, hosts, _ := running(t, "db-1", "db-2")
	x := w.watch()
	var want []string
	raise := func(h *host, n int) {
		t.Helper()
		m := h.provider.monitor()
		for range n {
			payload := fmt.Sprint("n", len(want))
			want = append(want, payload)
			h.raise(m, payload)
		}
	}
	a, b := hosts[0], hosts[1]
	raise(a, 20) // more than wait at once
	for range 3 {
		raise(a, 2)
		_ = a.end()
		a.startMonitor()
		w.renewals(1)
	}
	a.leave()
	w.eventually("online on b", onlineOn("db-2"))
	raise(b, 3)
	w.eventually("all stored", func(g *v1alpha1.ResourceGroup) bool {
		return len(g.Status.Types) == 1 && g.Status.Types[0].LastSequence >= int64(len(want))
	})
	wait(t, "all seen", func() bool {
		x.mu.Lock()
		defer x.mu.Unlock()
		return x.last >= int64(len(want))
	})
	x.mu.Lock()
	defer x.mu.Unlock()
	if fmt.Sprint(x.seen) != fmt.Sprint(want) || x.gap {
		t.Errorf("seen %v, gap %t, want %v", x.seen, x.gap, want)
	}
}

// What a provider reports of its resource is in the status; it outlives the monitor, and
// not the owner.
// Shows: SetInternalState, SetResourceInMemoryNodeLocalProperties.
func TestReportsReachTheStatus(t *testing.T) {
	w, hosts, _ := running(t, "db-1", "db-2")
	a := hosts[0]
	handle, m := string(w.resource.UID), a.provider.monitor()
	internal := func(s providerv1.ApplicationState, active bool) {
		t.Helper()
		r, err := m.SetInternalState(t.Context(), &providerv1.SetInternalStateRequest{
			ResourceHandle: handle, StateType: s, Active: active,
		})
		if err != nil || r.GetStatus() != 0 {
			t.Fatal(r, err)
		}
	}
	local := func(properties map[string]any) {
		t.Helper()
		list, err := structpb.NewStruct(properties)
		must(t, err)
		r, err := m.SetResourceInMemoryNodeLocalProperties(t.Context(), &providerv1.SetResourceInMemoryNodeLocalPropertiesRequest{
			ResourceHandle: handle, PropertyList: list,
		})
		if err != nil || r.GetStatus() != 0 {
			t.Fatal(r, err)
		}
	}
	shows := func(ready bool, properties string) func(*v1alpha1.ClusterResource) bool {
		return func(r *v1alpha1.ClusterResource) bool {
			have := map[string]any{}
			if p := r.Status.Owner.NodeLocalProperties; p != nil {
				must(t, json.Unmarshal(p.Raw, &have))
			}
			text, _ := json.Marshal(have)
			c := meta.FindStatusCondition(r.Status.Conditions, v1alpha1.ConditionApplicationReady)
			return c != nil && (c.Status == metav1.ConditionTrue) == ready && string(text) == properties &&
				len(r.Status.Owner.ApplicationStates) == 2
		}
	}
	internal(providerv1.ApplicationState_APPLICATION_STATE_OS_HEARTBEAT, true)
	local(map[string]any{"ResourceSpecificStatus": "warm", "ResourceSpecificData1": 7, "gone": true})
	local(map[string]any{"gone": nil, "nested": map[string]any{"n": 1}})
	internal(providerv1.ApplicationState_APPLICATION_STATE_READY, true) // the journal has all of it now
	w.reported("all", shows(true, `{"ResourceSpecificData1":7,"ResourceSpecificStatus":"warm","nested":{"n":1}}`))

	_ = a.end()
	began := time.Now()
	a.startMonitor()
	w.renewals(1)
	w.reported("after a restart of the monitor",
		shows(true, `{"ResourceSpecificData1":7,"ResourceSpecificStatus":"warm","nested":{"n":1}}`))
	t.Logf("told again after %v", time.Since(began))
	m = a.provider.monitor()
	wait(t, "the callbacks are served again", func() bool {
		_, err := m.SetInternalState(t.Context(), &providerv1.SetInternalStateRequest{
			ResourceHandle: handle, StateType: providerv1.ApplicationState_APPLICATION_STATE_READY,
		})
		return err == nil
	})
	local(map[string]any{"nested": map[string]any{"m": 2}, "ResourceSpecificData1": nil})
	w.reported("what was changed then", shows(false, `{"ResourceSpecificStatus":"warm","nested":{"m":2}}`))

	a.leave()
	w.eventually("online on b", onlineOn("db-2"))
	w.reported("nothing on another host", func(r *v1alpha1.ClusterResource) bool {
		return r.Status.Owner.PodName == "db-2" && r.Status.Owner.NodeLocalProperties == nil &&
			r.Status.Owner.ApplicationStates == nil && r.Status.Owner.StatusInformation == 0 &&
			meta.FindStatusCondition(r.Status.Conditions, v1alpha1.ConditionApplicationReady) == nil
	})
}
