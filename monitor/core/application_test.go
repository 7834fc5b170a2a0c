// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
)

// callback gives one callback of the resource and returns its answer.
func (h *host) callback(cb engine.Callback) engine.Code {
	h.rig.t.Helper()
	h.callbacks++
	cb.ID, cb.Container = 1000+h.callbacks, "main"
	if cb.TypeName == "" {
		cb.Handle = "u1"
	}
	mark := h.mark()
	h.input(core.Input{Callback: &cb})
	for _, e := range h.since(mark) {
		if e.Reply != nil && e.Reply.ID == cb.ID {
			return e.Reply.Code
		}
	}
	h.rig.t.Fatalf("no reply to %+v", cb)
	return 0
}

func (h *host) internal(s engine.ApplicationState, active bool) {
	h.rig.t.Helper()
	if code := h.callback(engine.Callback{SetInternalState: &engine.SetInternalState{State: s, Active: active}}); code != 0 {
		h.rig.t.Fatal(code)
	}
}

// saysOf is the condition of a type as it was written last.
func (h *host) saysOf(kind string) core.Condition {
	d, _ := h.told()
	i := slices.IndexFunc(d.Conditions, func(c core.Condition) bool { return c.Type == kind })
	return d.Conditions[i]
}

// Shows: SetInternalState.
func TestApplicationStatesAreTold(t *testing.T) {
	r, a := up(t, "a", "b")
	for _, kind := range []string{v1alpha1.ConditionApplicationReady, v1alpha1.ConditionOSHeartBeat} {
		if c := a.saysOf(kind); !c.Absent {
			t.Errorf("before it was said: %+v", c)
		}
	}
	r.pass(2 * time.Second)
	mark := a.mark()
	a.internal(engine.ApplicationReady, true)
	if n := count(a.since(mark), isWrite(resourceDoc)); n != 1 {
		t.Errorf("%d writes at once", n)
	}
	d, _ := a.told()
	if s := d.Owner.ApplicationStates; len(s) != 1 || s[0].Type != v1alpha1.ApplicationReady || !s[0].Active ||
		s[0].Time.IsZero() || d.Owner.StatusInformation != 0x100 {
		t.Errorf("%+v", d.Owner)
	}
	if c := a.saysOf(v1alpha1.ConditionApplicationReady); !c.Status || c.Absent || c.Reason != v1alpha1.ReasonReported {
		t.Errorf("%+v", c)
	}

	// The monitor dies at once after the answer; a provider that lives need not repeat it.
	a.internal(engine.ApplicationReady, false)
	a.internal(engine.ApplicationOSHeartBeat, true)
	a.stop()
	a.start()
	r.pass(2 * time.Second)
	d, _ = a.told()
	if s := d.Owner.ApplicationStates; len(s) != 2 || s[0].Type != v1alpha1.ApplicationOSHeartBeat || s[1].Active {
		t.Errorf("%+v", s)
	}
	if c := a.saysOf(v1alpha1.ConditionApplicationReady); c.Status || c.Message == "" {
		t.Errorf("%+v", c)
	}

	// One that flaps costs a write a second.
	r.pass(time.Second)
	mark = a.mark()
	for i := range 300 {
		a.callback(engine.Callback{SetInternalState: &engine.SetInternalState{State: engine.ApplicationReady, Active: i%2 == 0}})
		r.pass(10 * time.Millisecond)
	}
	if n := count(a.since(mark), isWrite(resourceDoc)); n < 3 || n > 4 {
		t.Errorf("%d writes in 3 s", n)
	}
	fail(a)
	r.pass(5 * time.Second)
	if d, _ := r.host("b").told(); d.Owner.ApplicationStates != nil || r.status.Owner.PodName != "b" {
		t.Errorf("after a failover: %+v", d.Owner)
	}
}

// Shows: SetResourceInMemoryNodeLocalProperties.
func TestNodeLocalPropertiesAreTold(t *testing.T) {
	r, a := up(t, "a", "b")
	set := func(text string) {
		t.Helper()
		if code := a.callback(engine.Callback{
			SetNodeLocalProperties: &engine.SetNodeLocalProperties{Properties: []byte(text)},
		}); code != 0 {
			t.Fatal(code)
		}
	}
	is := func(want string) {
		t.Helper()
		got, d := "", core.ResourceDocument{}
		if d, _ = a.told(); d.Owner.NodeLocalProperties != nil {
			got = string(d.Owner.NodeLocalProperties.Raw)
		}
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	r.pass(2 * time.Second)
	is("")
	mark := a.mark()
	set(`{"ResourceSpecificStatus":"copying","ResourceSpecificData1":0}`)
	is(`{"ResourceSpecificData1":0,"ResourceSpecificStatus":"copying"}`)
	for i := range 300 {
		set(fmt.Sprintf(`{"ResourceSpecificData1":%d}`, i+1))
		r.pass(10 * time.Millisecond)
	}
	r.pass(time.Second)
	if n := count(a.since(mark), isWrite(resourceDoc)); n < 4 || n > 5 {
		t.Errorf("%d writes in 3 s", n)
	}
	is(`{"ResourceSpecificData1":300,"ResourceSpecificStatus":"copying"}`)
	a.stop()
	a.start()
	r.pass(2 * time.Second)
	is(`{"ResourceSpecificData1":300,"ResourceSpecificStatus":"copying"}`)
	a.kill() // the provider process with it
	r.run()
	r.pass(2 * time.Second)
	is("")
}

// A dependent waits for readiness, which the plan asks for.
// Shows: SetInternalState.
func TestPlanAsksForReadiness(t *testing.T) {
	r, a := up(t, "a")
	second := r.plan.Resources[0]
	second.UID, second.Name = "u2", "web"
	second.Dependencies, second.ReadyTerms = [][]string{{"u1"}}, []int{0}
	r.plan.Resources = append(slices.Clone(r.plan.Resources), second)
	r.status.PlanRevision = "p2"
	r.tell()
	r.run()
	r.pass(2 * time.Second)
	d, _ := a.told()
	if d.Name != "web" || d.Owner.Reason != "WaitingForApplicationReady" || d.Owner.Message != "waits for store" || a.online["u2"] {
		t.Errorf("%s: %+v", d.Name, d.Owner)
	}
	a.internal(engine.ApplicationReady, true)
	if !a.online["u2"] {
		t.Error("it waits still")
	}
}
