// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build envtest

package monitor_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	providerv1 "github.com/understudy-dev/understudy/api/provider/v1"
	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/internal/builders"
)

// wait waits for a condition.
func wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(90 * time.Second) // what comes to pass takes long on a busy machine
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			t.Fatal("never:", what)
		case <-tick.C:
		}
	}
}

func (w *world) lease() (*coordinationv1.Lease, leasev1.Record) {
	w.t.Helper()
	l := &coordinationv1.Lease{}
	must(w.t, api.Get(w.t.Context(), types.NamespacedName{Namespace: w.namespace, Name: leasev1.Name("db")}, l))
	var renewed *time.Time // nil before the first owner
	if l.Spec.RenewTime != nil {
		renewed = &l.Spec.RenewTime.Time
	}
	r, err := leasev1.Decode(leasev1.Lease{
		UID: string(l.UID), ResourceVersion: l.ResourceVersion, Annotations: l.Annotations, RenewTime: renewed,
		HolderIdentity: l.Spec.HolderIdentity, LeaseDurationSeconds: l.Spec.LeaseDurationSeconds,
	})
	must(w.t, err)
	return l, r
}

// renewals waits for n more renewals of the record.
func (w *world) renewals(n int) {
	w.t.Helper()
	for range n {
		_, before := w.lease()
		wait(w.t, "a renewal", func() bool { _, now := w.lease(); return now.Seq != before.Seq })
	}
}

// running brings up a group; the first host owns it. At the end nothing may have
// run twice at any time.
func running(t *testing.T, names ...string) (*world, []*host, *v1alpha1.ResourceGroup) {
	t.Helper()
	t.Parallel()
	w := newWorld(t)
	t.Cleanup(func() {
		if w.twice.Load() {
			t.Error("two hosts had the resource online at once")
		}
	})
	var hosts []*host
	for _, n := range names {
		hosts = append(hosts, w.start(n))
	}
	w.eventually("all hosts ready", ready(names...))
	// The record has been free for longer than any head start in the succession, so
	// that all would take it at once.
	w.succession(names[0])
	g := w.eventually("online on "+names[0], onlineOn(names[0]))
	w.succession(names...)
	return w, hosts, g
}

func (h *host) end() error {
	h.kill()
	return <-h.ended
}

func last(g *v1alpha1.ResourceGroup) v1alpha1.TimelineEntry {
	if n := len(g.Status.Owner.Timeline); n > 0 {
		return g.Status.Owner.Timeline[n-1]
	}
	return v1alpha1.TimelineEntry{}
}

func TestGroupComesOnlineAndMovesOver(t *testing.T) {
	w, hosts, first := running(t, "db-1", "db-2")
	a, b := hosts[0], hosts[1]

	// A hand-over: the host that goes away releases, the other takes at once.
	a.leave()
	second := w.eventually("online on b", onlineOn("db-2"))
	if second.Status.Owner.Epoch <= first.Status.Owner.Epoch {
		t.Errorf("epoch %d does not follow %d", second.Status.Owner.Epoch, first.Status.Owner.Epoch)
	}
	if err := <-a.ended; err != nil {
		t.Errorf("a did not leave in order: %v", err)
	}

	// Silence: b's monitor dies for good, with its guard and all that runs under it.
	w.start("db-3")
	w.eventually("c ready", ready("db-3"))
	w.succession("db-3", "db-2")
	b.kill()
	w.eventually("online on c", onlineOn("db-3"))
}

func TestRestartAndFailover(t *testing.T) {
	w, hosts, first := running(t, "db-1", "db-2")
	a := hosts[0].provider
	a.crash()
	g := w.eventually("restarted on a", func(g *v1alpha1.ResourceGroup) bool {
		return onlineOn("db-1")(g) && last(g).Kind == "Restart" && last(g).OnlineTime != nil
	})
	e := last(g)
	if e.ResourceName != "store" || e.Epoch != first.Status.Owner.Epoch || e.DetectedTime == nil ||
		e.OnlineTime.Before(e.DetectedTime) || a.onlines.Load() != 2 {
		t.Errorf("%+v, %d times online", e, a.onlines.Load())
	}
	a.crash()
	g = w.eventually("failed over to b", func(g *v1alpha1.ResourceGroup) bool {
		return onlineOn("db-2")(g) && last(g).OnlineTime != nil && last(g).EndpointTime != nil
	})
	e = last(g)
	if e.Kind != "Failover" || e.ResourceName != "store" || e.FromPodName != "db-1" || e.ToPodName != "db-2" ||
		e.OfflineTime.Before(e.DetectedTime) || e.LeaseTakenTime.Before(e.OfflineTime) || e.OnlineTime.Before(e.LeaseTakenTime) {
		t.Errorf("%+v", e)
	}
	if g.Status.Owner.Epoch <= first.Status.Owner.Epoch || len(g.Status.Owner.History) != 2 {
		t.Errorf("%+v", g.Status.Owner)
	}
}

