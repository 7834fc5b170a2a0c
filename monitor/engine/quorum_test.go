// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"encoding/json"
	"slices"
	"testing"
	"time"
)

// What is not quorum-capable has nothing to lose.
var _ = everySame("Callback/QuorumResourceLost", lostEvent, "Note(NotHeld) Reply(5021,0)")

var lostEvent = Event{Callback: &Callback{ID: 1, Container: "c", Handle: "a", QuorumResourceLost: &QuorumResourceLost{}}}

// quorum is a resource of a quorum-capable type.
func quorum(r Resource) Resource {
	r.ArbitrationTimeout = 20 * sec
	return r
}

func (g *rig) capable(c, nonce string) []Action {
	g.t.Helper()
	return g.send(Event{ProviderUp: &ProviderUp{Container: c, Nonce: nonce, Capabilities: []string{CapabilityQuorum}}})
}

// arbitrating is an owner that has called Arbitrate of "q" and nothing else. "q" is in
// container q, the others in c.
func arbitrating(t *testing.T, others ...Resource) *rig {
	t.Helper()
	g := newRig(t)
	q := quorum(controlled("q"))
	q.Container = "q"
	g.plan(append([]Resource{q}, others...)...)
	g.capable("q", "q1")
	if len(others) > 0 {
		g.up("c", "c1")
	}
	g.openAll()
	g.grant(1)
	g.guard("c", 1)
	g.guard("q", 1)
	g.flying("Arbitrate q")
	return g
}

// holding is one that won and has everything online.
func holding(t *testing.T, others ...Resource) *rig {
	t.Helper()
	g := arbitrating(t, others...)
	g.ok(OpArbitrate, "q")
	g.onlineAll()
	for _, r := range append(others, res("q")) {
		g.is(r.UID, Online)
	}
	return g
}

// lose is QuorumResourceLost of "q".
func (g *rig) lose() Reply {
	g.t.Helper()
	return g.cb(Callback{Container: "q", Handle: "q", QuorumResourceLost: &QuorumResourceLost{}})
}

func (g *rig) arbitration(want ArbitrationSnapshot) {
	g.t.Helper()
	got := g.snap("q").Arbitration
	if got == nil {
		g.t.Fatal("no arbitration")
	}
	if got.Message == "" != (want.Lost == "") {
		g.t.Fatalf("message %q", got.Message)
	}
	if got.Message = ""; *got != want {
		g.t.Fatalf("arbitration %+v, want %+v", *got, want)
	}
}

var held = ArbitrationSnapshot{Epoch: 1, Held: true}

// calm: no failure was counted of any resource.
func (g *rig) calm() {
	g.t.Helper()
	for _, r := range g.e.Snapshot(g.now).Resources {
		if r.TotalFailures != 0 || len(r.Failures) != 0 || r.LastFailure != nil {
			g.t.Fatalf("%s: %+v", r.Spec.UID, r.LastFailure)
		}
	}
}

// Shows: Arbitrate. Nothing starts before it is won, under each epoch anew.
func TestArbitrateBeforeAnythingIsOnline(t *testing.T) {
	g := arbitrating(t, res("a"), res("b", "q"))
	c := g.call(OpArbitrate, "q")
	g.want(c.Epoch == 1 && c.Deadline == g.now.Boot+int64(20*sec), "%+v", c)
	g.waits("q", ReasonWaitingArbitration)
	g.waits("a", ReasonWaitingArbitration, "q")
	g.waits("b", ReasonWaitingArbitration, "q")
	// The journal knows before the provider does: nothing is called and forgotten.
	g = arbitrating(t)
	barrier := slices.IndexFunc(g.last, func(a Action) bool { return a.Journal != nil && a.Journal.Barrier })
	call := slices.IndexFunc(g.last, func(a Action) bool { return a.Call != nil })
	g.want(barrier >= 0 && barrier < call, "%d %d", barrier, call)

	g = holding(t, res("a"), res("b", "q"))
	g.arbitration(held)
	g.calm()
	g.grant(2)
	g.arbitration(ArbitrationSnapshot{})
	for _, u := range []string{"a", "b", "q"} {
		g.ok(OpTerminate, u)
	}
	g.want(g.call(OpOnline, "a") == nil, "online without arbitration")
	g.guard("c", 2)
	g.guard("q", 2)
	g.want(g.call(OpArbitrate, "q").Epoch == 2, "not arbitrated in epoch 2")
	g.want(g.call(OpOnline, "a") == nil, "online without arbitration")
	g.ok(OpArbitrate, "q")
	g.want(g.call(OpOnline, "a") != nil, "not online")
}

