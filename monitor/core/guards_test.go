// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"testing"
	"time"

	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/core"
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
