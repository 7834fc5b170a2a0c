// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"strings"
	"testing"
	"time"

	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
)

func (h *host) lock(enabled bool, flags uint32) {
	h.rig.t.Helper()
	h.lockOf("u1", enabled, flags)
}

func (h *host) lockOf(uid string, enabled bool, flags uint32) {
	h.rig.t.Helper()
	mark := h.mark()
	h.input(core.Input{Callback: &engine.Callback{
		ID: 77, Container: "main", Handle: uid,
		SetLockedMode: &engine.SetLockedMode{Enabled: enabled, Reason: 5, Flags: flags},
	}})
	for _, e := range h.since(mark) {
		if e.Reply != nil && e.Reply.ID == 77 && e.Reply.Code == engine.CodeSuccess {
			return
		}
	}
	h.rig.t.Fatalf("locked mode of %s: refused", uid)
}

// change has a new plan accepted everywhere.
func (r *rig) change(f func(p *planv1.Plan)) {
	r.t.Helper()
	f(&r.plan)
	r.status.PlanRevision += "x"
	r.tell()
	r.run()
	r.pass(2 * time.Second)
}

func said(effects []core.Effect, reason string) int {
	return count(effects, func(e core.Effect) bool { return e.Log != nil && e.Log.Reason == reason && e.Log.Event })
}

// condition is the one that was written last into the document.
func (h *host) condition(key, name string) core.Condition {
	h.rig.t.Helper()
	out := core.Condition{Absent: true}
	for _, e := range h.effects {
		if e.Write == nil || e.Write.Key != key {
			continue
		}
		var all []core.Condition
		if e.Write.Group != nil {
			all = e.Write.Group.Conditions
		} else if e.Write.Resource != nil {
			all = e.Write.Resource.Conditions
		}
		for _, c := range all {
			if c.Type == name {
				out = c
			}
		}
	}
	return out
}

// Shows: SetResourceLockedMode, SetResourceLockedModeEx.
func TestLockedModeRefusesMoves(t *testing.T) {
	t.Run("refused", func(t *testing.T) {
		r, a := up(t, "a", "b")
		a.lock(true, 0)
		r.ask(core.ControlCall{Name: "m", Code: "MOVE"})
		r.pass(2 * time.Second)
		f := r.finished("m", v1alpha1.ReasonRefused)
		if f.StatusCode != 5960 || !strings.Contains(f.Message, "store is in locked mode") {
			t.Errorf("%+v", f)
		}
		if !a.isOnline() || count(a.effects, calls(engine.OpOffline)) != 0 {
			t.Error("something changed")
		}
		a.lock(false, 0)
		r.ask(core.ControlCall{Name: "again", Code: "MOVE"})
		r.pass(2 * time.Second)
		r.finished("again", v1alpha1.ReasonSucceeded)
	})
	t.Run("locked while it was claimed", func(t *testing.T) {
		r, a := up(t, "a", "b")
		a.hold["write"] = true
		r.ask(core.ControlCall{Name: "m", Code: "MOVE"})
		a.lock(true, 0)
		a.releaseWrites()
		r.pass(2 * time.Second)
		if f := r.finished("m", v1alpha1.ReasonRefused); f.StatusCode != 5960 || !a.isOnline() {
			t.Errorf("%+v, online %v", f, a.isOnline())
		}
	})
	t.Run("ignored", func(t *testing.T) {
		r, a := up(t, "a", "b")
		a.lock(true, 0)
		r.ask(core.ControlCall{Name: "m", Code: "MOVE", IgnoreLockedMode: true})
		r.pass(2 * time.Second)
		r.finished("m", v1alpha1.ReasonSucceeded)
		for _, e := range a.effects {
			if c := e.Call; c != nil && c.Op == engine.OpOffline {
				if c.Flags&engine.OfflineIgnoreResourceStatus == 0 || c.Reason != engine.StateChangeMove || c.Destination != "b" {
					t.Errorf("%+v", c)
				}
			}
		}
		b := r.host("b")
		for _, e := range b.effects {
			if c := e.Call; c != nil && c.Op == engine.OpOnline && c.Flags != engine.OnlineIgnoreResourceStatus {
				t.Errorf("%+v", c)
			}
		}
		if !b.isOnline() {
			t.Error("not moved")
		}
	})
}

