// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"slices"
	"testing"
	"time"

	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
)

func TestUnfit(t *testing.T) {
	r := newRig(t, "a", "b")
	a := r.hosts[0]
	a.hold["plan"], a.hold["Open"], a.provider = true, true, false
	a.known = true // an init that lives, and is away
	a.start()
	a.connected = false
	a.input(core.Input{InitGone: &core.InitGone{Container: "main", Cut: true}})
	want := func(reason string) {
		t.Helper()
		if h := r.status.Hosts["a"]; h.Reason != reason || h.Ready != (reason == "") {
			t.Fatalf("%+v, want reason %q", h, reason)
		}
	}
	want("NoPlan")
	a.release("plan")
	want("ContainerMissing")
	a.connect()
	r.run()
	r.pass(time.Second)
	want("ProviderMissing")
	a.provider = true
	a.providerUp()
	r.run()
	want("NotOpened")
	a.release("Open")
	want("")
	r.pass(10 * time.Second) // for the next few statuses at once
	a.input(core.Input{ProviderDown: &engine.ProviderDown{Container: "main", Reason: "crashed"}})
	want("") // killed, and back at once
	a.input(core.Input{Stopping: &core.Stopping{Container: "main"}})
	want("Draining")
}

// fail makes the resource of a host fail beyond its threshold.
func fail(h *host) {
	h.signalFailure()
	h.rig.pass(time.Millisecond)
	h.signalFailure()
}

func TestReleaseThatHasBegunIsFinished(t *testing.T) {
	r, a := up(t, "a", "b")
	b := r.host("b")
	a.hold["emptied"] = true
	fail(a)
	r.pass(3 * time.Second)
	if a.isOnline() || b.isOnline() || r.lease.HolderIdentity == nil {
		t.Fatal("the stop is not proven yet")
	}
	mark := a.mark()
	a.release("emptied")
	r.pass(time.Second)
	if !b.isOnline() || count(a.since(mark), calls(engine.OpOnline)) != 0 {
		t.Error("the group did not go over")
	}
	got := r.status.Owner.Timeline[len(r.status.Owner.Timeline)-1]
	if got.Kind != "Failover" || got.FromPodName != "a" || got.ToPodName != "b" || got.ResourceName != "store" ||
		got.OfflineTime == nil || got.OnlineTime == nil || got.EndpointTime == nil ||
		!got.DetectedTime.Before(got.OfflineTime) {
		t.Errorf("%+v", got)
	}
}

// A failover that is refused leaves a move possible, and time does not tell it anew.
func TestRefusedFailover(t *testing.T) {
	r, a := up(t, "a", "b")
	r.plan.FailoverThreshold = 0
	r.plan.Resources[0].Generation++
	r.status.PlanRevision = "p2"
	r.tell()
	r.run()
	fail(a)
	r.pass(time.Second)
	if a.isOnline() || r.host("b").isOnline() || r.status.Owner.PodName != "a" || r.status.Owner.Message == "" {
		t.Fatalf("%+v", r.status.Owner)
	}
	if c := lastConditions(a)[0]; c.Status || c.Reason != string(engine.ReasonNeedsFailover) || c.Message != r.status.Owner.Message {
		t.Errorf("%+v", c)
	}
	r.ask(core.ControlCall{Name: "m", Code: "MOVE"})
	r.pass(time.Second)
	r.finished("m", v1alpha1.ReasonSucceeded)
	if !r.host("b").isOnline() {
		t.Error("not moved")
	}
}

// Ready says why the group is not, not only that it is not.
func TestWhyAGroupIsNotReady(t *testing.T) {
	r, a := up(t, "a")
	r.plan.Resources[0].RestartThreshold, r.plan.Resources[0].RestartDelay = 1, 60_000
	r.plan.Resources[0].Generation++
	r.status.PlanRevision = "p2"
	r.tell()
	r.run()
	ready := func() core.Condition { return lastConditions(a)[0] }
	if c := ready(); !c.Status || c.Reason != string(v1alpha1.GroupOnline) {
		t.Errorf("%+v", c)
	}
	fail(a)
	r.pass(time.Second)
	if c := ready(); c.Status || c.Reason != string(engine.ReasonWaitingRestart) || c.Message == "" {
		t.Errorf("%+v", c)
	}
}

