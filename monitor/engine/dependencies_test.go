// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"testing"
)

func offline(r Resource) Resource { r.DesiredState = DesiredOffline; return r }

func TestAndOfOrs(t *testing.T) {
	rs := []Resource{res("d", "a|b", "x"), res("a"), res("b"), res("x")}
	g := ready(t, rs...)
	g.flying("Online a", "Online b", "Online x") // all operands are attempted
	g.ok(OpOnline, "a")
	g.waits("d", ReasonWaitingDependency, "x")
	g.ok(OpOnline, "x")
	g.flying("Online b", "Online d") // one of a, b is enough
	g.ok(OpOnline, "d")
	g.ok(OpOnline, "b")

	// One of two may go.
	g.signal("a", true)
	g.flying("Terminate a")
	g.is("d", Online)
	g.ok(OpTerminate, "a")
	// The last one may not.
	g.signal("b", true)
	g.flying("Terminate b", "Offline d")
	g.is("d", OfflinePending)
}

func TestDependentsGoOfflineInOrderAndComeBack(t *testing.T) {
	g := online(t, res("a"), res("b", "a"), res("d", "b"))
	g.signal("a", true)
	g.flying("Terminate a", "Offline d")
	g.is("b", Online)
	g.ok(OpTerminate, "a")
	g.ok(OpOffline, "d")
	g.flying("Offline b")
	g.ok(OpOffline, "b")
	g.flying()
	g.waits("b", ReasonWaitingDependency, "a")
	g.pass(500 * ms)
	g.flying("Online a")
	g.ok(OpOnline, "a")
	g.ok(OpOnline, "b")
	g.ok(OpOnline, "d")
	for _, u := range []string{"b", "d"} {
		g.is(u, Online)
		s := g.snap(u)
		g.want(s.TotalFailures == 0 && s.TotalRestarts == 0, "%s is not to blame: %+v", u, s)
	}
}

func TestRestartWaitsForDependentsButNotForEver(t *testing.T) {
	g := online(t, res("a"), with(res("b", "a"), func(r *Resource) { r.PendingTimeout = 3 * sec }))
	g.signal("a", true)
	g.ok(OpTerminate, "a")
	g.pass(sec)
	g.flying("Offline b")
	g.waits("a", ReasonWaitingDependents, "b")
	g.pass(2*sec - ms)
	g.flying("Offline b")
	g.pass(ms) // b hangs: a does not wait for longer than b's PendingTimeout
	g.flying("Offline b", "Online a")
	g.ok(OpOnline, "a")
	g.is("b", OfflinePending)
	g.ok(OpOffline, "b")
	g.flying("Online b")
}

func TestDependentDoesNotLiveThroughTheLoss(t *testing.T) {
	g := online(t, res("a"), with(res("b", "a"), func(r *Resource) { r.PendingTimeout = 3 * sec }), res("d", "b"))
	g.signal("a", true)
	g.ok(OpTerminate, "a")
	g.pass(3 * sec)
	g.ok(OpOnline, "a") // b is still online, since d hangs
	g.is("b", Online)
	g.ok(OpOffline, "d")
	g.flying("Offline b")
}

func TestPendingDependentIsTerminated(t *testing.T) {
	g := ready(t, res("a"), res("b", "a"))
	g.ok(OpOnline, "a")
	g.pend("b")
	g.signal("a", true)
	g.is("b", OfflinePending)
	g.flying("Terminate a", "Terminate b")
	g.ok(OpTerminate, "b")
	g.is("b", Offline)
	g.want(g.snap("b").TotalFailures == 0, "counted as a failure")
}

func TestDesiredOfflineTakesDependentsFirst(t *testing.T) {
	g := online(t, res("a"), res("b", "a"), res("x"))
	g.plan(offline(res("a")), res("b", "a"), res("x"))
	g.flying("Offline b")
	g.is("a", Online)
	g.waits("a", ReasonWaitingDependents, "b")
	g.ok(OpOffline, "b")
	g.flying("Offline a")
	g.ok(OpOffline, "a")
	g.waits("a", ReasonOfflineWanted)
	g.waits("b", ReasonWaitingDependency, "a")
	g.want(g.e.Snapshot(g.now).Group == GroupPartialOnline, "group")
	g.plan(res("a"), res("b", "a"), res("x"))
	g.flying("Online a")
	g.ok(OpOnline, "a")
	g.ok(OpOnline, "b")
	g.want(g.e.Snapshot(g.now).Group == GroupOnline, "group")
}

func TestFailedForGoodKeepsDependentsDown(t *testing.T) {
	g := online(t, with(res("a"), func(r *Resource) { r.RestartAction = DontRestart }), res("b", "a"))
	g.signal("a", true)
	g.ok(OpTerminate, "a")
	g.ok(OpOffline, "b")
	g.pass(100 * sec)
	g.flying()
	g.waits("b", ReasonWaitingDependency, "a")
	g.want(g.e.Snapshot(g.now).Group == GroupFailed, "group")
}

