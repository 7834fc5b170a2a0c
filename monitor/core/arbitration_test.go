// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"slices"
	"testing"
	"time"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
)

// addQuorum adds the resource "lock" of a quorum-capable type to the plan.
func (r *rig) addQuorum() {
	lock := r.plan.Resources[0]
	lock.UID, lock.Name, lock.ArbitrationTimeout, lock.Controls = "u0", "lock", 20000, nil
	r.plan.Resources = append(r.plan.Resources, lock)
}

func (r *rig) quorum() bool {
	return slices.ContainsFunc(r.plan.Resources, func(p planv1.Resource) bool { return p.ArbitrationTimeout > 0 })
}

// letGo: nothing of the host defends the arbitration any more.
func (h *host) letGo() {
	if h.rig.arbiter == h.name {
		h.rig.arbiter = ""
	}
}

// loseQuorum is what the provider says when somebody else has taken it.
func (h *host) loseQuorum() {
	h.rig.t.Helper()
	h.letGo()
	h.input(core.Input{Callback: &engine.Callback{
		ID: 1, Container: "main", Handle: "u0", QuorumResourceLost: &engine.QuorumResourceLost{},
	}})
}

// withQuorum starts hosts of a group that has to arbitrate, after a change.
func withQuorum(t *testing.T, change func(*rig), names ...string) *rig {
	t.Helper()
	r := newRig(t, names...)
	r.addQuorum()
	// Arbitration is no failover: a group that allows none hands over all the same.
	r.plan.FailoverThreshold = 0
	if change != nil {
		change(r)
	}
	for _, h := range r.hosts {
		h.start()
	}
	r.pass(time.Second)
	return r
}

func (r *rig) record() leasev1.Record {
	r.t.Helper()
	record, err := leasev1.Decode(*r.lease)
	must(r.t, err)
	return record
}

// arbitrated is the condition of "lock", as stored.
func (r *rig) arbitrated(status bool, reason string) {
	r.t.Helper()
	for _, c := range r.docs["lock"].Conditions {
		if c.Type == v1alpha1.ConditionArbitrated && (c.Status != status || c.Reason != reason || c.Absent || !status && reason != "NotHeld" && c.Message == "") {
			r.t.Errorf("%+v, want %v %s", c, status, reason)
		}
	}
	for _, c := range r.docs["store"].Conditions {
		if c.Type == v1alpha1.ConditionArbitrated && !c.Absent {
			r.t.Errorf("store is no quorum resource: %+v", c)
		}
	}
}

// notCounted: no failure of anything, and no failover that a threshold counts.
func (r *rig) notCounted() {
	r.t.Helper()
	for _, d := range r.docs {
		if d.Owner.LastFailure != nil || d.Owner.FailuresInPeriod != 0 {
			r.t.Errorf("%s failed: %+v", d.Name, d.Owner.LastFailure)
		}
	}
	if n := r.record().FailoversSince(time.Time{}, ""); n != 0 {
		r.t.Errorf("%d failovers are counted", n)
	}
}

// The next host tries, at once, and no failure is counted.
func TestArbitrationLostMovesTheGroup(t *testing.T) {
	r := withQuorum(t, func(r *rig) { r.hosts[0].loses = true }, "a", "b")
	if !r.host("b").isOnline() || r.host("a").isOnline() {
		t.Fatalf("%+v", r.status.Owner)
	}
	by := r.record().Failovers
	if len(by) == 0 || by[0].Cause != leasev1.CauseArbitration || by[0].PodUID != "uid-a" || by[0].Reason != "ArbitrationLost" {
		t.Errorf("%+v", by)
	}
	r.notCounted()
	r.arbitrated(true, "ArbitrationWon")
	e := r.status.Owner.Timeline[len(r.status.Owner.Timeline)-1]
	if e.Kind != "Failover" || e.Cause != "Arbitration" || e.ResourceName != "lock" || e.FromPodName != "a" || e.OnlineTime == nil {
		t.Errorf("%+v", e)
	}
	h := r.status.Owner.History
	if len(h) < 2 || h[len(h)-2].Reason != "Arbitration" {
		t.Errorf("%+v", h)
	}
}