// All quorum resources that are wanted online must be won; others do not count.
func TestAllMustBeWon(t *testing.T) {
	p := quorum(controlled("p"))
	p.Container = "q"
	g := arbitrating(t, res("a"), offline(p))
	g.ok(OpArbitrate, "q")
	g.want(g.call(OpOnline, "a") != nil && g.call(OpArbitrate, "p") == nil, "p counts although it is not wanted")

	g = newRig(t)
	q := quorum(controlled("q"))
	q.Container = "q"
	g.plan(p, q, res("a"))
	g.capable("q", "q1")
	g.up("c", "c1")
	g.openAll()
	g.grant(1)
	g.guard("q", 1)
	g.guard("c", 1)
	g.flying("Arbitrate p", "Arbitrate q")
	g.ok(OpArbitrate, "p")
	g.waits("p", ReasonWaitingArbitration, "q")
	g.flying("Arbitrate q")
	g.ok(OpArbitrate, "q")
	g.flying("Online p", "Online q", "Online a")
}

func TestNotQuorumCapable(t *testing.T) {
	g := newRig(t)
	g.plan(quorum(controlled("q")), res("a"))
	g.up("c", "c1")
	g.openAll()
	g.grant(1)
	g.guard("c", 1)
	g.flying()
	g.want(g.noted(ReasonNotQuorumCapable), "not said")
	g.waits("q", ReasonNotQuorumCapable)
	g.waits("a", ReasonWaitingArbitration, "q")
	g.want(g.snap("q").LastOperationStatusCode == CodeNotQuorumCapable, "%+v", g.snap("q"))
	g.send(Event{Timer: &Timer{}})
	g.want(!g.noted(ReasonNotQuorumCapable), "said twice")
	g.empty("c", "c2")
	g.capable("c", "c2")
	g.openAll()
	g.guard("c", 1)
	g.flying("Arbitrate q")
}

// Arbitrate lost: no failure, another host at once, and here again after a pause.
func TestArbitrationLost(t *testing.T) {
	for name, a := range map[string]Returned{
		"5006":        {Status: CodeResourceNotAvailable, Message: "host b has it"},
		"any error":   {Status: CodeAccessDenied},
		"unavailable": {Outcome: Unavailable},
		"broken":      {Outcome: Broken},
	} {
		t.Run(name, func(t *testing.T) {
			g := arbitrating(t, res("a"))
			g.answer(OpArbitrate, "q", a)
			g.want(g.need.Failover && g.need.Immediate && g.need.Arbitration() && g.need.Resource == "q" &&
				g.need.Reason == ReasonArbitrationLost && g.need.Message != "", "%+v", g.need)
			g.arbitration(ArbitrationSnapshot{Lost: ReasonArbitrationLost})
			g.flying()
			g.want(len(g.restarts()) == 0, "nothing ran, and a container is emptied")
			g.waits("a", ReasonWaitingArbitration, "q")
			pause := sec
			for range 8 {
				g.pass(pause - ms)
				g.flying()
				g.pass(ms)
				g.flying("Arbitrate q")
				g.answer(OpArbitrate, "q", a)
				pause = min(2*pause, 30*sec)
			}
			g.calm()
			g.pass(30 * sec)
			g.ok(OpArbitrate, "q")
			g.want(!g.need.Failover, "%+v", g.need)
			g.arbitration(held)
			g.onlineAll()
			g.is("a", Online)
			g.calm()
		})
	}
}

