// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"slices"
	"testing"
	"time"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
	"github.com/understudy-dev/understudy/monitor/ownership"
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

// The status of the owner before may come later than two chapters of one's own.
func TestHistoryOfChaptersInAnyOrder(t *testing.T) {
	r := newRig(t, "a")
	a := r.hosts[0]
	a.hold["plan"] = true
	a.start()
	a.hold["group"] = true
	a.outcome = func(w core.Write) core.WriteOutcome {
		if w.Group != nil {
			return core.WriteFailed
		}
		return ""
	}
	a.release("plan")
	r.pass(time.Second)
	mine, _ := leasev1.Decode(*r.lease)
	z := v1alpha1.OwnershipEntry{Epoch: mine.Epoch - 1, PodUID: "uid-z", PodName: "z"}
	r.status.Owner = &v1alpha1.GroupOwnerStatus{
		Epoch: z.Epoch, PodUID: "uid-z", PodName: "z", History: []v1alpha1.OwnershipEntry{z},
	}
	a.cut = true
	r.pass(10 * time.Second)
	a.cut = false
	r.pass(20 * time.Second)
	a.hold["group"], a.outcome = false, nil
	a.seeGroup()
	r.run()
	r.pass(5 * time.Second)
	h := r.status.Owner.History
	if len(h) != 3 || h[0].PodName != "z" || h[1].Epoch != mine.Epoch || h[2].Epoch <= mine.Epoch ||
		h[0].UntilTime == nil || h[1].UntilTime == nil {
		t.Errorf("%+v", h)
	}
}

// What happened in an epoch while the API server was away is not lost because an earlier word
// of that epoch was seen, and what that word told already is not told twice.
func TestChapterOfWhichTheBeginningWasSeen(t *testing.T) {
	r, a := up(t, "a")
	r.ask(core.ControlCall{Name: "cancel", Code: "CANCEL"})
	r.pass(2 * time.Second)
	first := r.status.Owner.Epoch
	take := a.fails(ofGroup) // also when the link is back: the next epoch comes before the words of this one
	a.cut = true
	a.signalFailure() // restarted at once
	r.pass(10 * time.Second)
	a.heal()
	r.pass(10 * time.Second)
	take()
	r.pass(5 * time.Second)
	o := r.status.Owner
	var told []string
	for _, e := range o.Timeline {
		if e.Epoch == first {
			told = append(told, e.Kind)
		}
	}
	if o.Epoch == first || !slices.Equal(told, []string{"Start", "Restart"}) || len(o.ControlResults) != 1 ||
		len(o.History) != 2 || o.History[0].Reason != string(ownership.FactExpired) {
		t.Errorf("epoch %d after %d: it tells of %v, %+v, %+v", o.Epoch, first, told, o.ControlResults, o.History)
	}
}

// A new owner says which version of the group it goes by. Until that is the newest, its first
// word is not stored: the last one of the owner before would be forgotten.
func TestFirstWordGoesByWhatWasSeen(t *testing.T) {
	r, a := up(t, "a", "b")
	b := r.host("b")
	b.hold["group"] = true // it sees nothing but what comes below
	b.outcome = func(w core.Write) core.WriteOutcome {
		if w.Group != nil && w.Group.Seen != "7" {
			return core.WriteStale
		}
		return ""
	}
	a.goes()
	if r.pass(time.Second); !b.isOnline() || r.status.Owner.PodName != "a" {
		t.Fatalf("b is online %v, stored: %+v", b.isOnline(), r.status.Owner)
	}
	b.input(core.Input{Group: &core.Group{UID: "group-uid", ResourceVersion: "7", Status: *r.status.DeepCopy()}})
	r.pass(time.Second)
	if o := r.status.Owner; o.PodName != "b" || len(o.History) != 2 || o.History[0].Reason != "Drain" {
		t.Errorf("%+v", o)
	}
}

// The last word of the owner before comes with a write that was stale: the next one has it.
func TestLastWordOfTheOwnerBefore(t *testing.T) {
	r, a := up(t, "a", "b")
	b := r.host("b")
	r.pass(2 * time.Second)
	var first, second *core.Write
	b.outcome = func(w core.Write) core.WriteOutcome {
		switch {
		case w.Group == nil:
			return ""
		case first == nil:
			first = &w
			o := r.status.Owner.DeepCopy()
			o.ControlResults = append(o.ControlResults, v1alpha1.ControlResult{Name: "last", Code: "X"})
			r.status.Owner = o
			b.seeGroup()
		}
		if w.Seq == first.Seq {
			return core.WriteStale
		}
		if second == nil {
			second = &w
		}
		return ""
	}
	b.hold["guarded"] = true // nothing else is new
	a.goes()
	r.pass(500 * time.Millisecond)
	if second == nil || len(second.Group.Owner.ControlResults) != 1 {
		t.Errorf("%+v", second)
	}
}

