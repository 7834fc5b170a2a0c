// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
	"github.com/understudy-dev/understudy/monitor/ownership"
)

func isGuard(e core.Effect) bool { return e.Guard != nil }
func isKill(e core.Effect) bool  { return e.Kill != nil }
func isPut(e core.Effect) bool   { return e.Put != nil }

func TestGuardIsSentAgain(t *testing.T) {
	for name, again := range map[string]func(h *host){
		"to an init that connects again": func(h *host) {
			h.input(core.Input{Hello: &core.Hello{
				Container: "main", Nonce: h.nonceText(), Epoch: h.guard.Epoch, G1: h.guard.G1, G2: h.guard.G2,
			}})
		},
		"to an init that killed": func(h *host) { h.empty(); h.rig.run() },
	} {
		t.Run(name, func(t *testing.T) {
			_, a := up(t, "a", "b")
			want, mark := a.guard, a.mark()
			again(a)
			if count(a.since(mark), isGuard) == 0 || a.guard != want {
				t.Errorf("guard %+v, want %+v", a.guard, want)
			}
			if !a.isOnline() {
				t.Error("not online again")
			}
		})
	}
}

// A guard of the past belongs to what it is to end, not to what comes after.
func TestGuardOfThePastKillsOnce(t *testing.T) {
	r, a := up(t, "a", "b")
	kills := a.kills
	r.takeAway()
	r.run()
	// The guard and the order to kill, which go together.
	if n := a.kills - kills; a.isOnline() || n > 2 {
		t.Fatalf("online %v, killed %d times", a.isOnline(), n)
	}
	kills = a.kills
	a.input(core.Input{Hello: &core.Hello{Container: "main", Nonce: a.nonceText(), Epoch: a.guard.Epoch}})
	r.pass(time.Minute)
	if a.kills != kills {
		t.Errorf("killed again %d times although nothing ran", a.kills-kills)
	}
}

func TestOnlyTheGuardInForceCounts(t *testing.T) {
	r := newRig(t, "a")
	a := r.hosts[0]
	a.hold["guarded"] = true
	a.start()
	r.pass(time.Second)
	if a.guard.G2 == 0 || a.isOnline() {
		t.Fatalf("guard %+v, online %v", a.guard, a.isOnline())
	}
	good := core.Guarded{Container: "main", Nonce: a.nonceText(), Epoch: a.guard.Epoch, G2: a.guard.G2}
	for name, change := range map[string]func(g *core.Guarded){
		"an old process":  func(g *core.Guarded) { g.Nonce = "older" },
		"an old epoch":    func(g *core.Guarded) { g.Epoch-- },
		"another guard":   func(g *core.Guarded) { g.G2-- },
		"one of the past": func(g *core.Guarded) { g.G2 = r.now.Boot - 1 },
		"none":            func(g *core.Guarded) { g.G2 = 0 },
	} {
		g := good
		change(&g)
		if a.input(core.Input{Guarded: &g}); a.isOnline() {
			t.Fatalf("online under a guard of %s", name)
		}
	}
	if a.input(core.Input{Guarded: &good}); !a.isOnline() {
		t.Error("not online under the guard in force")
	}
}

// A guard that was taken away is no more in force, also if the epoch goes on.
func TestGuardThatWasTakenAway(t *testing.T) {
	r := newRig(t, "a")
	a := r.hosts[0]
	r.plan.Resources[0].Online = false // the group is owned, and nothing runs
	a.start()
	r.pass(time.Second)
	epoch := a.guard.Epoch
	if a.guard.G2 == 0 {
		t.Fatal("not the owner")
	}
	a.cut = true
	for range 100 {
		if r.pass(100 * time.Millisecond); a.guard.G2 == 0 {
			break
		}
	}
	a.hold["guarded"] = true
	r.plan.Resources[0].Online = true
	r.status.PlanRevision = "p2"
	a.heal()
	r.pass(time.Second)
	if a.guard.G2 == 0 || a.guard.Epoch != epoch || a.isOnline() {
		t.Fatalf("guard %+v, online %v", a.guard, a.isOnline())
	}
	if a.release("guarded"); !a.isOnline() {
		t.Error("not online")
	}
}

