// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"slices"
	"testing"
	"time"

	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
)

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