// Shows: SetResourceLockedMode, SetResourceLockedModeEx.
func TestMoveQueue(t *testing.T) {
	queued := core.ControlCall{Name: "m", Code: "MOVE", Queue: true}
	waits := func(t *testing.T, flags uint32) (*rig, *host) {
		t.Helper()
		r, a := up(t, "a", "b")
		a.lock(true, flags)
		r.ask(queued)
		r.pass(3 * time.Second)
		if q := r.queued["m"]; r.finish["m"] != nil || !a.isOnline() || !strings.Contains(q, "5959") || !strings.Contains(q, "store") {
			t.Fatalf("%+v, online %v, %q", r.finish["m"], a.isOnline(), q)
		}
		if r.status.Owner.StatusInformation != int64(engine.GroupLockedMode|engine.GroupInMoveQueue) {
			t.Errorf("%x", r.status.Owner.StatusInformation)
		}
		return r, a
	}
	t.Run("until it is unlocked", func(t *testing.T) {
		r, a := waits(t, 0)
		a.lock(false, 0)
		r.pass(2 * time.Second)
		r.finished("m", v1alpha1.ReasonSucceeded)
		for _, e := range a.effects {
			if c := e.Call; c != nil && c.Op == engine.OpOffline && c.Flags&engine.OfflineQueueEnabled == 0 {
				t.Errorf("%+v", c)
			}
		}
	})
	t.Run("until its timeout", func(t *testing.T) {
		r, a := up(t, "a", "b")
		a.lock(true, 0)
		k := queued
		k.TimeoutMilliseconds = 5000
		r.ask(k)
		r.pass(4 * time.Second)
		if r.finish["m"] != nil {
			t.Fatal("too early")
		}
		r.pass(2 * time.Second)
		if f := r.finished("m", v1alpha1.ReasonTimedOut); !strings.Contains(f.Message, "store") || !a.isOnline() {
			t.Errorf("%+v", f)
		}
		a.lock(false, 0)
		r.pass(2 * time.Second)
		if !a.isOnline() {
			t.Error("moved after its end")
		}
	})
	t.Run("over a restart of the monitor", func(t *testing.T) {
		r, a := waits(t, 0)
		a.stop()
		a.start()
		r.pass(3 * time.Second)
		if r.finish["m"] != nil || !a.isOnline() {
			t.Fatalf("%+v, online %v", r.finish["m"], a.isOnline())
		}
		a.lock(false, 0)
		r.pass(2 * time.Second)
		r.finished("m", v1alpha1.ReasonSucceeded)
	})
	t.Run("nothing is locked", func(t *testing.T) {
		r, _ := up(t, "a", "b")
		r.ask(queued)
		r.pass(2 * time.Second)
		r.finished("m", v1alpha1.ReasonSucceeded)
	})
	second := func(p *planv1.Plan) {
		other := p.Resources[0]
		other.UID, other.Name = "u2", "other"
		p.Resources = append(p.Resources, other)
	}
	for name, flags := range map[string]uint32{"thrown out": 0, "left in": 1} {
		t.Run(name, func(t *testing.T) {
			r, a := up(t, "a", "b")
			r.change(second)
			a.lock(true, 0)
			r.ask(queued)
			r.pass(2 * time.Second)
			a.lockOf("u2", true, flags)
			r.pass(2 * time.Second)
			if flags == 0 {
				if f := r.finished("m", v1alpha1.ReasonRefused); f.StatusCode != 5960 || !strings.Contains(f.Message, "other is") {
					t.Errorf("%+v", f)
				}
				return
			}
			if r.finish["m"] != nil || !strings.Contains(r.queued["m"], "store, other") && !strings.Contains(r.queued["m"], "other, store") {
				t.Fatalf("%+v, %q", r.finish["m"], r.queued["m"])
			}
			a.lock(false, 0)
			r.pass(2 * time.Second)
			if r.finish["m"] != nil || strings.Contains(r.queued["m"], "store") {
				t.Fatalf("%+v, %q", r.finish["m"], r.queued["m"])
			}
			a.lockOf("u2", false, 0)
			r.pass(2 * time.Second)
			r.finished("m", v1alpha1.ReasonSucceeded)
		})
	}
	t.Run("a failover does not wait", func(t *testing.T) {
		r, a := waits(t, 0)
		a.signalFailure()
		r.pass(time.Second)
		a.signalFailure()
		r.pass(3 * time.Second)
		if !r.host("b").isOnline() {
			t.Error("not failed over")
		}
	})
}