// What this side cuts proves nothing; what init ends proves its end, K later.
func TestLossOfInit(t *testing.T) {
	t.Run("cut by this side", func(t *testing.T) {
		r, a := up(t, "a", "b")
		a.connected = false
		mark := a.mark()
		a.input(core.Input{InitGone: &core.InitGone{Container: "main", Cut: true}})
		r.pass(3 * time.Second)
		if !a.isOnline() || r.status.Owner.State != v1alpha1.GroupOnline || r.status.Hosts["a"].Reason != "ContainerMissing" {
			t.Errorf("online %v, state %s, host %+v", a.isOnline(), r.status.Owner.State, r.status.Hosts["a"])
		}
		a.connect()
		r.pass(3 * time.Second)
		if !a.isOnline() || count(a.since(mark), isKill) != 0 {
			t.Error("the init that came back lost what it guards")
		}
	})
	t.Run("ended by init", func(t *testing.T) {
		r, a := up(t, "a", "b")
		a.connected, a.known = false, false
		clear(a.online)
		a.input(core.Input{InitGone: &core.InitGone{Container: "main"}})
		r.pass(2 * time.Second)
		if b := r.host("b"); !b.isOnline() {
			t.Error("no failover")
		}
	})
	t.Run("ended by an init that lives", func(t *testing.T) {
		r, a := up(t, "a")
		a.connected = false
		a.input(core.Input{InitGone: &core.InitGone{Container: "main"}})
		r.pass(100 * time.Millisecond)
		kills := a.kills
		a.connect()
		r.pass(3 * time.Second)
		if a.kills == kills || !a.isOnline() {
			t.Errorf("%d kills, online %v", a.kills-kills, a.isOnline())
		}
	})
}

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
	a.input(core.Input{ProviderDown: &engine.ProviderDown{Container: "main", Reason: "crashed"}})
	want("") // killed, and back at once
	a.input(core.Input{Drain: &core.Drain{Reason: "Test"}})
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
	r.ask(core.ControlCall{Name: "m", Code: "MOVE"})
	r.pass(time.Second)
	r.finished("m", v1alpha1.ReasonSucceeded)
	if !r.host("b").isOnline() {
		t.Error("not moved")
	}
}

func TestMove(t *testing.T) {
	t.Run("claim first, finished by the new owner", func(t *testing.T) {
		r, a := up(t, "a", "b")
		a.hold["write"] = true
		r.ask(core.ControlCall{Name: "m", Code: "MOVE", Destination: "node-b"})
		r.pass(2 * time.Second)
		if !a.isOnline() {
			t.Fatal("moved before the claim was stored")
		}
		a.releaseWrites()
		r.pass(time.Second)
		r.finished("m", v1alpha1.ReasonSucceeded)
		if r.calls["m"].Owner.PodName != "a" || !r.host("b").isOnline() || r.status.Owner.PodName != "b" {
			t.Errorf("claimed by %+v, owner %s", r.calls["m"].Owner, r.status.Owner.PodName)
		}
		last := r.status.Owner.Timeline[len(r.status.Owner.Timeline)-1]
		if last.Kind != "Move" || last.Cause != "MoveRequested" {
			t.Errorf("%+v", last)
		}
	})
	t.Run("claimed by somebody else", func(t *testing.T) {
		r, a := up(t, "a", "b")
		a.outcome = func(w core.Write) core.WriteOutcome {
			if w.Call != nil {
				return core.WriteSuperseded
			}
			return ""
		}
		r.ask(core.ControlCall{Name: "m", Code: "MOVE"})
		r.pass(time.Second)
		if !a.isOnline() || r.finish["m"] != nil {
			t.Errorf("online %v, %+v", a.isOnline(), r.finish["m"])
		}
	})
	for name, c := range map[string]struct {
		hosts  []string
		call   core.ControlCall
		reason string
	}{
		"no such host":           {[]string{"a", "b"}, core.ControlCall{Destination: "x"}, v1alpha1.ReasonRefused},
		"it is there":            {[]string{"a", "b"}, core.ControlCall{Destination: "a"}, v1alpha1.ReasonSucceeded},
		"there is no other":      {[]string{"a"}, core.ControlCall{}, v1alpha1.ReasonRefused},
		"a code of no group":     {[]string{"a", "b"}, core.ControlCall{Code: "JUMP"}, v1alpha1.ReasonRefused},
		"a resource of no group": {[]string{"a", "b"}, core.ControlCall{ResourceName: "x"}, v1alpha1.ReasonRefused},
	} {
		t.Run(name, func(t *testing.T) {
			r, a := up(t, c.hosts...)
			c.call.Name = "m"
			if c.call.Code == "" {
				c.call.Code = "MOVE"
			}
			r.ask(c.call)
			r.pass(time.Second)
			if f := r.finished("m", c.reason); f.Message == "" || f.StatusName == "" {
				t.Errorf("%+v", f)
			}
			if !a.isOnline() {
				t.Error("not online any more")
			}
		})
	}
	t.Run("barred", func(t *testing.T) {
		r, a := up(t, "a", "b")
		r.status.Succession.Line = r.status.Succession.Line[:1]
		r.status.Succession.Barred = []v1alpha1.BarredHost{{PodUID: "uid-b", PodName: "b", Reason: "NodeNotReady"}}
		r.tell()
		r.run()
		r.ask(core.ControlCall{Name: "m", Code: "MOVE", Destination: "b"})
		r.finished("m", v1alpha1.ReasonRefused)
		if !a.isOnline() {
			t.Error("not online any more")
		}
	})
	t.Run("nobody takes it", func(t *testing.T) {
		r, a := up(t, "a", "b")
		b := r.host("b")
		b.stop()
		r.ask(core.ControlCall{Name: "m", Code: "MOVE", Destination: "b"})
		r.pass(10 * time.Second)
		r.finished("m", v1alpha1.ReasonFailed)
		if !a.isOnline() {
			t.Error("not online on a again")
		}
	})
	t.Run("the owner dies on the way", func(t *testing.T) {
		r, a := up(t, "a", "b", "c")
		a.hold["Offline"], a.hold["emptied"] = true, true
		r.ask(core.ControlCall{Name: "m", Code: "MOVE", Destination: "c"})
		a.stop()
		r.pass(8 * time.Second)
		if f := r.finished("m", v1alpha1.ReasonFailed); !r.host("b").isOnline() {
			t.Errorf("%+v, b online %v", f, r.host("b").isOnline())
		}
	})
}