// A host that lost waits also in its next epoch: two that both lose must not hand the
// group to and fro without end.
func TestPauseOutlivesTheEpoch(t *testing.T) {
	g := arbitrating(t)
	g.answer(OpArbitrate, "q", Returned{Status: 5006})
	g.revoke(Ordered)
	g.empty("q", "q2")
	g.want(g.proven == 1, "not proven")
	g.capable("q", "q2")
	g.openAll()
	g.grant(2)
	g.guard("q", 2)
	g.flying()
	g.want(!g.need.Failover, "what was lost was another epoch's: %+v", g.need)
	g.pass(sec)
	g.flying("Arbitrate q")
	// Long after, it is a matter of its own.
	g.answer(OpArbitrate, "q", Returned{Status: 5006})
	g.revoke(Kill)
	g.empty("q", "q3")
	g.pass(3600 * sec)
	g.capable("q", "q3")
	g.openAll()
	g.grant(3)
	g.guard("q", 3)
	g.answer(OpArbitrate, "q", Returned{Status: 5006})
	g.pass(sec)
	g.flying("Arbitrate q")
}

// No answer in time is lost too, and beyond that a deadlock like any other.
func TestArbitrateHangs(t *testing.T) {
	g := arbitrating(t, res("a"))
	g.pass(20*sec - ms)
	g.flying("Arbitrate q")
	g.pass(ms)
	g.want(g.need.Arbitration(), "%+v", g.need)
	g.want(slices.ContainsFunc(g.last, func(a Action) bool { return a.Restart != nil && a.Restart.Container == "q" }), "it lives")
	g.calm()
}

// Shows: QuorumResourceLost. Everything of the group stops at once, without Offline; the
// containers are emptied; the group is to go, and nothing starts before another
// arbitration was won.
func TestQuorumResourceLost(t *testing.T) {
	g := holding(t, res("a"), res("b", "q"))
	reply := g.lose()
	g.want(reply.Code == CodeSuccess, "%+v", reply)
	// The reply alone waits for the journal.
	barrier := slices.IndexFunc(g.last, func(a Action) bool { return a.Journal != nil && a.Journal.Barrier })
	for i, a := range g.last {
		g.want(a.Reply == nil || i > barrier, "replied before it is durable")
		g.want(a.Call == nil || i < barrier, "the stop waits for the disk")
	}
	g.flying("Terminate a", "Terminate b", "Terminate q")
	g.want(g.need.Arbitration() && g.need.Immediate && g.need.Reason == ReasonQuorumLost, "%+v", g.need)
	for _, u := range []string{"a", "b", "q"} {
		g.ok(OpTerminate, u)
	}
	g.flying()
	// Ownership says that nobody else can take it: the engine goes on by itself.
	g.empty("c", "c2")
	g.want(g.e.Snapshot(g.now).Phase == Stopping, "not every container is empty")
	g.empty("q", "q2")
	g.want(g.e.Snapshot(g.now).Phase == Owner && g.proven == 0, "%+v", g.e.Snapshot(g.now))
	g.want(g.need.Arbitration(), "%+v", g.need)
	g.up("c", "c2")
	g.capable("q", "q2")
	g.openAll()
	g.guard("c", 1)
	g.guard("q", 1)
	g.flying()
	g.pass(sec)
	g.flying("Arbitrate q")
	g.ok(OpArbitrate, "q")
	g.onlineAll()
	g.is("b", Online)
	g.want(!g.need.Failover, "%+v", g.need)
	g.calm()
}

// A release that comes meanwhile does not soften the stop, and ends with Proven.
func TestReleaseAfterQuorumResourceLost(t *testing.T) {
	g := holding(t, res("a"))
	g.lose()
	g.revoke(Ordered)
	g.flying("Terminate a", "Terminate q")
	g.ok(OpTerminate, "a")
	g.ok(OpTerminate, "q")
	g.flying() // no Release: there is nothing to release
	g.want(g.proven == 0, "proven by words")
	g.empty("c", "c2")
	g.empty("q", "q2")
	g.want(g.proven == 1 && g.e.Snapshot(g.now).Phase == Observer, "%+v", g.e.Snapshot(g.now))
	g.calm()
}

// A hard stop waits for nobody.
func TestQuorumLostWhileTerminateHangs(t *testing.T) {
	g := holding(t, res("a"))
	g.lose()
	g.pass(sec)
	g.want(len(g.restarts()) == 2, "%+v", g.last)
}