// The late answer to a write of before does not have a former owner speak again.
func TestLateAnswerToAFormerOwner(t *testing.T) {
	r, a := up(t, "a", "b")
	r.pass(2 * time.Second)
	a.hold["write"] = true
	a.signalFailure()
	r.pass(100 * time.Millisecond)
	o := r.status.Owner.DeepCopy()
	o.Epoch, o.PodUID, o.PodName = o.Epoch+10, "uid-b", "b"
	r.status.Owner = o
	a.seeGroup()
	mark := a.mark()
	a.releaseWrites()
	r.pass(10 * time.Second)
	for _, e := range a.since(mark) {
		if w := e.Write; w != nil && (w.Group != nil && w.Group.Owner.Epoch < o.Epoch || w.Resource != nil) {
			t.Errorf("writes %s", w.Key)
		}
	}
}

// A claim that could not be stored is not sent again after its time.
func TestClaimIsNotSentLate(t *testing.T) {
	r, a := up(t, "a")
	take := a.fails(func(w core.Write) bool { return w.Call != nil })
	r.askBy("backup", 4*time.Second)
	r.pass(4300 * time.Millisecond)
	take()
	r.pass(10 * time.Second)
	if count(a.effects, calls(engine.OpBeginResourceControl)) != 0 {
		t.Error("it runs")
	}
	r.finished("backup", v1alpha1.ReasonNotStarted)
}

// While a host says that something runs there which nobody brought online, no other takes the
// group; of one that is barred, or gone, nobody knows, and it does not count.
func TestNobodyTakesWhileSomethingRunsElsewhere(t *testing.T) {
	other := v1alpha1.Successor{PodUID: "uid-z", PodName: "z", NodeName: "node-z"}
	for name, s := range map[string]struct {
		list func(*v1alpha1.Succession)
		uid  string
		free bool
	}{
		"in the line":    {func(s *v1alpha1.Succession) { s.Line = append(s.Line, other) }, "uid-z", false},
		"in the reserve": {func(s *v1alpha1.Succession) { s.Reserve = append(s.Reserve, other) }, "uid-z", false},
		"barred": {func(s *v1alpha1.Succession) {
			s.Barred = append(s.Barred, v1alpha1.BarredHost{PodUID: "uid-z", PodName: "z", Reason: "NodeNotReady"})
		}, "uid-z", true},
		"not listed":     {func(*v1alpha1.Succession) {}, "uid-z", true},
		"the pod before": {func(s *v1alpha1.Succession) { s.Line = append(s.Line, other) }, "uid-y", true},
	} {
		t.Run(name, func(t *testing.T) {
			r, a := up(t, "a", "b")
			s.list(r.status.Succession)
			entry := v1alpha1.HostStatus{PodUID: s.uid, NodeName: "node-z", Reason: "UnexpectedlyActive"}
			r.status.Hosts["z"] = entry
			r.tell()
			r.run()
			b := r.host("b")
			if r.pass(time.Second); r.status.Hosts["b"].Ready != s.free || !r.status.Hosts["a"].Ready {
				t.Errorf("hosts: %+v", r.status.Hosts)
			}
			// An owner keeps the group rather than give it up to nobody.
			r.ask(core.ControlCall{Name: "move", Code: "MOVE"})
			if r.pass(5 * time.Second); b.isOnline() != s.free || a.isOnline() == s.free {
				t.Fatalf("after a move it is online on a: %v, on b: %v", a.isOnline(), b.isOnline())
			}
			a.stop()
			if r.pass(time.Minute); b.isOnline() != s.free {
				t.Fatalf("online on b: %v", b.isOnline())
			}
			entry.Reason, entry.Ready = "", true
			r.status.Hosts["z"] = entry
			r.tell()
			r.run()
			if r.pass(time.Minute); !b.isOnline() {
				t.Fatal("it is gone, and b is not online")
			}
		})
	}
}