func TestControlCalls(t *testing.T) {
	backup := core.ControlCall{Name: "k", ResourceName: "store", Code: "BACKUP", Input: []byte(`{"a":1}`)}
	begun := calls(engine.OpBeginResourceControl)
	end := func(a *host) {
		a.input(core.Input{Callback: &engine.Callback{
			ID: 9, Container: "main", EndControlCall: &engine.EndControlCall{Context: a.lastContext, Output: []byte("done")},
		}})
	}
	t.Run("claimed, run, recorded", func(t *testing.T) {
		r, a := up(t, "a", "b")
		a.hold["write"] = true
		r.ask(backup)
		if count(a.effects, begun) != 0 {
			t.Fatal("begun before the claim was stored")
		}
		a.releaseWrites()
		if f := r.finished("k", v1alpha1.ReasonSucceeded); string(f.Output) != `{"a":1}` {
			t.Errorf("%+v", f)
		}
	})
	t.Run("ends later", func(t *testing.T) {
		r, a := up(t, "a", "b")
		a.async = true
		r.ask(backup)
		if r.finish["k"] != nil {
			t.Fatal("finished already")
		}
		end(a)
		if f := r.finished("k", v1alpha1.ReasonSucceeded); string(f.Output) != "done" {
			t.Errorf("%+v", f)
		}
	})
	t.Run("too late", func(t *testing.T) {
		r, a := up(t, "a", "b")
		a.async = true
		k := backup
		k.TimeoutMilliseconds = 500
		r.ask(k)
		r.pass(time.Second)
		r.finished("k", v1alpha1.ReasonTimedOut)
		end(a)
		r.finished("k", v1alpha1.ReasonTimedOut)
	})
	t.Run("a lost host's", func(t *testing.T) {
		r, a := up(t, "a", "b")
		a.async = true
		r.ask(backup)
		a.stop()
		r.pass(8 * time.Second)
		r.finished("k", v1alpha1.ReasonOutcomeUnknown)
		if b := r.host("b"); !b.isOnline() || count(b.effects, begun) != 0 {
			t.Error("run again by the new owner")
		}
	})
	t.Run("outcome known before a restart, stored after it", func(t *testing.T) {
		r, a := up(t, "a", "b")
		a.async = true
		r.ask(backup)
		a.cut = true
		end(a)
		a.stop()
		a.cut = false
		a.start()
		r.pass(time.Second)
		r.finished("k", v1alpha1.ReasonSucceeded)
	})
	t.Run("too much input", func(t *testing.T) {
		r, a := up(t, "a", "b")
		k := backup
		k.Input = []byte(`"` + strings.Repeat("x", v1alpha1.MaxControlInput-2) + `"`)
		r.ask(k)
		r.finished("k", v1alpha1.ReasonSucceeded)
		n := count(a.effects, begun)
		k.Name, k.Input = "more", []byte(`"`+strings.Repeat("x", v1alpha1.MaxControlInput-1)+`"`)
		r.ask(k)
		if f := r.finished("more", v1alpha1.ReasonRefused); f.StatusName != "ERROR_INVALID_PARAMETER" ||
			!strings.Contains(f.Message, "spec.input has 65537 bytes as JSON, more than 65536") {
			t.Errorf("%+v", f)
		}
		if count(a.effects, begun) != n {
			t.Error("begun")
		}
	})
	t.Run("deleted while it was claimed", func(t *testing.T) {
		r, a := up(t, "a", "b")
		for range 40 { // more than the engine takes at a time
			a.hold["write"] = true
			r.ask(backup)
			a.input(core.Input{ControlCall: &core.ControlCall{Name: "k", UID: "uid-k", Gone: true}})
			delete(r.calls, "k")
			a.releaseWrites()
		}
		r.ask(backup)
		r.finished("k", v1alpha1.ReasonSucceeded)
	})
}