func TestQuorumLostInEveryOrder(t *testing.T) {
	t.Run("before the answer to Arbitrate", func(t *testing.T) {
		g := arbitrating(t, res("a"))
		g.want(g.lose().Code == CodeSuccess, "refused")
		g.flying("Arbitrate q")
		g.ok(OpArbitrate, "q")
		g.flying()
		g.arbitration(ArbitrationSnapshot{Lost: ReasonQuorumLost})
		g.want(g.need.Arbitration(), "%+v", g.need)
	})
	t.Run("before the answer that it was not won", func(t *testing.T) {
		g := arbitrating(t, res("a"))
		g.lose()
		g.answer(OpArbitrate, "q", Returned{Status: 5006})
		g.arbitration(ArbitrationSnapshot{Lost: ReasonArbitrationLost})
	})
	t.Run("while others come online", func(t *testing.T) {
		g := arbitrating(t, res("a"), res("b", "q"))
		g.ok(OpArbitrate, "q")
		g.flying("Online a", "Online q")
		g.lose()
		g.flying("Online a", "Online q", "Terminate a", "Terminate q")
		g.ok(OpOnline, "a")
		g.ok(OpOnline, "q")
		g.want(g.call(OpOnline, "b") == nil, "b starts after it was lost")
	})
	t.Run("while the group stops in order", func(t *testing.T) {
		g := holding(t, res("a"))
		g.revoke(Ordered)
		g.flying("Offline a", "Offline q")
		g.lose()
		g.flying("Offline a", "Offline q", "Terminate a", "Terminate q")
	})
	t.Run("under an earlier epoch", func(t *testing.T) {
		g := holding(t)
		g.grant(2)
		g.want(g.lose().Code == CodeInvalidState, "taken")
		g.want(!g.need.Failover, "%+v", g.need)
	})
	t.Run("twice", func(t *testing.T) {
		g := holding(t)
		g.lose()
		g.want(g.lose().Code == CodeInvalidState, "taken twice")
		g.want(g.noted(ReasonNotHeld), "not noted")
		g.lose()
		g.want(!g.noted(ReasonNotHeld), "noted each time")
	})
	t.Run("Online says that another system won", func(t *testing.T) {
		g := arbitrating(t, res("a"))
		g.ok(OpArbitrate, "q")
		g.ok(OpOnline, "a")
		g.answer(OpOnline, "q", Returned{Status: CodeResourceNotAvailable})
		g.flying("Terminate a", "Terminate q")
		g.want(g.need.Arbitration(), "%+v", g.need)
		g.calm()
	})
}

// TestQuorumResourceLostInEveryState: what it does to the quorum resource itself, by
// whether it is held.
func TestQuorumResourceLostInEveryState(t *testing.T) {
	held := func(state State) *rig {
		g := arbitrating(t)
		g.ok(OpArbitrate, "q")
		switch state {
		case Online:
			g.ok(OpOnline, "q")
		case OfflinePending:
			g.ok(OpOnline, "q")
			g.plan(with(g.e.resources[0].spec, func(r *Resource) { r.DesiredState = DesiredOffline }))
		case Failed:
			g.ok(OpOnline, "q")
			g.signal("q", true)
		}
		g.is("q", state)
		return g
	}
	for state, want := range map[State]string{
		OnlinePending:  "OfflinePending: Terminate",
		Online:         "OfflinePending: Terminate",
		OfflinePending: "OfflinePending: Terminate",
		Failed:         "Failed:",
	} {
		g := held(state)
		calls := len(g.calls)
		g.want(g.lose().Code == CodeSuccess, "%s: refused", state)
		got := string(g.snap("q").State) + ":"
		for _, c := range g.calls[calls:] {
			got += " " + string(c.Op)
		}
		g.want(got == want, "%s: %s, want %s", state, got, want)
	}
	for name, g := range map[string]*rig{
		"Initializing": func() *rig {
			g := newRig(t)
			q := quorum(controlled("q"))
			q.Container = "q"
			g.plan(q)
			g.capable("q", "q1")
			return g
		}(),
		"Offline, lost": func() *rig {
			g := arbitrating(t)
			g.answer(OpArbitrate, "q", Returned{Status: 5006})
			return g
		}(),
	} {
		g.want(g.lose().Code == CodeInvalidState, "%s: taken", name)
	}
}