func TestPlanIsRefusedAsAWhole(t *testing.T) {
	deep := []Resource{res("r0")}
	for i := range maxDepth {
		deep = append(deep, res("r"+string(rune(0x100+i)), deep[i].UID))
	}
	for name, rs := range map[string][]Resource{
		"twice":        {res("a"), res("a")},
		"no UID":       {res("")},
		"no container": {with(res("a"), func(r *Resource) { r.Container = "" })},
		"unknown":      {res("a", "b")},
		"itself":       {res("a", "a")},
		"cycle":        {res("a", "b"), res("b", "d"), res("d", "a")},
		"empty term":   {with(res("a"), func(r *Resource) { r.Dependencies = [][]string{{}} })},
		"too deep":     deep,
	} {
		g := online(t, res("z"))
		g.send(Event{PlanChanged: &PlanChanged{Plan: Plan{Revision: "bad", Resources: append(slices.Clone(rs), res("new"))}}})
		g.want(g.noted(ReasonPlanRefused), "%s: not refused", name)
		s := g.e.Snapshot(g.now)
		g.want(s.PlanRevision == "p" && len(s.Resources) == 1 && s.Resources[0].State == Online, "%s: %+v", name, s)
		g.flying()
	}
	g := online(t, deep[:maxDepth]...)
	g.want(g.e.Snapshot(g.now).Group == GroupOnline, "100 deep")
}

func TestPlanAdds(t *testing.T) {
	g := online(t, res("a"))
	g.plan(res("b", "a"), res("a"))
	g.flying("Open b")
	g.is("b", Initializing)
	g.want(g.e.Snapshot(g.now).Group == GroupPending, "group")
	g.ok(OpOpen, "b")
	g.ok(OpOnline, "b")
	g.is("b", Online)
}

func TestPlanRemoves(t *testing.T) {
	g := online(t, res("a"), res("b", "a"))
	g.plan()
	g.flying("Offline b")
	g.want(g.snap("a").Removed, "removed")
	g.ok(OpOffline, "b")
	g.flying("Close b", "Offline a")
	g.ok(OpClose, "b")
	g.ok(OpOffline, "a")
	g.ok(OpClose, "a")
	g.want(len(g.e.Snapshot(g.now).Resources) == 0, "still there")
	g.want(g.e.Snapshot(g.now).Group == GroupOffline, "group")
}

func TestPlanRemovesAndBringsBack(t *testing.T) {
	g := online(t, res("a"))
	g.plan()
	g.ok(OpOffline, "a")
	g.plan(res("a")) // while Close is in flight
	g.flying("Close a")
	g.ok(OpClose, "a")
	g.flying("Open a")
	g.ok(OpOpen, "a")
	g.flying("Online a")
}

func TestPlanChangesPropertiesAtTheNextOnline(t *testing.T) {
	g := online(t, res("a"))
	n := with(res("a"), func(r *Resource) { r.Generation = 2; r.Properties = []byte(`{"v":2}`); r.IsAliveInterval = 7 * sec })
	g.plan(n)
	g.flying()
	s := g.snap("a")
	g.want(s.State == Online && s.RunningGeneration == 1 && s.Spec.Generation == 2, "%+v", s)
	g.exit("a")
	g.pass(500 * ms)
	g.want(string(g.call(OpOnline, "a").Properties) == `{"v":2}`, "properties")
	g.ok(OpOnline, "a")
	g.want(g.snap("a").RunningGeneration == 2, "%+v", g.snap("a"))
}

func TestPlanMovesToAnotherContainer(t *testing.T) {
	g := online(t, res("a"), res("b", "a"))
	g.up("d", "d1")
	g.guard("d", 1)
	moved := with(res("a"), func(r *Resource) { r.Container = "d"; r.Generation = 2 })
	g.plan(moved, res("b", "a"))
	g.flying("Offline b")
	g.ok(OpOffline, "b")
	g.ok(OpOffline, "a")
	g.flying("Close a")
	g.want(g.call(OpClose, "a").Container == "c", "closed where it was")
	g.ok(OpClose, "a")
	g.want(g.call(OpOpen, "a").Container == "d", "opened where it is wanted")
	g.ok(OpOpen, "a")
	g.ok(OpOnline, "a")
	g.ok(OpOnline, "b")
	g.is("b", Online)
}

func TestGroupStates(t *testing.T) {
	g := newRig(t)
	group := func(want GroupState) {
		t.Helper()
		if got := g.e.Snapshot(g.now).Group; got != want {
			t.Fatalf("group is %s, want %s", got, want)
		}
	}
	group(GroupOffline)
	g.plan(res("a"), res("b"))
	group(GroupOffline)
	g.up("c", "c1")
	g.openAll()
	group(GroupOffline)
	g.grant(1)
	g.guard("c", 1)
	group(GroupPending)
	g.ok(OpOnline, "a")
	group(GroupPending)
	g.answer(OpOnline, "b", Returned{Status: 5})
	group(GroupFailed)
	g.ok(OpTerminate, "b")
	g.pass(500 * ms)
	group(GroupPending)
	g.ok(OpOnline, "b")
	group(GroupOnline)
}

func TestRestartWaitsForADependentThatFailedToo(t *testing.T) {
	g := online(t, with(res("a"), func(r *Resource) { r.RestartDelay = 0 }), res("b", "a"))
	g.signal("b", true)
	g.signal("a", true)
	g.ok(OpTerminate, "a")
	g.flying("Terminate b")
	g.ok(OpTerminate, "b")
	g.flying("Online a")
}