// undisturbed: what ran on a host, db-1, has gone on, whatever became of its monitor.
func (w *world) undisturbed(a *host, first *v1alpha1.ResourceGroup) {
	w.t.Helper()
	w.renewals(1)
	g := w.eventually("online on a", onlineOn("db-1"))
	if g.Status.Owner.Epoch != first.Status.Owner.Epoch || last(g).Kind != "Start" {
		w.t.Errorf("epoch %d after %d, %+v", g.Status.Owner.Epoch, first.Status.Owner.Epoch, last(g))
	}
	if p := a.provider; p.onlines.Load() != 1 || p.stops.Load() != 0 || p.downs.Load() != 0 {
		w.t.Errorf("online %d times, stopped %d times, down %d times", p.onlines.Load(), p.stops.Load(), p.downs.Load())
	}
}

func TestMonitorKilledOverAndOver(t *testing.T) {
	w, hosts, first := running(t, "db-1", "db-2")
	a := hosts[0]
	for range 5 {
		_, before := w.lease()
		_ = a.end()
		a.startMonitor()
		wait(t, "the record of the new life", func() bool { _, now := w.lease(); return now.Inc != before.Inc })
	}
	w.undisturbed(a, first)
}

// TestMonitorReplaced: asked to end while its container lives, it leaves what runs
// to the next one.
func TestMonitorReplaced(t *testing.T) {
	w, hosts, first := running(t, "db-1", "db-2")
	a := hosts[0]
	a.ask <- "Test"
	if err := <-a.ended; err != nil {
		t.Fatalf("a did not leave in order: %v", err)
	}
	_, before := w.lease()
	a.startMonitor()
	wait(t, "the record of the new life", func() bool { _, now := w.lease(); return now.Inc != before.Inc })
	w.undisturbed(a, first)
}

// TestGroupDeleted: a group that is being deleted is given up, though no plan says so
// and no kubelet asks a host to end.
func TestGroupDeleted(t *testing.T) {
	w, hosts, _ := running(t, "db-1", "db-2")
	must(t, api.Patch(t.Context(), w.group, client.RawPatch(types.MergePatchType,
		[]byte(`{"metadata":{"finalizers":["`+v1alpha1.Finalizer+`"]}}`))))
	must(t, api.Delete(t.Context(), w.group))
	wait(t, "the release", func() bool { _, r := w.lease(); return r.Free() })
	if hosts[0].provider.online.Load() || hosts[1].provider.online.Load() {
		t.Error("online after the release")
	}
}

func TestMonitorKilledAndTheWorldMovesOn(t *testing.T) {
	gone := func(h *host) {
		t := h.w.t
		t.Helper()
		wait(t, "everything stopped", func() bool { return !h.provider.online.Load() })
	}
	t.Run("the record is another's", func(t *testing.T) {
		w, hosts, first := running(t, "db-1")
		a := hosts[0]
		_ = a.end()
		l, r := w.lease()
		z := w.pod("db-9")
		r.HolderUID, r.HolderName, r.Epoch, r.Inc = string(z.UID), z.Name, r.Epoch+5, "z"
		encoded := leasev1.Encode(r, leasev1.Lease{Annotations: l.Annotations})
		l.Annotations, l.Spec.HolderIdentity = encoded.Annotations, encoded.HolderIdentity
		must(t, w.client(z).Update(t.Context(), l))
		a.startMonitor()
		gone(a)
		// An observer: that host was never there, so that a takes after W what it left.
		g := w.eventually("online on a again", func(g *v1alpha1.ResourceGroup) bool {
			return onlineOn("db-1")(g) && g.Status.Owner.Epoch > first.Status.Owner.Epoch+5
		})
		if e := last(g); e.Kind != "Failover" || e.Cause != "OwnerSilent" {
			t.Errorf("%+v", e)
		}
	})
	t.Run("the guard has expired", func(t *testing.T) {
		w, hosts, _ := running(t, "db-1", "db-2")
		a := hosts[0]
		_ = a.end()
		gone(a)
		starts := a.provider.onlines.Load()
		a.startMonitor()
		w.eventually("online on b", onlineOn("db-2"))
		w.eventually("a ready again", ready("db-1"))
		if a.provider.onlines.Load() != starts {
			t.Error("a came online again")
		}
	})
	t.Run("the state folder was erased", func(t *testing.T) {
		w, hosts, first := running(t, "db-1", "db-2")
		a := hosts[0]
		_ = a.end()
		entries, err := os.ReadDir(a.state)
		must(t, err)
		for _, e := range entries {
			must(t, os.Remove(filepath.Join(a.state, e.Name())))
		}
		a.startMonitor()
		gone(a)
		g := w.eventually("online in a new epoch", func(g *v1alpha1.ResourceGroup) bool {
			return g.Status.Owner.State == v1alpha1.GroupOnline && g.Status.Owner.Epoch > first.Status.Owner.Epoch
		})
		w.eventually("a ready again", ready("db-1"))
		_ = g
	})
}

func TestAnswersThatAreLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var acquired <-chan struct{}
	a := w.start("db-1", func(h *host) { acquired = h.proxy.dropNext(1, http.MethodPut) })
	w.eventually("a ready", ready("db-1"))
	w.succession("db-1")
	<-acquired
	first := w.eventually("online on a", onlineOn("db-1"))
	l, r := w.lease()
	if first.Status.Owner.Epoch != r.Epoch || *l.Spec.LeaseTransitions != 1 {
		t.Errorf("epoch %d in the status, %d in the record, which has changed hands %d times",
			first.Status.Owner.Epoch, r.Epoch, *l.Spec.LeaseTransitions)
	}
	<-a.proxy.dropNext(1, http.MethodPut)
	w.renewals(2)
	if _, now := w.lease(); now.Epoch != r.Epoch || a.provider.downs.Load() != 0 || a.provider.onlines.Load() != 1 {
		t.Errorf("epoch %d after %d, down %d times", now.Epoch, r.Epoch, a.provider.downs.Load())
	}
}

func TestOwnerCutOff(t *testing.T) {
	w, hosts, _ := running(t, "db-1", "db-2")
	a, b := hosts[0], hosts[1]
	a.proxy.sever()
	g := w.eventually("online on b", onlineOn("db-2"))
	stopped, started := *a.provider.since.Load(), *b.provider.since.Load()
	heard := last(g).LastHeardTime
	if heard == nil {
		t.Fatalf("%+v", last(g))
	}
	timing, _ := leasev1.TimingFor(leaseSeconds * time.Second)
	if d := stopped.Sub(heard.Time); d > timing.G2+timing.K {
		t.Errorf("a stopped %v after its last renewal", d)
	}
	if d := started.Sub(heard.Time); d < timing.D {
		t.Errorf("b started %v after the last renewal of a", d)
	}
	a.proxy.heal()
	w.renewals(3)
	now := w.eventually("a ready again, b the owner still", func(g *v1alpha1.ResourceGroup) bool {
		return g.Status.Hosts["db-1"].Ready && onlineOn("db-2")(g)
	})
	if now.Status.Owner.Epoch != g.Status.Owner.Epoch || a.provider.onlines.Load() != 1 {
		t.Errorf("epoch %d after %d", now.Status.Owner.Epoch, g.Status.Owner.Epoch)
	}
}

// A provider that says "offline" while its program lives proves nothing.
func TestStopThatIsNotProven(t *testing.T) {
	w, hosts, _ := running(t, "db-1", "db-2")
	a := hosts[0]
	lives := make(chan struct{})
	a.provider.stubborn.Store(&lives)
	a.leave()
	w.eventually("StopFailed", func(g *v1alpha1.ResourceGroup) bool {
		for _, c := range g.Status.Conditions {
			if c.Type == v1alpha1.ConditionStopFailed {
				return c.Status == metav1.ConditionTrue && c.Message != ""
			}
		}
		return false
	})
	w.renewals(4)
	if _, r := w.lease(); r.HolderUID != string(a.pod.UID) {
		t.Errorf("held by %s while the program lives", r.HolderUID)
	}
	close(lives)
	w.eventually("online on b", onlineOn("db-2"))
}

func (w *world) call(name string, change func(*v1alpha1.ControlCall)) *v1alpha1.ControlCall {
	w.t.Helper()
	k := &v1alpha1.ControlCall{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: w.namespace},
		Spec: v1alpha1.ControlCallSpec{
			GroupName: "db", ResourceName: "store", Code: "ECHO", TimeoutMilliseconds: 60000,
			Input: &runtime.RawExtension{Raw: []byte(`{"text":"hello"}`)},
		},
	}
	change(k)
	must(w.t, api.Create(w.t.Context(), k))
	return k
}