// Everything stops at once, whatever the API server does; then another host has it.
func TestQuorumResourceLostMovesTheGroup(t *testing.T) {
	r := withQuorum(t, nil, "a", "b")
	a, b := r.host("a"), r.host("b")
	if !a.isOnline() {
		t.Fatalf("%+v", r.status.Owner)
	}
	r.arbitrated(true, "ArbitrationWon")
	a.cut, a.loses = true, true
	kills, mark := a.kills, a.mark()
	a.loseQuorum()
	if a.isOnline() || a.kills == kills {
		t.Fatalf("online %v, %d kills: it waits for the API server", a.online, a.kills-kills)
	}
	if n := count(a.since(mark), calls(engine.OpOffline)); n != 0 {
		t.Errorf("%d Offlines of a hard stop", n)
	}
	r.pass(time.Second)
	if b.isOnline() {
		t.Error("b is online although nothing was released")
	}
	a.heal()
	r.pass(time.Second)
	if !b.isOnline() || r.arbiter != "b" {
		t.Fatalf("%+v", r.status.Owner)
	}
	if by := r.record().Failovers; len(by) == 0 || by[0].Cause != leasev1.CauseArbitration || by[0].Reason != "QuorumLost" {
		t.Errorf("%+v", by)
	}
	r.notCounted()
	if e := r.status.Owner.Timeline[len(r.status.Owner.Timeline)-1]; e.Cause != "Arbitration" || e.Kind != "Failover" {
		t.Errorf("%+v", e)
	}
}

// Without another host the same one tries again, after a pause, under the same epoch.
func TestNobodyElseCanArbitrate(t *testing.T) {
	r := withQuorum(t, nil, "a")
	a := r.host("a")
	epoch := r.record().Epoch
	a.loses = true
	a.loseQuorum()
	r.pass(time.Minute)
	if a.isOnline() {
		t.Fatal("online although it lost")
	}
	r.arbitrated(false, "ArbitrationLost")
	if m := r.docs["lock"].Owner.Message; m != "it is another's" {
		t.Errorf("message %q", m)
	}
	if c := lastConditions(a)[0]; c.Status || c.Reason != "WaitingForArbitration" || c.Message == "" {
		t.Errorf("%+v", c)
	}
	a.loses = false
	r.pass(30 * time.Second)
	if !a.isOnline() || r.record().Epoch != epoch {
		t.Fatalf("epoch %d after %d, %+v", r.record().Epoch, epoch, r.status.Owner)
	}
	r.notCounted()
	e := r.status.Owner.Timeline[len(r.status.Owner.Timeline)-1]
	if e.Kind != "Restart" || e.Cause != "Arbitration" || e.ResourceName != "lock" || e.OnlineTime == nil {
		t.Errorf("%+v", e)
	}
}

// Two hosts that both lose do not wear the API server out.
func TestNobodyWins(t *testing.T) {
	r := withQuorum(t, func(r *rig) { r.hosts[0].loses, r.hosts[1].loses = true, true }, "a", "b")
	puts := func() int { return count(r.hosts[0].effects, isPut) + count(r.hosts[1].effects, isPut) }
	r.pass(3 * time.Minute)
	before := puts()
	r.pass(3 * time.Minute)
	if n := puts() - before; n > 180 {
		t.Errorf("%d writes of the record in three minutes", n)
	}
	r.hosts[1].loses = false
	r.pass(time.Minute)
	if !r.host("b").isOnline() {
		t.Errorf("%+v", r.status.Owner)
	}
	r.notCounted()
}

// A move is in order: the next host wins because this one has let go.
func TestMoveReleasesTheArbitration(t *testing.T) {
	r := withQuorum(t, nil, "a", "b")
	a := r.host("a")
	mark := a.mark()
	r.ask(core.ControlCall{Name: "m", Code: "MOVE"})
	r.pass(time.Second)
	r.finished("m", v1alpha1.ReasonSucceeded)
	if !r.host("b").isOnline() || count(a.since(mark), calls(engine.OpRelease)) != 1 {
		t.Errorf("%+v", r.status.Owner)
	}
}

// The monitor comes back: what it held it holds, and nothing is arbitrated again.
func TestMonitorRestartsWhileItHoldsTheArbitration(t *testing.T) {
	r := withQuorum(t, nil, "a", "b")
	a := r.host("a")
	mark := a.mark()
	a.stop()
	a.start()
	r.pass(10 * time.Second)
	if !a.isOnline() || count(a.since(mark), calls(engine.OpArbitrate)) != 0 || count(a.since(mark), calls(engine.OpOnline)) != 0 {
		t.Fatalf("%+v", r.status.Owner)
	}
	r.arbitrated(true, "ArbitrationWon")
	a.loseQuorum()
	r.pass(time.Second)
	if a.isOnline() || !r.host("b").isOnline() {
		t.Errorf("%+v", r.status.Owner)
	}
}

// A provider that does not arbitrate cannot serve such a type.
func TestProviderThatDoesNotArbitrate(t *testing.T) {
	r := withQuorum(t, func(r *rig) { r.hosts[0].plain = true }, "a")
	if r.host("a").isOnline() {
		t.Fatal("online without arbitration")
	}
	d := r.docs["lock"].Owner
	if d.Reason != "NotQuorumCapable" || d.Message == "" || d.LastOperationStatusCode != 5021 {
		t.Errorf("%+v", d)
	}
	r.arbitrated(false, "NotHeld")
}