func isWrite(key string) func(core.Effect) bool {
	return func(e core.Effect) bool { return e.Write != nil && e.Write.Key == key }
}

const resourceDoc = "resource/u1"

func checkPoint(h *host, n uint32) {
	h.input(core.Input{Callback: &engine.Callback{
		ID: 1, Container: "main", Handle: "u1",
		SetResourceStatus: &engine.SetResourceStatus{Ex: true, State: engine.ReportedOnlinePending, CheckPoint: n},
	}})
}

func TestDocuments(t *testing.T) {
	t.Run("what is not urgent is paced, the newest counts", func(t *testing.T) {
		r, a := up(t, "a", "b")
		a.pending = true
		a.signalFailure()
		r.pass(3 * time.Second)
		mark := a.mark()
		for i := range 50 {
			checkPoint(a, uint32(i+1))
			r.pass(20 * time.Millisecond)
		}
		r.pass(2 * time.Second)
		if n := count(a.since(mark), isWrite(resourceDoc)); n < 2 || n > 4 {
			t.Errorf("%d writes in 3 s", n)
		}
		var last *core.Write
		for _, e := range a.since(mark) {
			if isWrite(resourceDoc)(e) {
				last = e.Write
			}
		}
		if last == nil || last.Resource.Owner.CheckPoint != 50 {
			t.Errorf("last written: %+v", last)
		}
	})
	t.Run("what is urgent waits only for the one under way", func(t *testing.T) {
		r, a := up(t, "a", "b")
		mark := a.mark()
		a.hold["write"] = true
		a.signalFailure()
		r.pass(time.Second)
		if n := count(a.since(mark), isWrite(resourceDoc)); n != 1 {
			t.Fatalf("%d writes while one is under way", n)
		}
		a.releaseWrites()
		if n := count(a.since(mark), isWrite(resourceDoc)); n != 2 {
			t.Errorf("%d writes, want the newest at once", n)
		}
	})
	for name, c := range map[string]struct {
		outcome   core.WriteOutcome
		low, high int
	}{
		"failed: repeated with longer and longer pauses":  {core.WriteFailed, 7, 12},
		"stale: repeated at once, then with pauses, too":  {core.WriteStale, 9, 16},
		"superseded: not repeated, whatever it would say": {core.WriteSuperseded, 2, 3},
	} {
		t.Run(name, func(t *testing.T) {
			r, a := up(t, "a", "b")
			a.outcome = func(w core.Write) core.WriteOutcome {
				if w.Key == resourceDoc {
					return c.outcome
				}
				return ""
			}
			mark := a.mark()
			a.signalFailure()
			r.pass(10 * time.Second)
			if n := count(a.since(mark), isWrite(resourceDoc)); n < c.low || n > c.high {
				t.Errorf("%d writes in 10 s", n)
			}
		})
	}
	t.Run("an idle group writes nothing but its lease", func(t *testing.T) {
		r, a := up(t, "a", "b")
		r.pass(5 * time.Second)
		for _, h := range r.hosts {
			mark := h.mark()
			r.pass(time.Minute)
			for _, e := range h.since(mark) {
				if e.Write != nil || e.Get != nil && h == a || e.FetchPlan != nil {
					t.Errorf("%s: %+v", h.name, e)
				}
			}
			if n := count(h.since(mark), isPut); h == a && (n < 28 || n > 31) || h != a && n != 0 {
				t.Errorf("%s: %d renewals in a minute", h.name, n)
			}
		}
	})
	t.Run("who was owner says nothing once another is", func(t *testing.T) {
		r, a := up(t, "a", "b")
		a.outcome = func(w core.Write) core.WriteOutcome {
			if w.Resource != nil {
				return core.WriteFailed
			}
			return ""
		}
		fail(a)
		r.pass(3 * time.Second)
		if r.status.Owner.PodName != "b" {
			t.Fatal("no failover")
		}
		mark := a.mark()
		r.plan.Service.Ports = []planv1.Port{{Port: 81}}
		r.status.PlanRevision = "p2"
		r.tell()
		r.run()
		r.pass(5 * time.Second)
		for _, e := range a.since(mark) {
			if w := e.Write; w != nil && w.Host == nil {
				t.Errorf("a writes %s", w.Key)
			}
		}
		if r.endpoint.PodName != "b" || r.endpoint.Ports[0].Port != 81 {
			t.Errorf("%+v", r.endpoint)
		}
	})
	t.Run("its own entry comes back if somebody removes it", func(t *testing.T) {
		r, _ := up(t, "a", "b")
		delete(r.status.Hosts, "b")
		r.tell()
		r.run()
		r.pass(2 * time.Second)
		if !r.status.Hosts["b"].Ready {
			t.Error("not written again")
		}
	})
}