// What is offline because it is wanted so is not why a group is not ready.
func TestNotReadyForWhatIsWanted(t *testing.T) {
	r, a := up(t, "a")
	idle := r.plan.Resources[0]
	idle.UID, idle.Name, idle.Online = "u0", "idle", false
	r.plan.Resources = append([]planv1.Resource{idle}, r.plan.Resources...)
	r.status.PlanRevision = "p2"
	r.tell()
	r.run()
	a.hold["Online"] = true
	a.signalFailure()
	r.pass(time.Second)
	if c := lastConditions(a)[0]; c.Status || c.Reason != string(engine.ReasonWaitingOnline) {
		t.Errorf("%+v", c)
	}
}

// lastConditions are those that a host wrote last of its group: Ready, StopFailed.
func lastConditions(h *host) []core.Condition {
	var last []core.Condition
	for _, e := range h.effects {
		if e.Write != nil && e.Write.Group != nil {
			last = e.Write.Group.Conditions
		}
	}
	return last
}

// The condition says what is not proven, also while no stop of all is due.
func TestStopFailedIsSaid(t *testing.T) {
	r, a := up(t, "a", "b")
	a.hold["kill"] = true
	a.input(core.Input{ProviderDown: &engine.ProviderDown{Container: "main", Reason: "EOF"}})
	r.pass(5 * time.Minute)
	if !slices.ContainsFunc(lastConditions(a), func(c core.Condition) bool { return c.Type == v1alpha1.ConditionStopFailed && c.Status }) {
		t.Errorf("%+v", lastConditions(a))
	}
}

// A provider that says "offline" proves nothing: the lease is kept.
func TestStopThatIsNotProven(t *testing.T) {
	r, a := up(t, "a", "b")
	a.hold["emptied"] = true
	fail(a)
	mark := a.mark()
	r.pass(20 * time.Second)
	if r.host("b").isOnline() || count(a.since(mark), isPut) < 9 {
		t.Fatalf("%d renewals", count(a.since(mark), isPut))
	}
	a.release("emptied")
	r.pass(3 * time.Second)
	if !r.host("b").isOnline() {
		t.Error("not over, although the stop is proven")
	}
}

// A self-stop that is not proven keeps the lease, as soon as the API server answers again.
func TestSelfStopThatIsNotProven(t *testing.T) {
	r, a := up(t, "a", "b")
	a.cut, a.hold["kill"] = true, true
	mark := a.mark()
	for count(a.since(mark), func(e core.Effect) bool { return e.Kill != nil }) == 0 {
		r.pass(10 * time.Millisecond)
	}
	r.pass(600 * time.Millisecond) // longer than a kill takes, and before the guard
	a.cut, mark = false, a.mark()
	r.pass(700 * time.Millisecond)
	if count(a.since(mark), isPut) == 0 {
		t.Fatal("the lease is left to run out")
	}
	r.pass(time.Minute)
	if holder := *r.lease.HolderIdentity; holder != "a/uid-a" || r.host("b").isOnline() {
		t.Fatalf("the lease is held by %q", holder)
	}
	a.release("kill")
	r.pass(3 * time.Second)
	if !a.isOnline() {
		t.Error("not online again, although the stop is proven")
	}
}

// A group that is being deleted goes offline whoever is left to say so: its namespace may
// take no other plan, and kubelet may be dead.
func TestDeletedGroupGoesOffline(t *testing.T) {
	r, a := up(t, "a", "b")
	r.deleting = true
	a.seeGroup()
	r.host("b").seeGroup()
	r.run()
	r.pass(20 * time.Second)
	if a.isOnline() || r.host("b").isOnline() || *r.lease.HolderIdentity != "" {
		t.Errorf("a online %v, b online %v, holder %q", a.isOnline(), r.host("b").isOnline(), *r.lease.HolderIdentity)
	}
	if r.endpoint == nil || r.endpoint.Address != "" {
		t.Errorf("clients are sent to what has stopped: %+v", r.endpoint)
	}
	// A host that ends meanwhile hands over to nobody.
	r, a = up(t, "a", "b")
	r.deleting = true
	a.input(core.Input{Stopping: &core.Stopping{Container: "main"}})
	a.seeGroup()
	r.host("b").seeGroup()
	if r.pass(20 * time.Second); r.host("b").isOnline() {
		t.Error("b takes what is being deleted")
	}
}