// Shows: SetResourceLockedMode.
func TestLockedModeKeepsTheGroupOnline(t *testing.T) {
	off := func(p *planv1.Plan) { p.Online = false }
	t.Run("until it is unlocked", func(t *testing.T) {
		r, a := up(t, "a", "b")
		a.lock(true, 0)
		r.change(off)
		r.pass(10 * time.Second)
		if !a.isOnline() || r.endpoint.Address == "" || said(a.effects, "Locked") != 1 {
			t.Errorf("online %v, endpoint %+v, told %d times", a.isOnline(), r.endpoint, said(a.effects, "Locked"))
		}
		c := a.condition("group", v1alpha1.ConditionLocked)
		if !c.Status || !strings.Contains(c.Message, "store is in locked mode") || !strings.Contains(c.Message, "5960") &&
			!strings.Contains(c.Message, "ERROR_CLUSTER_RESOURCE_LOCKED_STATUS") {
			t.Errorf("%+v", c)
		}
		if !strings.Contains(r.status.Owner.Message, "store is in locked mode") {
			t.Errorf("%q", r.status.Owner.Message)
		}
		a.lock(false, 0)
		r.pass(2 * time.Second)
		if a.isOnline() {
			t.Error("online")
		}
		if c := a.condition("group", v1alpha1.ConditionLocked); !c.Absent {
			t.Errorf("%+v", c)
		}
	})
	t.Run("over a restart of the monitor", func(t *testing.T) {
		r, a := up(t, "a", "b")
		a.lock(true, 0)
		r.change(off)
		a.stop()
		a.start()
		r.pass(5 * time.Second)
		if !a.isOnline() {
			t.Fatal("offline")
		}
		a.lock(false, 0)
		r.pass(2 * time.Second)
		if a.isOnline() {
			t.Error("online")
		}
	})
	t.Run("not if that is to be ignored", func(t *testing.T) {
		for name, ignore := range map[string]func(p *planv1.Plan){
			"group":    func(p *planv1.Plan) { p.IgnoreLockedMode = true },
			"resource": func(p *planv1.Plan) { p.Resources[0].IgnoreLockedMode = true },
		} {
			r, a := up(t, "a", "b")
			a.lock(true, 0)
			r.change(off)
			r.change(ignore)
			if a.isOnline() {
				t.Errorf("%s: online", name)
			}
		}
	})
	t.Run("nor if the group is deleted", func(t *testing.T) {
		r, a := up(t, "a", "b")
		a.lock(true, 0)
		r.deleting = true
		r.change(off)
		if a.isOnline() || said(a.effects, "Locked") != 0 {
			t.Error("online, or told so")
		}
	})
	t.Run("nor the pod is ended", func(t *testing.T) {
		r, a := up(t, "a", "b")
		a.lock(true, 0)
		a.input(core.Input{Stopping: &core.Stopping{Container: "main"}})
		r.pass(3 * time.Second)
		if a.isOnline() || !r.host("b").isOnline() {
			t.Error("not handed over")
		}
		for _, e := range a.effects {
			if c := e.Call; c != nil && c.Op == engine.OpOffline &&
				(c.Reason != engine.StateChangeShutdown || c.Context != engine.ContextDrain || c.Destination != "b" ||
					c.Flags != engine.OfflineDoNotUpdatePersistentState) {
				t.Errorf("%+v", c)
			}
		}
		for _, e := range r.host("b").effects {
			if c := e.Call; c != nil && c.Op == engine.OpOnline && c.Context != engine.ContextDrain {
				t.Errorf("%+v", c)
			}
		}
	})
	t.Run("nor when the API server is away", func(t *testing.T) {
		r, a := up(t, "a")
		a.lock(true, 0)
		a.cut = true
		r.pass(10 * time.Second)
		if a.isOnline() {
			t.Error("online without a lease")
		}
		for _, e := range a.effects {
			if c := e.Call; c != nil && c.Op == engine.OpTerminate && c.Reason != engine.StateChangeRundown {
				t.Errorf("%+v", c)
			}
		}
	})
}

// A resource that is deleted while it is locked says so as long as it runs.
func TestLockedModeOfADeletedResource(t *testing.T) {
	r, a := up(t, "a", "b")
	a.lock(true, 0)
	r.change(func(p *planv1.Plan) { p.Resources = nil })
	var last *v1alpha1.ResourceOwnerStatus
	for _, e := range a.effects {
		if isWrite(resourceDoc)(e) {
			last = &e.Write.Resource.Owner
		}
	}
	if last.Reason != "Locked" || last.LastOperationStatusCode != 5960 || !last.LockedMode.Locked || last.LockedMode.Reason != 5 {
		t.Errorf("%+v", last)
	}
	if c := a.condition(resourceDoc, v1alpha1.ConditionLocked); !c.Status {
		t.Errorf("%+v", c)
	}
	a.lock(false, 0)
	r.pass(2 * time.Second)
	if a.isOnline() {
		t.Error("online")
	}
}