// A journal that is a step behind a guard says nothing of what runs under that guard.
func TestStaleJournal(t *testing.T) {
	for _, dumb := range []bool{false, true} {
		r, a := up(t, "a", "b")
		a.dumb = dumb
		old := a.state
		a.kill() // a new life of the container, and online again in it
		r.run()
		r.pass(100 * time.Millisecond)
		a.stop()
		a.state = old
		mark := a.mark()
		a.start()
		r.pass(1500 * time.Millisecond)
		if n := count(a.since(mark), isKill); n != 1 || !a.isOnline() {
			t.Errorf("dumb %t: killed %d times, online %t; want what is unknown killed, and started anew", dumb, n, a.isOnline())
		}
		// The same, and the order to kill is lost with the connection.
		a.stop()
		a.state = old
		mark = a.mark()
		a.hold["kill"] = true
		a.start()
		a.input(core.Input{InitGone: &core.InitGone{Container: "main", Cut: true}})
		a.hold["kill"] = false
		a.connect()
		r.run()
		r.pass(1500 * time.Millisecond)
		if n := count(a.since(mark), isKill); n != 2 || !a.isOnline() {
			t.Errorf("dumb %t: killed %d times, online %t; want the kill repeated", dumb, n, a.isOnline())
		}
	}
}

// Online waits for the journal, which then knows of the tenure in which it was asked for.
func TestOnlineIsInTheJournal(t *testing.T) {
	_, a := up(t, "a", "b")
	barrier := false
	for _, e := range a.effects {
		if e.Journal != nil {
			barrier = e.Journal.Barrier
		}
		if e.Call != nil && e.Call.Op == engine.OpOnline && !barrier {
			t.Error("Online does not wait for the journal")
		}
	}
}

func TestPlanThatWasTakenBack(t *testing.T) {
	r, a := up(t, "a", "b")
	a.hold["plan"] = true
	before := r.plan
	r.status.PlanRevision, r.plan.Online = "p2", false
	a.seeGroup()
	r.run()
	r.status.PlanRevision, r.plan = "p1", before
	a.seeGroup()
	r.run()
	mark := a.mark()
	a.release("plan")
	r.pass(time.Second)
	if n := count(a.since(mark), calls(engine.OpOffline)); n != 0 || !a.isOnline() {
		t.Errorf("%d calls of Offline, online %t", n, a.isOnline())
	}
}

// A refused plan is refused once, not with every change of the group's status.
func TestRefusedPlanIsNotFetchedAgain(t *testing.T) {
	r, a := up(t, "a", "b")
	r.status.PlanRevision = "p2"
	r.plan.Containers = append(slices.Clone(r.plan.Containers), "elsewhere")
	mark := a.mark()
	for range 3 {
		r.tell()
		r.run()
		r.pass(time.Second)
	}
	fetched := func(e core.Effect) bool { return e.FetchPlan != nil }
	if n := count(a.since(mark), fetched); n != 1 || !a.isOnline() {
		t.Errorf("fetched %d times, online %t", n, a.isOnline())
	}
}

func TestMoveThatCannotBeProvenEnds(t *testing.T) {
	r, a := up(t, "a", "b")
	a.hold["kill"] = true
	r.ask(core.ControlCall{Name: "m", Code: "MOVE", TimeoutMilliseconds: 5000})
	r.pass(time.Minute)
	f := r.finish["m"]
	if f == nil || f.Reason != v1alpha1.ReasonTimedOut || !strings.Contains(f.Message, "container main") {
		t.Errorf("%+v", f)
	}
	if c := r.status.Owner; c.PodName != "a" {
		t.Errorf("owner %s", c.PodName)
	}
}

// The condition says what is not proven, also while no stop of all is due.
func TestStopFailedIsSaid(t *testing.T) {
	r, a := up(t, "a", "b")
	a.hold["kill"] = true
	a.input(core.Input{ProviderDown: &engine.ProviderDown{Container: "main", Reason: "EOF"}})
	r.pass(5 * time.Minute)
	var last []core.Condition
	for _, e := range a.effects {
		if e.Write != nil && e.Write.Group != nil {
			last = e.Write.Group.Conditions
		}
	}
	if !slices.ContainsFunc(last, func(c core.Condition) bool { return c.Type == v1alpha1.ConditionStopFailed && c.Status }) {
		t.Errorf("%+v", last)
	}
}