// outcome waits for the end of a call.
func (w *world) outcome(k *v1alpha1.ControlCall) *v1alpha1.ControlCall {
	w.t.Helper()
	wait(w.t, "the end of "+k.Name, func() bool {
		must(w.t, api.Get(w.t.Context(), client.ObjectKeyFromObject(k), k))
		return k.Status.CompletionTime != nil
	})
	return k
}

// claim has another host claim a call.
func (w *world) claim(k *v1alpha1.ControlCall, epoch int64, name string) {
	w.t.Helper()
	pod := w.pod(name)
	k.Status.Owner = &v1alpha1.ControlCallOwner{
		Epoch: epoch, PodUID: string(pod.UID), PodName: name, NodeName: pod.Spec.NodeName,
	}
	must(w.t, w.client(pod).Status().Update(w.t.Context(), k))
}

func reason(k *v1alpha1.ControlCall) string {
	if len(k.Status.Conditions) == 0 {
		return ""
	}
	return k.Status.Conditions[0].Reason
}

func TestControlCalls(t *testing.T) {
	w, hosts, g := running(t, "db-1", "db-2")
	p := hosts[0].provider
	nothing := func(*v1alpha1.ControlCall) {}

	k := w.outcome(w.call("sync", nothing))
	if reason(k) != v1alpha1.ReasonSucceeded || k.Status.Output != `{"text":"hello"}` || k.Status.Owner.PodName != "db-1" ||
		k.Status.StartTime == nil || *k.Status.StatusCode != 0 {
		t.Errorf("%+v", k.Status)
	}

	p.async.Store(true)
	k = w.call("async", nothing)
	wait(t, "its begin", func() bool { return p.begun.Load() == 2 })
	_, err := p.monitor().EndControlCall(t.Context(), &providerv1.EndControlCallRequest{
		Context: p.context.Load(), Status: 5038, OutBuffer: []byte("later"),
	})
	must(t, err)
	if k = w.outcome(k); reason(k) != v1alpha1.ReasonFailed || k.Status.Output != "later" || *k.Status.StatusCode != 5038 {
		t.Errorf("%+v", k.Status)
	}

	k = w.outcome(w.call("late", func(k *v1alpha1.ControlCall) { k.Spec.TimeoutMilliseconds = 2000 }))
	if reason(k) != v1alpha1.ReasonTimedOut || *k.Status.StatusCode != 5910 {
		t.Errorf("%+v", k.Status)
	}

	begun := p.begun.Load()
	k = w.outcome(w.call("reader", func(k *v1alpha1.ControlCall) { k.Spec.Access = v1alpha1.ControlRead }))
	if reason(k) != v1alpha1.ReasonRefused || *k.Status.StatusCode != 5 || p.begun.Load() != begun {
		t.Errorf("%+v, begun %d times after %d", k.Status, p.begun.Load(), begun)
	}

	k = w.outcome(w.call("unknown", func(k *v1alpha1.ControlCall) { k.Spec.Code = "NOSUCH" }))
	if reason(k) != v1alpha1.ReasonRefused || *k.Status.StatusCode != 1 || k.Status.Message == "" {
		t.Errorf("%+v", k.Status)
	}

	// Claimed by an owner of before, which nobody heard of again; and by one that
	// is not known yet.
	begun = p.begun.Load()
	hosts[0].proxy.sever()
	lost, theirs := w.call("lost", nothing), w.call("theirs", nothing)
	w.claim(lost, 1, "db-9")
	w.claim(theirs, g.Status.Owner.Epoch+100, "db-8")
	hosts[0].proxy.heal()
	if k = w.outcome(lost); reason(k) != v1alpha1.ReasonOutcomeUnknown || k.Status.Owner.PodName != "db-9" {
		t.Errorf("%+v", k.Status)
	}
	w.renewals(1)
	must(t, api.Get(t.Context(), client.ObjectKeyFromObject(theirs), theirs))
	if theirs.Status.CompletionTime != nil || p.begun.Load() != begun {
		t.Errorf("%+v, begun %d times", theirs.Status, p.begun.Load()-begun)
	}

	k = w.outcome(w.call("move", func(k *v1alpha1.ControlCall) {
		k.Spec.ResourceName, k.Spec.Code, k.Spec.Input, k.Spec.Destination = "", v1alpha1.CodeMove, nil, "node-db-2"
	}))
	if reason(k) != v1alpha1.ReasonSucceeded || k.Status.Owner.PodName != "db-1" {
		t.Errorf("%+v", k.Status)
	}
	w.eventually("online on b", onlineOn("db-2"))
}