// A provider that enters and leaves locked mode all the time costs the API server one
// write of each document a second.
func TestLockedModeIsPaced(t *testing.T) {
	r, a := up(t, "a", "b")
	r.pass(2 * time.Second)
	mark := a.mark()
	for i := range 40 { // as fast as it is taken
		a.lock(i%2 == 0, 0)
		r.pass(125 * time.Millisecond)
	}
	for _, key := range []string{resourceDoc, "group"} {
		if n := count(a.since(mark), isWrite(key)); n < 2 || n > 7 {
			t.Errorf("%d writes of %s in 5 s", n, key)
		}
	}
}

// What a failure was goes with the failover: the new owner's Online says so.
//
// Shows: SignalFailure.
func TestNetworkLossFailsOverAtOnce(t *testing.T) {
	r, a := up(t, "a", "b")
	a.alive = false
	a.input(core.Input{Callback: &engine.Callback{
		ID: 1, Container: "main", Handle: "u1",
		SignalFailure: &engine.SignalFailure{Type: engine.FailureNetworkLoss, ApplicationErrorCode: 12},
	}})
	r.pass(2 * time.Second)
	b := r.host("b")
	if !b.isOnline() {
		t.Fatal("not failed over")
	}
	for _, e := range b.effects {
		if c := e.Call; c != nil && c.Op == engine.OpOnline && c.Context != engine.ContextNetworkDisconnect {
			t.Errorf("%+v", c)
		}
	}
	last := r.status.Owner.Timeline[len(r.status.Owner.Timeline)-1]
	if last.Kind != "Failover" || last.Cause != "NetworkLoss" {
		t.Errorf("%+v", last)
	}
	for _, e := range a.effects {
		if isWrite(resourceDoc)(e) && e.Write.Resource.Owner.LastFailure != nil &&
			e.Write.Resource.Owner.LastFailure.ApplicationErrorCode != 12 {
			t.Errorf("%+v", e.Write.Resource.Owner.LastFailure)
		}
	}
	t.Run("without another host it is restarted here", func(t *testing.T) {
		r, a := up(t, "a")
		a.alive = false
		a.input(core.Input{Callback: &engine.Callback{
			ID: 1, Container: "main", Handle: "u1",
			SignalFailure: &engine.SignalFailure{Type: engine.FailureNetworkLoss},
		}})
		a.alive = true
		r.pass(2 * time.Second)
		if !a.isOnline() || count(a.effects, calls(engine.OpOnline)) != 2 {
			t.Error("not restarted")
		}
	})
}

func TestConditionsOfSignals(t *testing.T) {
	for action, want := range map[string]bool{"None": false, "LogOnly": true} {
		r, a := up(t, "a", "b")
		r.change(func(p *planv1.Plan) { p.Resources[0].EmbeddedFailureAction = action })
		a.input(core.Input{Callback: &engine.Callback{
			ID: 1, Container: "main", Handle: "u1", SignalFailure: &engine.SignalFailure{Type: engine.FailureEmbedded},
		}})
		a.input(core.Input{Callback: &engine.Callback{
			ID: 2, Container: "main", Handle: "u1", SignalFailure: &engine.SignalFailure{Type: engine.FailureNetworkLoss},
		}})
		r.pass(2 * time.Second)
		if c := a.condition(resourceDoc, v1alpha1.ConditionEmbeddedFailure); c.Status != want {
			t.Errorf("%s: %+v", action, c)
		}
		if c := a.condition(resourceDoc, v1alpha1.ConditionNetworkLost); !c.Status {
			t.Errorf("%+v", c)
		}
		if i := r.status.Owner.StatusInformation; i != int64(engine.GroupEmbeddedFailure|engine.GroupNetworkFailure) {
			t.Errorf("%x", i)
		}
		a.signalFailure()
		r.pass(3 * time.Second)
		for _, name := range []string{v1alpha1.ConditionEmbeddedFailure, v1alpha1.ConditionNetworkLost} {
			if c := a.condition(resourceDoc, name); !c.Absent {
				t.Errorf("%+v", c)
			}
		}
	}
}
