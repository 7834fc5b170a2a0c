// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
)

// tune puts a plan with other properties in force, of which only "live" is.
func (r *rig) tune(generation int64, properties string) {
	r.t.Helper()
	r.plan.Resources = slices.Clone(r.plan.Resources)
	p := &r.plan.Resources[0]
	p.Generation, p.Properties, p.Live = generation, []byte(properties), []string{"live"}
	r.status.PlanRevision = fmt.Sprintf("p%d", generation)
	r.tell()
	r.run()
	r.pass(5 * time.Second) // plans do not come faster than statuses are written
}

// told is what the host wrote last of its resource, and the condition in it.
func (h *host) told() (core.ResourceDocument, core.Condition) {
	h.rig.t.Helper()
	for _, e := range slices.Backward(h.effects) {
		if e.Write != nil && e.Write.Resource != nil {
			d := *e.Write.Resource
			i := slices.IndexFunc(d.Conditions, func(c core.Condition) bool { return c.Type == v1alpha1.ConditionPropertiesApplied })
			return d, d.Conditions[i]
		}
	}
	h.rig.t.Fatal("nothing was told")
	return core.ResourceDocument{}, core.Condition{}
}

func TestPropertiesAppliedIsTold(t *testing.T) {
	r, a := up(t, "a", "b")
	is := func(generation int64, status bool, reason string, texts ...string) {
		t.Helper()
		d, c := a.told()
		ok := d.Owner.Generation == generation && c.Status == status && c.Reason == reason && !c.Absent
		for _, text := range texts {
			ok = ok && strings.Contains(c.Message, text)
		}
		if !ok {
			t.Errorf("generation %d: %+v", d.Owner.Generation, c)
		}
	}
	is(1, true, v1alpha1.ReasonApplied)
	r.tune(2, `{"live":1}`)
	is(2, true, v1alpha1.ReasonApplied)

	r.tune(3, `{"live":2,"name":"s3cret"}`)
	is(3, false, v1alpha1.ReasonNextOnline, "Changes of live, name wait", "set desiredState to Offline")
	if _, c := a.told(); strings.Contains(c.Message, "s3cret") {
		t.Errorf("a value is told: %s", c.Message)
	}
	a.takes = engine.CodePropertiesStored
	r.tune(4, `{"live":3}`)
	is(4, false, v1alpha1.ReasonNextOnline, "Changes of live wait")
	a.takes = engine.CodeInvalidData
	r.tune(5, `{"live":4}`)
	is(5, false, v1alpha1.ReasonRefused, "did not take over live: ERROR_INVALID_DATA", "goes on with what it had")
	for i, code := range []engine.Code{engine.CodeCallTimedOut, engine.CodeExceptionInCall} {
		a.takes = code
		r.tune(int64(51+i), fmt.Sprintf(`{"live":%d}`, 51+i))
		is(int64(51+i), false, v1alpha1.ReasonRefused, "Nobody knows with which of them it runs")
	}
	a.takes = engine.CodeInvalidData

	a.hold["BeginResourceControl"] = true
	r.tune(6, `{"live":5}`)
	is(6, false, v1alpha1.ReasonUpdating)
	// The monitor dies while the provider is at it: the next life asks again.
	a.stop()
	a.hold["BeginResourceControl"], a.takes = false, engine.CodeSuccess
	mark := a.mark()
	a.start()
	r.pass(time.Second)
	if n := count(a.since(mark), calls(engine.OpBeginResourceControl)); n != 1 {
		t.Errorf("asked %d times", n)
	}
	is(6, true, v1alpha1.ReasonApplied)

	// It costs nothing while nothing changes.
	mark = a.mark()
	r.pass(30 * time.Second)
	if n := count(a.since(mark), func(e core.Effect) bool { return e.Write != nil }); n != 0 {
		t.Errorf("%d writes", n)
	}

	r.plan.Resources = slices.Clone(r.plan.Resources)
	r.plan.Resources[0].Online = false
	r.tune(7, `{"live":6}`)
	if _, c := a.told(); !c.Absent {
		t.Errorf("offline: %+v", c)
	}
}

// A message names a bounded number of properties.
func TestManyStaleProperties(t *testing.T) {
	r, a := up(t, "a")
	var list []string
	for i := range 20 {
		list = append(list, fmt.Sprintf(`"p%02d":1`, i))
	}
	r.tune(2, "{"+strings.Join(list, ",")+"}")
	if _, c := a.told(); !strings.Contains(c.Message, "p15 and 4 more wait") {
		t.Errorf("%+v", c)
	}
}