// Shows: Release. It comes after all else in an ordered stop, before Proven.
func TestReleaseAtTheEnd(t *testing.T) {
	released := func() *rig {
		g := holding(t, res("a"), res("b", "q"))
		g.revoke(Ordered)
		g.flying("Offline a", "Offline b")
		g.ok(OpOffline, "b")
		g.flying("Offline a", "Offline q")
		g.ok(OpOffline, "q")
		g.flying("Offline a")
		g.want(len(g.restarts()) == 0, "its container is emptied before Release")
		g.ok(OpOffline, "a")
		g.flying("Release q")
		g.want(g.call(OpRelease, "q").Deadline == g.now.Boot+int64(sec), "%+v", g.call(OpRelease, "q"))
		return g
	}
	end := func(g *rig) {
		t.Helper()
		g.flying()
		g.empty("c", "c2")
		g.want(g.proven == 0, "proven")
		g.empty("q", "q2")
		g.want(g.proven == 1, "not proven")
		g.calm()
	}
	g := released()
	g.ok(OpRelease, "q")
	g.want(g.noted(ReasonArbitrationReleased), "not said")
	end(g)

	g = released()
	g.answer(OpRelease, "q", Returned{Status: CodeAccessDenied})
	g.want(g.noted(ReasonReleaseFailed), "not said")
	end(g)

	g = released() // hangs
	g.pass(sec)
	g.want(g.noted(ReasonReleaseFailed), "not said")
	end(g)

	g = released() // no time for it
	g.revoke(Emergency)
	g.calls = nil
	end(g)

	for _, m := range []RevokeMode{Emergency, Kill} {
		g = holding(t, res("a"))
		g.revoke(m)
		for _, c := range slices.Clone(g.calls) {
			g.ok(c.Op, c.Resource)
		}
		g.want(g.call(OpRelease, "q") == nil, "Release in %s", m)
	}
}

// What is not wanted online here any more is released; the others go on.
func TestReleaseOfWhatIsNotWanted(t *testing.T) {
	g := holding(t, res("a"))
	q := g.e.find("q").spec
	g.plan(offline(q), res("a"))
	g.ok(OpOffline, "q")
	g.flying("Release q")
	g.is("a", Online)
	g.ok(OpRelease, "q")
	g.arbitration(ArbitrationSnapshot{})
	g.plan(q, res("a"))
	g.flying("Arbitrate q")
	g.is("a", Online) // what runs goes on meanwhile
	g.want(g.snap("a").Waiting == "", "%+v", g.snap("a"))
	// But not if it is lost.
	g.answer(OpArbitrate, "q", Returned{Status: 5006})
	g.flying("Terminate a")

	// One that failed is told, and not only when something else is.
	g = holding(t, res("a"))
	g.plan(offline(q), res("a"))
	g.ok(OpOffline, "q")
	g.answer(OpRelease, "q", Returned{Status: CodeAccessDenied})
	g.want(g.noted(ReasonReleaseFailed), "not said")
	g.want(g.snap("q").LastOperationStatusCode == CodeAccessDenied &&
		slices.ContainsFunc(g.last, func(a Action) bool {
			return a.Status != nil && slices.Contains(a.Status.Resources, "q")
		}), "not in the status: %+v", g.last)

	// A Release that is late must not undo what is won after it.
	g = holding(t, res("a"))
	g.plan(offline(q), res("a"))
	g.ok(OpOffline, "q")
	g.pass(sec)
	g.want(len(g.restarts()) == 1 && g.restarts()[0].Container == "q", "%+v", g.last)
	g.is("a", Online)

	g = holding(t)
	g.plan() // removed
	g.ok(OpOffline, "q")
	g.flying("Release q")
	g.ok(OpRelease, "q")
	g.flying("Close q")
}