// Whoever sends it: what an earlier owner says is refused by the API server.
func TestLateWrite(t *testing.T) {
	w, hosts, first := running(t, "db-1", "db-2")
	old := &v1alpha1.ClusterResource{}
	wait(t, "the resource's status", func() bool {
		must(t, api.Get(t.Context(), client.ObjectKeyFromObject(w.resource), old))
		return old.Status.Owner != nil && old.Status.Owner.State == "Online"
	})
	hosts[0].leave()
	w.eventually("online on b", onlineOn("db-2"))
	wait(t, "b's word on the resource", func() bool {
		r := &v1alpha1.ClusterResource{}
		must(t, api.Get(t.Context(), client.ObjectKeyFromObject(w.resource), r))
		return r.Status.Owner.Epoch > old.Status.Owner.Epoch
	})
	for what, patch := range map[string]struct {
		on   client.Object
		body string
	}{
		"a late state":       {w.resource, `{"status":{"owner":{"epoch":` + strconv.FormatInt(old.Status.Owner.Epoch, 10) + `}}}`},
		"a removed owner":    {w.resource, `{"status":{"owner":null}}`},
		"a late group":       {w.group, `{"status":{"owner":{"epoch":` + strconv.FormatInt(first.Status.Owner.Epoch, 10) + `}}}`},
		"a group disowned":   {w.group, `{"status":{"owner":null}}`},
		"a status forgotten": {w.group, `{"status":null}`},
	} {
		o := patch.on.DeepCopyObject().(client.Object)
		err := api.Status().Patch(t.Context(), o, client.RawPatch(types.MergePatchType, []byte(patch.body)))
		if !apierrors.IsInvalid(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestEndpointSliceIsRepaired: whoever empties or deletes it, the Service has its
// owner again at once.
func TestEndpointSliceIsRepaired(t *testing.T) {
	w, _, _ := running(t, "db-1")
	slice := func() *discoveryv1.EndpointSlice { return builders.Slice(&w.plan, corev1.IPv4Protocol) }
	served := func() bool {
		s := slice()
		must(t, api.Get(t.Context(), client.ObjectKeyFromObject(s), s))
		return len(s.Endpoints) == 1 && s.Endpoints[0].TargetRef.Name == "db-1" && len(s.Ports) == 1
	}
	wait(t, "an endpoint", served)
	must(t, api.Patch(t.Context(), slice(), client.RawPatch(types.MergePatchType, []byte(`{"endpoints":[],"ports":[]}`))))
	wait(t, "the endpoint after it was emptied", served)
	// The manager makes it anew.
	must(t, api.Delete(t.Context(), slice()))
	must(t, api.Create(t.Context(), slice()))
	wait(t, "the endpoint after the slice was deleted", served)
}

func TestIdleGroupCostsItsRenewals(t *testing.T) {
	w, hosts, _ := running(t, "db-1", "db-2")
	w.renewals(2) // all is said
	for _, h := range hosts {
		h.proxy.forget()
	}
	w.renewals(3)
	for _, h := range hosts {
		seen := h.proxy.seen()
		for _, r := range seen {
			if h.name != "db-1" || !strings.HasPrefix(r, "PUT ") || !strings.HasSuffix(r, "/leases/understudy-db") {
				t.Errorf("%s: %s", h.name, r)
			}
		}
		if h.name == "db-1" && (len(seen) < 3 || len(seen) > 4) {
			t.Errorf("%d renewals", len(seen))
		}
	}
}

func TestTwoGroupsInOneProcess(t *testing.T) {
	one, tortured, _ := running(t, "db-1", "db-2")
	two := newWorld(t)
	other := two.start("db-1")
	two.eventually("ready", ready("db-1"))
	two.succession("db-1")
	before := two.eventually("online", onlineOn("db-1"))
	tortured[0].provider.crash()
	one.eventually("restarted", func(g *v1alpha1.ResourceGroup) bool { return onlineOn("db-1")(g) && last(g).Kind == "Restart" })
	_ = tortured[0].end()
	one.eventually("online on b", onlineOn("db-2"))
	after := two.eventually("online", onlineOn("db-1"))
	if after.Status.Owner.Epoch != before.Status.Owner.Epoch || other.provider.downs.Load() != 0 || two.twice.Load() {
		t.Errorf("the other group: epoch %d after %d, down %d times",
			after.Status.Owner.Epoch, before.Status.Owner.Epoch, other.provider.downs.Load())
	}
}