// The grace period counts from the first request to end, whatever became of the
// monitor that heard it.
func TestGraceCountsOnce(t *testing.T) {
	_, a := up(t, "a", "b")
	at := a.rig.now
	a.input(core.Input{Stopping: &core.Stopping{Container: "main"}})
	var s core.State
	must(t, json.Unmarshal(a.state, &s))
	if s.Draining.Boot < at.Boot || s.Draining.Boot > a.rig.now.Boot {
		t.Errorf("the journal says %+v", s.Draining)
	}
}

// A monitor that was replaced in a pod that lived on does not count from that drain.
func TestGraceOfAnEarlierDrain(t *testing.T) {
	r, a := up(t, "a", "b")
	a.grace = 60000
	a.input(core.Input{Drain: &core.Drain{Reason: "MonitorStopping"}})
	r.pass(5 * time.Second)
	a.stop()
	a.nonce++
	a.start()
	r.pass(time.Hour)
	r.ask(core.ControlCall{Name: "back", Code: "MOVE"})
	r.pass(20 * time.Second)
	if !a.isOnline() {
		t.Fatalf("%+v", r.status.Owner)
	}
	mark := a.mark()
	a.hold["Offline"] = true
	a.input(core.Input{Stopping: &core.Stopping{Container: "main"}})
	r.pass(time.Second)
	if off, ended := count(a.since(mark), calls(engine.OpOffline)), count(a.since(mark), calls(engine.OpTerminate)); off != 1 || ended != 0 {
		t.Errorf("%d calls of Offline, %d of Terminate, want an orderly stop", off, ended)
	}
}

// What a control call began may go on after its answer: it ends with the ownership.
func TestControlCallEndsWithTheOwnership(t *testing.T) {
	r, a := up(t, "a", "b")
	r.plan.Resources[0].Online = false
	r.status.PlanRevision = "p2"
	r.tell()
	r.run()
	r.pass(2 * time.Second)
	r.ask(core.ControlCall{Name: "there", Code: "MOVE"})
	r.pass(20 * time.Second)
	b := r.host("b")
	if r.status.Owner.PodName != "b" || a.isOnline() || b.isOnline() {
		t.Fatalf("%+v", r.status.Owner)
	}
	b.async = true
	r.ask(core.ControlCall{Name: "backup", ResourceName: "store", Code: "BACKUP"})
	r.pass(time.Second)
	kills := b.kills
	r.ask(core.ControlCall{Name: "back", Code: "MOVE"})
	r.pass(20 * time.Second)
	if r.status.Owner.PodName != "a" || b.kills == kills {
		t.Errorf("owner %s; the container of the control call was emptied %d times", r.status.Owner.PodName, b.kills-kills)
	}
}

