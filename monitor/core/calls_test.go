// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
)

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
	t.Run("claimed by somebody else", func(t *testing.T) {
		r, a := up(t, "a", "b")
		a.outcome = func(w core.Write) core.WriteOutcome {
			if w.Call != nil {
				return core.WriteSuperseded
			}
			return ""
		}
		r.ask(backup)
		r.pass(time.Second)
		if count(a.effects, begun) != 0 || r.finish["k"] != nil {
			t.Errorf("begun %d times, %+v", count(a.effects, begun), r.finish["k"])
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
	t.Run("input that is not brought along", func(t *testing.T) {
		r, _ := up(t, "a", "b")
		k := backup
		k.Input, k.InputSize = nil, 1<<20
		r.ask(k)
		if f := r.finished("k", v1alpha1.ReasonRefused); !strings.Contains(f.Message, "spec.input has 1048576 bytes as JSON") {
			t.Errorf("%+v", f)
		}
	})
	t.Run("too many that wait", func(t *testing.T) {
		r, a := up(t, "a")
		for n := range 200 { // none of this host's: they wait
			k := backup
			k.Name, k.UID, k.HostName = fmt.Sprint("w", n), fmt.Sprint("uid-w", n), "nobody"
			k.Owner = &v1alpha1.ControlCallOwner{Epoch: 1, PodUID: "uid-elsewhere"}
			a.input(core.Input{ControlCall: &k})
		}
		r.ask(backup)
		if f := r.finished("k", v1alpha1.ReasonRefused); f.StatusCode != int64(engine.CodeGroupBusy) {
			t.Errorf("%+v", f)
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