// Nobody defends what a dead provider won: what runs stops in order, and starts again
// after it was won again.
func TestProviderDiesWhileHeld(t *testing.T) {
	g := holding(t, res("a"))
	g.send(Event{ProviderDown: &ProviderDown{Container: "q", Reason: "EOF"}})
	g.arbitration(ArbitrationSnapshot{Epoch: 1})
	g.flying("Offline a")
	g.want(!g.need.Failover, "%+v", g.need)
	g.ok(OpOffline, "a")
	g.empty("q", "q2")
	g.waits("a", ReasonWaitingArbitration, "q")
	g.capable("q", "q2")
	g.openAll()
	g.flying()
	g.guard("q", 1)
	g.flying("Arbitrate q") // before the RestartDelay is over: it starts nothing
	g.ok(OpArbitrate, "q")
	g.flying("Online a")
	g.pass(500 * ms)
	g.onlineAll()
	g.is("q", Online)
	if s := g.snap("a"); s.TotalFailures != 0 {
		t.Errorf("a failed: %+v", s.LastFailure)
	}
}

// restored is the next life of the monitor, with what the journal has.
func (g *rig) restored() {
	g.t.Helper()
	text, err := json.Marshal(g.e.Snapshot(g.now))
	if err != nil {
		g.t.Fatal(err)
	}
	var s Snapshot
	if err := json.Unmarshal(text, &s); err != nil {
		g.t.Fatal(err)
	}
	g.e, g.calls, g.armed, g.need = Restore(Config{}, s), nil, 0, Need{}
}

func TestMonitorRestartsWhileHeld(t *testing.T) {
	back := func() *rig {
		g := holding(t, res("a"))
		g.restored()
		g.arbitration(held)
		return g
	}
	g := back()
	g.up("c", "c1")
	g.capable("q", "q1")
	g.answer(OpOpen, "a", Returned{State: ReportedOnline})
	g.answer(OpOpen, "q", Returned{State: ReportedOnline})
	g.grant(1)
	g.flying()
	g.is("a", Online)
	g.want(g.lose().Code == CodeSuccess, "refused")

	// The provider died with it.
	g = back()
	g.up("c", "c1")
	g.answer(OpOpen, "a", Returned{State: ReportedOnline})
	g.grant(1)
	g.empty("q", "q2")
	g.arbitration(ArbitrationSnapshot{Epoch: 1})
	g.flying("Offline a")

	// Nothing more is started before it is known that the provider is the same.
	g = holding(t, res("a"))
	g.exit("a")
	g.restored()
	g.arbitration(held)
	g.up("c", "c1")
	g.answer(OpOpen, "a", Returned{State: ReportedOffline})
	g.grant(1)
	g.guard("c", 1)
	g.pass(sec)
	g.waits("a", ReasonWaitingArbitration, "q")
	g.capable("q", "q1")
	g.answer(OpOpen, "q", Returned{State: ReportedOnline})
	g.want(g.call(OpOnline, "a") != nil, "not started: %v", g.inFlight())

	// It is lost before ownership has spoken: the stop does not wait for that.
	g = back()
	g.up("c", "c1")
	g.capable("q", "q1")
	g.answer(OpOpen, "a", Returned{State: ReportedOnline})
	g.answer(OpOpen, "q", Returned{State: ReportedOnline})
	g.lose()
	g.flying("Terminate a", "Terminate q")
	g.want(!g.need.Failover, "%+v", g.need)
	g.grant(1)
	g.want(g.need.Arbitration(), "%+v", g.need)
	g.ok(OpTerminate, "a")
	g.ok(OpTerminate, "q")
	g.empty("c", "c2")
	g.empty("q", "q2")
	g.want(g.e.Snapshot(g.now).Phase == Owner && g.need.Arbitration(), "%+v", g.e.Snapshot(g.now))
}

