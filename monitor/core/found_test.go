// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"testing"
	"time"

	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/core"
)

// What the simulation found, each as the shortest story of it.

// A write that was given up is stored after all, over a newer one: others would take this
// host for what it was then, for ever.
func TestHostEntryIsRepaired(t *testing.T) {
	r, _ := up(t, "a", "b")
	r.status.Hosts["b"] = v1alpha1.HostStatus{PodUID: "uid-b", NodeName: "node-b", Reason: "NotOpened"}
	r.tell()
	r.run()
	r.pass(5 * time.Second)
	if got := r.status.Hosts["b"]; !got.Ready {
		t.Errorf("the host is told to be %+v", got)
	}
}

// Another host claims the call while this one's claim is under way, and is lost. The news
// of that came before the answer: the call is this host's to end.
func TestClaimThatAnotherHostWonAndLost(t *testing.T) {
	r, a := up(t, "a", "b")
	a.outcome = func(w core.Write) core.WriteOutcome {
		if w.Call != nil {
			return core.WriteFailed
		}
		return ""
	}
	r.ask(core.ControlCall{Name: "k", Code: "BACKUP", ResourceName: "store"})
	r.calls["k"].Owner = &v1alpha1.ControlCallOwner{Epoch: r.status.Owner.Epoch - 1, PodUID: "uid-z", PodName: "z"}
	r.tellCall("k")
	a.outcome = nil
	r.pass(10 * time.Second)
	r.finished("k", v1alpha1.ReasonOutcomeUnknown)
}

// A monitor that starts without a journal, and before it knows the plan, does not say of a
// call that ran that it was refused.
func TestClaimedCallBeforeThePlan(t *testing.T) {
	r, a := up(t, "a")
	a.stop()
	a.state = nil
	k := core.ControlCall{
		UID: "uid-k", Name: "k", Code: "PEEK", ResourceName: "store", HostName: "a", TimeoutMilliseconds: 5000,
		Owner: &v1alpha1.ControlCallOwner{Epoch: r.status.Owner.Epoch, PodUID: "uid-a", PodName: "a"},
	}
	r.calls["k"] = &k
	a.hold["plan"] = true
	a.start()
	r.pass(time.Second)
	if f := r.finish["k"]; f != nil {
		t.Fatalf("it is told, before anything can be known, that %+v", f)
	}
	a.release("plan")
	r.pass(10 * time.Second)
	r.finished("k", v1alpha1.ReasonOutcomeUnknown)
}

// The resource that a claimed call was about is not there any more.
func TestClaimedCallOfARemovedResource(t *testing.T) {
	r, a := up(t, "a")
	a.stop()
	a.state = nil
	r.plan.Resources = nil
	r.calls["k"] = &core.ControlCall{
		UID: "uid-k", Name: "k", Code: "PEEK", ResourceName: "store", HostName: "a", TimeoutMilliseconds: 5000,
		Owner: &v1alpha1.ControlCallOwner{Epoch: r.status.Owner.Epoch, PodUID: "uid-a", PodName: "a"},
	}
	a.start()
	r.pass(10 * time.Second)
	r.finished("k", v1alpha1.ReasonOutcomeUnknown)
}

// An owner published its endpoint, and its status never got through: who comes next has a
// larger epoch all the same.
func TestEpochIsAboveTheEndpoints(t *testing.T) {
	r, _ := up(t, "a", "b")
	const published = 1 << 40
	r.host("b").input(core.Input{Endpoint: &core.EndpointDocument{Epoch: published, Address: "10.0.0.9", PodName: "z"}})
	r.ask(core.ControlCall{Name: "m", Code: "MOVE", Destination: "b"})
	r.pass(time.Second)
	if o := r.status.Owner; o.PodName != "b" || o.Epoch <= published {
		t.Errorf("%s owns the group in epoch %d, want b in one above %d", o.PodName, o.Epoch, int64(published))
	}
}

// A monitor that lost its journal is killed before its order to empty the container
// arrives. The next one knows the container, and not the guard that it has: what runs
// under it is not taken for stopped, and keeps its guard.
func TestGuardThatNoJournalKnows(t *testing.T) {
	r, a := up(t, "a", "b")
	a.hold["kill"], a.hold["plan"] = true, true
	a.stop()
	a.state = nil
	a.start()
	a.stop()
	a.start()
	r.pass(time.Second)
	if a.isOnline() && a.guard.G2 == 0 {
		t.Error("the guard was taken away from what is online")
	}
}

// An owner that lost its lease takes it again before the watch shows what it said last.
func TestHistoryKnowsAnUnseenChapter(t *testing.T) {
	r := newRig(t, "a")
	a := r.hosts[0]
	a.hold["plan"] = true
	a.start()
	a.hold["group"] = true
	a.release("plan")
	r.pass(time.Second)
	first := r.status.Owner.Epoch
	a.cut = true
	r.pass(10 * time.Second)
	a.cut = false
	r.pass(20 * time.Second)
	h := r.status.Owner.History
	if r.status.Owner.Epoch == first || len(h) != 2 || h[0].Epoch != first || h[0].UntilTime == nil {
		t.Errorf("epoch %d, then %d: %+v", first, r.status.Owner.Epoch, h)
	}
}