func TestEndpointIsRepaired(t *testing.T) {
	r, a := up(t, "a", "b")
	right := *r.endpoint
	if right.Address == "" {
		t.Fatalf("%+v", right)
	}
	mark := a.mark()
	seen := func(h *host, change func(*core.EndpointDocument)) {
		d := right
		change(&d)
		r.endpoint = &d
		h.input(core.Input{Endpoint: &d})
		r.pass(2 * time.Second)
	}
	seen(a, func(*core.EndpointDocument) {})
	for _, e := range a.since(mark) {
		if e.Write != nil && e.Write.Endpoint != nil {
			t.Error("what is right was written again")
		}
	}
	for what, change := range map[string]func(*core.EndpointDocument){
		"made anew, empty": func(d *core.EndpointDocument) { *d = core.EndpointDocument{Service: d.Service} },
		"another address":  func(d *core.EndpointDocument) { d.Address = "192.0.2.1" },
		"other ports":      func(d *core.EndpointDocument) { d.Ports = nil },
	} {
		if seen(a, change); !reflect.DeepEqual(*r.endpoint, right) {
			t.Errorf("%s: %+v stays", what, r.endpoint)
		}
	}
	// It is the owner's: neither a standby nor an owner of before may touch it.
	if seen(r.host("b"), func(d *core.EndpointDocument) { d.Address = "" }); r.endpoint.Address != "" {
		t.Errorf("a standby wrote %+v", r.endpoint)
	}
	if seen(a, func(d *core.EndpointDocument) { d.Epoch++; d.Address = "" }); r.endpoint.Address != "" {
		t.Errorf("an owner of before wrote %+v", r.endpoint)
	}
}

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
	a.input(core.Input{Drain: &core.Drain{Reason: "PodStopping"}})
	r.pass(2 * time.Second)
	if h := r.status.Owner.History; len(h) != 2 || h[0].Reason != "Drain" || h[0].UntilTime == nil {
		t.Errorf("%+v", h)
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

func TestOutageOfTheAPIServer(t *testing.T) {
	r, a := up(t, "a", "b")
	r.pass(time.Second)
	epoch := r.status.Owner.Epoch
	for _, h := range r.hosts {
		h.cut = true
	}
	r.pass(5200 * time.Millisecond)
	if a.isOnline() {
		t.Fatal("still online")
	}
	for _, h := range r.hosts {
		h.cut = false
		h.seeGroup()
	}
	r.run()
	r.pass(5 * time.Second)
	o := r.status.Owner
	if o.State != v1alpha1.GroupOnline {
		t.Fatalf("%+v", o)
	}
	last := o.Timeline[len(o.Timeline)-1]
	if o.Epoch == epoch && (last.Kind != "Restart" || last.Cause != "SelfStop" || last.OnlineTime == nil) {
		t.Errorf("%+v", last)
	}
}

func TestDrain(t *testing.T) {
	t.Run("the owner hands over, then leaves", func(t *testing.T) {
		r, a := up(t, "a", "b")
		a.input(core.Input{Drain: &core.Drain{Reason: "Test"}})
		r.pass(time.Second)
		if !a.done || a.connected || !r.host("b").isOnline() {
			t.Errorf("done %v, connected %v", a.done, a.connected)
		}
	})
	t.Run("asked by its container, it stays until it is asked itself", func(t *testing.T) {
		r, a := up(t, "a", "b")
		a.input(core.Input{Stopping: &core.Stopping{Container: "main"}})
		r.pass(time.Second)
		if a.done || a.connected {
			t.Fatalf("done %v, connected %v", a.done, a.connected)
		}
		a.input(core.Input{Drain: &core.Drain{Reason: "Test"}})
		if !a.done {
			t.Error("does not leave")
		}
	})
	t.Run("a container that comes back begins another life", func(t *testing.T) {
		r, a := up(t, "a", "b")
		a.input(core.Input{Stopping: &core.Stopping{Container: "main"}})
		r.pass(time.Second)
		a.connect()
		if r.run(); !a.done {
			t.Error("the old life goes on")
		}
	})
	t.Run("not before the stop is proven", func(t *testing.T) {
		r, a := up(t, "a", "b")
		a.hold["emptied"] = true
		a.input(core.Input{Drain: &core.Drain{Reason: "Test"}})
		r.pass(20 * time.Second)
		if a.done || r.host("b").isOnline() {
			t.Errorf("done %v, b online %v", a.done, r.host("b").isOnline())
		}
	})
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

// An engine that does not answer must not keep a lease alive.
func TestEngineThatHangs(t *testing.T) {
	r, a := up(t, "a", "b")
	a.hold["tick"] = true
	r.pass(3 * time.Second)
	mark := a.mark()
	renewed := r.lease.RenewTime
	r.pass(10 * time.Second)
	if n := count(a.since(mark), isPut); n != 0 || a.isOnline() {
		t.Errorf("%d renewals, online %v", n, a.isOnline())
	}
	taken := r.status.Owner.History[1].SinceTime
	if !r.host("b").isOnline() || taken.Sub(*renewed) < 6*time.Second {
		t.Errorf("b online %v, taken %v after the last renewal", r.host("b").isOnline(), taken.Sub(*renewed))
	}
}

func TestPlanThatIsRefused(t *testing.T) {
	for name, change := range map[string]func(p *planv1.Plan){
		"newer format":      func(p *planv1.Plan) { p.Version = planv1.Version + 1 },
		"another group":     func(p *planv1.Plan) { p.Group = "other" },
		"unknown container": func(p *planv1.Plan) { p.Containers = []string{"main", "more"} },
	} {
		t.Run(name, func(t *testing.T) {
			r, a := up(t, "a", "b")
			good := r.plan
			change(&r.plan)
			r.plan.Resources = nil
			r.status.PlanRevision = "p2"
			mark := a.mark()
			r.tell()
			r.run()
			refused := count(a.since(mark), func(e core.Effect) bool { return e.Log != nil && e.Log.Reason == "PlanRefused" })
			if refused != 1 || !a.isOnline() || r.status.Hosts["a"].PlanRevision != "p1" {
				t.Fatalf("refused %d times, online %v, %+v", refused, a.isOnline(), r.status.Hosts["a"])
			}
			// It fails over on the plan that stands, and a restart keeps it.
			a.stop()
			r.pass(7 * time.Second)
			if !r.host("b").isOnline() {
				t.Error("no failover")
			}
			r.plan = good
		})
	}
	t.Run("unreadable", func(t *testing.T) {
		r, a := up(t, "a", "b")
		a.hold["plan"] = true
		r.status.PlanRevision = "p2"
		r.tell()
		r.run()
		a.held["plan"] = nil
		a.input(core.Input{Plan: &core.Plan{Revision: "p2", Error: "no JSON"}})
		if !a.isOnline() || r.status.Hosts["a"].PlanRevision != "p1" {
			t.Errorf("%+v", r.status.Hosts["a"])
		}
	})
}

// A plan that differs in nothing that monitors act on is taken, reported, and
// nothing else: no call into a provider, no write of the Lease but renewals.
func TestPlanOfAnotherNumberOfHosts(t *testing.T) {
	r, a := up(t, "a", "b")
	marks, epoch := map[string]int{}, r.status.Owner.Epoch
	for _, h := range r.hosts {
		marks[h.name] = h.mark()
	}
	r.plan.Hosts, r.status.PlanRevision = 5, "p2"
	r.tell()
	r.pass(2 * time.Second)
	for _, h := range r.hosts {
		if got := r.status.Hosts[h.name].PlanRevision; got != "p2" {
			t.Errorf("%s runs %s", h.name, got)
		}
		acted := func(e core.Effect) bool {
			return e.Kill != nil || e.Exit != nil || e.Call != nil && e.Call.Op != engine.OpLooksAlive && e.Call.Op != engine.OpIsAlive
		}
		if n := count(h.since(marks[h.name]), acted); n != 0 {
			t.Errorf("%s: %d effects on resources", h.name, n)
		}
	}
	if !a.isOnline() || r.status.Owner.Epoch != epoch || r.status.Owner.PlanRevision != "p2" {
		t.Errorf("online %v, %+v", a.isOnline(), r.status.Owner)
	}
}

func TestMonitorRestart(t *testing.T) {
	quiet := func(e core.Effect) bool {
		return e.Kill != nil || e.Call != nil && (e.Call.Op == engine.OpOnline ||
			e.Call.Op == engine.OpOffline || e.Call.Op == engine.OpTerminate)
	}
	t.Run("the same epoch goes on, as often as you like", func(t *testing.T) {
		r, a := up(t, "a", "b")
		epoch, story := r.status.Owner.Epoch, asJSON(t, r.status.Owner.Timeline)
		mark := a.mark()
		a.hold["plan"] = true // the last accepted one is in the journal
		for range 5 {
			a.stop()
			r.pass(300 * time.Millisecond)
			a.start()
			r.pass(700 * time.Millisecond)
		}
		r.pass(10 * time.Second)
		if n := count(a.since(mark), quiet); n != 0 || !a.isOnline() || r.status.Owner.Epoch != epoch {
			t.Errorf("%d calls or kills, online %v, epoch %d after %d", n, a.isOnline(), r.status.Owner.Epoch, epoch)
		}
		if e := asJSON(t, r.status.Owner.Timeline); e != story {
			t.Errorf("%s, before %s", e, story)
		}
		a.signalFailure()
		r.pass(time.Second)
		if e := r.status.Owner.Timeline; len(e) != 2 || e[1].Kind != "Restart" || !a.isOnline() {
			t.Errorf("%+v", e)
		}
	})
	for name, between := range map[string]func(r *rig, a *host){
		"taken by another meanwhile": func(r *rig, _ *host) {
			r.takeAway()
		},
		"guard expired": func(r *rig, _ *host) {
			r.hosts[1].stop()
			r.pass(6 * time.Second)
		},
		"state folder erased": func(_ *rig, a *host) { a.state = nil },
	} {
		t.Run(name, func(t *testing.T) {
			r, a := up(t, "a", "b")
			a.stop()
			between(r, a)
			a.start()
			r.pass(100 * time.Millisecond)
			if a.isOnline() {
				t.Fatal("it goes on")
			}
			r.pass(100 * time.Millisecond)
			for i, e := range a.effects[max(0, len(a.effects)-200):] {
				if e.Put != nil && e.Put.Record.Epoch == r.status.Owner.Epoch && e.Put.Record.Inc == "a-1" {
					t.Errorf("effect %d renews what is not its own", i)
				}
			}
		})
	}
	t.Run("without a journal nothing is proven before init proves it", func(t *testing.T) {
		r, a := up(t, "a")
		a.stop()
		a.state = nil
		a.hold["emptied"], a.hold["kill"] = true, true
		a.start()
		r.pass(4 * time.Second) // less than the guard of before
		if s := core.RoleOf(a.core); s != ownership.Clearing {
			t.Fatalf("role %s", s)
		}
		a.hold["kill"] = false
		a.kill()
		a.release("emptied")
		if s := core.RoleOf(a.core); s != ownership.Observer {
			t.Fatalf("role %s", s)
		}
	})
}