// A monitor that dies after the loss does not bring back what it was stopping.
func TestMonitorRestartsWhileItStops(t *testing.T) {
	g := holding(t, res("a"))
	g.lose()
	g.restored()
	g.send(Event{Timer: &Timer{}})
	g.want(len(g.restarts()) == 2, "it waits for the providers: %+v", g.last)
	g.grant(1)
	g.up("c", "c1")
	g.flying() // the process that is being killed
	g.empty("c", "c2")
	g.empty("q", "q2")
	g.arbitration(ArbitrationSnapshot{Lost: ReasonQuorumLost})
	g.want(g.need.Arbitration(), "%+v", g.need)
	g.up("c", "c2")
	g.openAll()
	g.guard("c", 1)
	g.want(g.call(OpOnline, "a") == nil, "a is started without arbitration")
}

func TestGrantWhileStopping(t *testing.T) {
	// An emergency stop that was not needed after all: the same epoch, won again
	// only if its provider was lost.
	g := holding(t, res("a"))
	g.revoke(Emergency)
	g.grant(1)
	g.ok(OpTerminate, "a")
	g.ok(OpTerminate, "q")
	g.flying("Online a", "Online q")
	g.arbitration(held)
	// Lost, and granted a later epoch meanwhile.
	g = holding(t, res("a"))
	g.lose()
	g.grant(2)
	g.ok(OpTerminate, "a")
	g.ok(OpTerminate, "q")
	g.empty("c", "c2")
	g.empty("q", "q2")
	g.arbitration(ArbitrationSnapshot{})
	g.want(!g.need.Failover && g.e.Snapshot(g.now).Epoch == 2, "%+v", g.need)
	// The answer to a call of the epoch before says nothing.
	g = arbitrating(t)
	g.grant(2)
	g.guard("q", 2)
	g.flying("Arbitrate q")
	g.ok(OpArbitrate, "q")
	g.want(g.call(OpArbitrate, "q") != nil && g.call(OpArbitrate, "q").Epoch == 2, "%v", g.inFlight())
}

// An arbitration that is under way when the group is given up ends with its process.
func TestStopWhileArbitrating(t *testing.T) {
	g := arbitrating(t)
	g.revoke(Ordered)
	g.want(len(g.restarts()) == 1 && g.proven == 0, "%+v", g.last)
	g.empty("q", "q2")
	g.want(g.proven == 1, "not proven")
}

// RestartDelay, if it is longer, is the first pause.
func TestPauseOfRestartDelay(t *testing.T) {
	g := newRig(t)
	g.plan(with(quorum(controlled("c")), func(r *Resource) { r.RestartDelay = 45 * time.Second }))
	g.capable("c", "c1")
	g.openAll()
	g.grant(1)
	g.guard("c", 1)
	for range 3 {
		g.answer(OpArbitrate, "c", Returned{Status: 5006})
		g.pass(45*sec - ms)
		g.flying()
		g.pass(ms)
		g.flying("Arbitrate c")
	}
}

// A type that becomes quorum-capable while its resource is online: it is won as it runs.
// Shows: Arbitrate.
func TestTypeBecomesQuorumCapableWhileOnline(t *testing.T) {
	g := newRig(t)
	q, a := res("q"), res("a")
	q.Container = "q"
	g.plan(q, a)
	g.capable("q", "q1")
	g.up("c", "c1")
	g.openAll()
	g.grant(1)
	g.guard("c", 1)
	g.guard("q", 1)
	g.onlineAll()
	g.is("a", Online)
	g.is("q", Online)
	q.ArbitrationTimeout = 20 * sec
	g.plan(q, a)
	g.flying("Arbitrate q")
	g.is("q", Online)
	g.cb(Callback{Container: "c", Handle: "a", SignalFailure: &SignalFailure{Exited: true}})
	g.ok(OpTerminate, "a")
	for range 30 {
		g.pass(10 * sec)
		if c := g.call(OpArbitrate, "q"); c != nil {
			g.ok(OpArbitrate, "q")
		}
		if c := g.call(OpOnline, "a"); c != nil {
			return
		}
		for _, u := range []string{"q"} {
			if g.call(OpLooksAlive, u) != nil {
				g.ok(OpLooksAlive, u)
			}
			if g.call(OpIsAlive, u) != nil {
				g.ok(OpIsAlive, u)
			}
		}
	}
	s := g.snap("a")
	t.Errorf("a is %s, waiting %s %v, need %+v", s.State, s.Waiting, s.WaitingFor, g.need)
}
