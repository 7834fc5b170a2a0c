// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
)

func begun(e core.Effect) bool { return e.Call != nil && e.Call.Control != nil }

// claims are the claims of a call that a host wanted stored, and its outcomes.
func (h *host) claims(name string) (claims, outcomes []core.CallDocument) {
	for _, e := range h.effects {
		switch {
		case e.Write == nil || e.Write.Call == nil || e.Write.Call.Name != name:
		case e.Write.Call.Finish == nil:
			claims = append(claims, *e.Write.Call)
		default:
			outcomes = append(outcomes, *e.Write.Call)
		}
	}
	return claims, outcomes
}

func (h *host) endCall(typed bool, context int64, status engine.Code) {
	h.rig.t.Helper()
	h.input(core.Input{Callback: &engine.Callback{ID: 9, Container: "main", EndControlCall: &engine.EndControlCall{
		Type: typed, Context: context, Status: status, Output: []byte("done"),
	}}})
}

func (h *host) extend(context int64, d time.Duration) {
	h.rig.t.Helper()
	h.input(core.Input{Callback: &engine.Callback{
		ID: 9, Container: "main", ExtendControlCall: &engine.ExtendControlCall{Context: context, Timeout: d},
	}})
}

func peek(host string) core.ControlCall {
	return core.ControlCall{Name: "k", ResourceName: "store", Code: "PEEK", Read: true, HostName: host}
}

func TestControlCallOnANamedHost(t *testing.T) {
	for name, where := range map[string]string{"pod": "b", "node": "node-b"} {
		t.Run("a standby by its "+name, func(t *testing.T) {
			r, a := up(t, "a", "b", "c")
			b, c := r.host("b"), r.host("c")
			r.ask(peek(where))
			r.finished("k", v1alpha1.ReasonSucceeded)
			claims, _ := b.claims("k")
			if count(b.effects, begun) != 1 || len(claims) != 1 || claims[0].Owner.PodUID != "uid-b" ||
				claims[0].Owner.Epoch != r.status.Owner.Epoch {
				t.Errorf("%d calls, claimed by %+v, the owner has epoch %d", count(b.effects, begun), claims, r.status.Owner.Epoch)
			}
			for _, h := range []*host{a, c} {
				if claims, outcomes := h.claims("k"); len(claims)+len(outcomes) > 0 || count(h.effects, begun) > 0 {
					t.Errorf("%s took it up too: %+v %+v", h.name, claims, outcomes)
				}
			}
		})
	}
	t.Run("the owner", func(t *testing.T) {
		r, a := up(t, "a", "b")
		r.ask(peek("a"))
		r.finished("k", v1alpha1.ReasonSucceeded)
		if count(a.effects, begun) != 1 {
			t.Error("not on a")
		}
	})
	t.Run("no host of the group", func(t *testing.T) {
		r, _ := up(t, "a", "b")
		r.ask(peek("x"))
		if f := r.finished("k", v1alpha1.ReasonRefused); f.StatusCode != 5005 || !strings.Contains(f.Message, "no host x") {
			t.Errorf("%+v", f)
		}
	})
	t.Run("a code that writes", func(t *testing.T) {
		r, _ := up(t, "a", "b")
		k := peek("b")
		k.Code, k.Read = "BACKUP", false
		r.ask(k)
		if f := r.finished("k", v1alpha1.ReasonRefused); f.StatusCode != 5015 {
			t.Errorf("%+v", f)
		}
	})
	t.Run("nobody ever owned it", func(t *testing.T) {
		r := newRig(t, "a", "b")
		r.plan.Online = false
		b := r.host("b")
		b.start()
		r.status.Owner = nil
		r.ask(peek("b"))
		if claims, _ := b.claims("k"); len(claims) > 0 && claims[0].Owner.Epoch == 0 {
			t.Errorf("claimed under no epoch: %+v", claims)
		}
	})
	t.Run("the standby dies", func(t *testing.T) {
		r, a := up(t, "a", "b")
		b := r.host("b")
		b.async = true
		r.ask(peek("b"))
		b.stop()
		r.pass(20 * time.Second)
		// The manager ends it: the owner cannot know whether the standby is lost.
		if claims, outcomes := a.claims("k"); len(claims)+len(outcomes) > 0 || r.finish["k"] != nil {
			t.Errorf("%+v %+v", claims, outcomes)
		}
	})
	t.Run("the standby's monitor is restarted", func(t *testing.T) {
		r, _ := up(t, "a", "b")
		b := r.host("b")
		b.async = true
		r.ask(peek("b"))
		b.stop()
		b.start()
		r.pass(time.Second)
		// A host that owns nothing makes sure that nothing runs before it goes on.
		r.finished("k", v1alpha1.ReasonOutcomeUnknown)
		if count(b.effects, begun) != 1 {
			t.Errorf("begun %d times", count(b.effects, begun))
		}
	})
	t.Run("the standby's monitor dies before it knows of its claim", func(t *testing.T) {
		r, _ := up(t, "a", "b")
		b := r.host("b")
		b.hold["write"] = true
		r.ask(peek("b"))
		b.stop()
		b.hold["write"] = false
		b.start()
		r.pass(time.Second)
		r.finished("k", v1alpha1.ReasonOutcomeUnknown)
		if count(b.effects, begun) != 0 {
			t.Error("run all the same")
		}
	})
	t.Run("the standby becomes the owner", func(t *testing.T) {
		r, a := up(t, "a", "b")
		b := r.host("b")
		b.async = true
		r.ask(peek("b"))
		epoch := r.status.Owner.Epoch
		a.stop()
		r.pass(10 * time.Second)
		if !b.isOnline() || r.finish["k"] != nil {
			t.Fatalf("online %v, %+v", b.isOnline(), r.finish["k"])
		}
		b.endCall(false, b.lastContext, 0)
		r.finished("k", v1alpha1.ReasonSucceeded)
		if _, outcomes := b.claims("k"); outcomes[0].Owner.Epoch != epoch {
			t.Errorf("ended under epoch %d, claimed under %d", outcomes[0].Owner.Epoch, epoch)
		}
	})
	t.Run("another owner leaves a standby's alone", func(t *testing.T) {
		r, a := up(t, "a", "b", "c")
		c := r.host("c")
		c.async = true
		r.ask(peek("c"))
		a.stop()
		r.pass(10 * time.Second)
		if !r.host("b").isOnline() || r.finish["k"] != nil {
			t.Fatalf("%+v", r.finish["k"])
		}
		c.endCall(false, c.lastContext, 0)
		r.finished("k", v1alpha1.ReasonSucceeded)
	})
}

func TestControlCallsByNumber(t *testing.T) {
	r, a := up(t, "a", "b")
	for code, want := range map[string]string{
		"0x01000029": `{"name":"store"}`, "16777257": `{"name":"store"}`, "GET_NAME": `{"name":"store"}`,
		"0x01800005": "in", "25165829": "in",
	} {
		r.ask(core.ControlCall{Name: "k" + code, ResourceName: "store", Code: code, InputBytes: []byte("in"), Read: true})
		if f := r.finished("k"+code, v1alpha1.ReasonSucceeded); string(f.Output) != want {
			t.Errorf("%s: %s", code, f.Output)
		}
	}
	for code, want := range map[string]int64{"0": 1, "0x": 1, "99999999999": 1, "0x01500006": 5, "OFFLINE": 5048} {
		r.ask(core.ControlCall{Name: "k" + code, ResourceName: "store", Code: code})
		if f := r.finished("k"+code, v1alpha1.ReasonRefused); f.StatusCode != want {
			t.Errorf("%s: %+v", code, f)
		}
	}
	r.ask(core.ControlCall{Name: "m", Code: "0x81400016"})
	r.pass(time.Second)
	r.finished("m", v1alpha1.ReasonSucceeded)
	if a.isOnline() {
		t.Error("MOVE by its number does not move")
	}
}

func TestControlCallSchemas(t *testing.T) {
	for name, c := range map[string]struct {
		call   core.ControlCall
		reason string
		says   string
		begun  int
	}{
		"fits":           {core.ControlCall{ResourceName: "store", Code: "COPY", Input: []byte(`{"to":"x"}`)}, v1alpha1.ReasonSucceeded, "", 1},
		"output differs": {core.ControlCall{ResourceName: "store", Code: "COPY", Input: []byte(`{"to":"y"}`)}, v1alpha1.ReasonSucceeded, "status.output.to", 1},
		"lacks":          {core.ControlCall{ResourceName: "store", Code: "COPY", Input: []byte(`{}`)}, v1alpha1.ReasonRefused, "spec.input.to", 0},
		"nothing given":  {core.ControlCall{ResourceName: "store", Code: "COPY"}, v1alpha1.ReasonRefused, "spec.input.to", 0},
		"too long":       {core.ControlCall{ResourceName: "store", Code: "0x0180000A", Input: []byte(`{"to":"abcdef"}`)}, v1alpha1.ReasonRefused, "spec.input.to", 0},
		"bytes":          {core.ControlCall{ResourceName: "store", Code: "COPY", InputBytes: []byte(`{"to":"x"}`)}, v1alpha1.ReasonRefused, "spec.inputBytes", 0},
		"too many bytes": {core.ControlCall{ResourceName: "store", Code: "BACKUP", InputBytes: make([]byte, 65537)}, v1alpha1.ReasonRefused, "spec.inputBytes has 65537 bytes, ", 0},
		"of a type":      {core.ControlCall{TypeName: "TEST", Code: "PREPARE", Input: []byte(`{"to":"x"}`)}, v1alpha1.ReasonSucceeded, "", 1},
		"wrong, a type":  {core.ControlCall{TypeName: "TEST", Code: "PREPARE", Input: []byte(`{"to":1}`)}, v1alpha1.ReasonRefused, "spec.input.to", 0},
		"not of types":   {core.ControlCall{TypeName: "test", Code: "COPY", Input: []byte(`{}`)}, v1alpha1.ReasonRefused, "declares no control code COPY", 0},
		"no such type":   {core.ControlCall{TypeName: "none", Code: "PREPARE"}, v1alpha1.ReasonRefused, "none", 0},
	} {
		t.Run(name, func(t *testing.T) {
			r, a := up(t, "a")
			c.call.Name = "k"
			r.ask(c.call)
			f := r.finished("k", c.reason)
			if claims, _ := a.claims("k"); c.reason == v1alpha1.ReasonRefused && len(claims) > 0 {
				t.Error("claimed before it was looked at")
			}
			if !strings.Contains(f.Message, c.says) || c.says == "" && f.Message != "" || count(a.effects, begun) != c.begun {
				t.Errorf("%+v, begun %d times", f, count(a.effects, begun))
			}
		})
	}
}

// A schema that cannot be used refuses the calls that need it, and nothing else.
func TestBadSchemas(t *testing.T) {
	for _, schema := range []string{`[]`, `{"type":7}`, `{"$ref":"#/nowhere"}`, `{"properties":{"a":{"pattern":"("}}}`} {
		r, a := up(t, "a")
		r.plan.Types[0].Controls[2].InputSchema = []byte(schema)
		r.status.PlanRevision = "p2"
		r.tell()
		r.run()
		r.ask(core.ControlCall{Name: "k", ResourceName: "store", Code: "COPY", Input: []byte(`{"a":"b"}`)})
		if f := r.finish["k"]; f == nil || !a.isOnline() {
			t.Errorf("%s: %+v", schema, f)
		}
	}
}

func TestControlCallOfTypeAndGroup(t *testing.T) {
	r, a := up(t, "a", "b")
	a.async = true
	r.ask(core.ControlCall{Name: "k", TypeName: "test", Code: "PREPARE", Input: []byte(`{"to":"x"}`)})
	a.endCall(false, a.lastContext, 0)
	if r.finish["k"] != nil {
		t.Fatal("ended as a resource's")
	}
	a.endCall(true, a.lastContext, 3)
	if f := r.finished("k", v1alpha1.ReasonFailed); f.StatusCode != 3 {
		t.Errorf("%+v", f)
	}
	r.pass(time.Second)
	if x := r.status.Types; len(x) != 1 || len(x[0].ControlResults) != 1 || x[0].ControlResults[0].Code != "PREPARE" {
		t.Errorf("%+v", x)
	}
	r.ask(core.ControlCall{Name: "s", Code: "GET_STATE", Read: true})
	if f := r.finished("s", v1alpha1.ReasonSucceeded); string(f.Output) != `{"code":0,"state":"Online"}` {
		t.Errorf("%s", f.Output)
	}
	r.ask(core.ControlCall{Name: "p", Code: "0x03000059", Read: true})
	if f := r.finished("p", v1alpha1.ReasonSucceeded); string(f.Output) != `{"FailoverPeriod":1,"FailoverThreshold":2,"PersistentState":true}` {
		t.Errorf("%s", f.Output)
	}
	r.ask(core.ControlCall{Name: "n", Code: "NOPE"})
	r.finished("n", v1alpha1.ReasonRefused)
	r.ask(core.ControlCall{Name: "m", Code: "MOVE"})
	r.pass(2 * time.Second)
	r.finished("m", v1alpha1.ReasonSucceeded)
	var got []string
	for _, x := range r.status.Owner.ControlResults {
		got = append(got, x.Name+" "+x.Code)
	}
	if r.status.Owner.PodName != "b" || !slices.Equal(got, []string{"s GET_STATE", "p GET_COMMON_PROPERTIES", "n NOPE", "m MOVE"}) {
		t.Errorf("%s tells %v", r.status.Owner.PodName, got)
	}
	b := r.host("b")
	b.stop()
	b.start()
	r.ask(core.ControlCall{Name: "s2", Code: "GET_STATE", Read: true})
	r.pass(2 * time.Second)
	if x := r.status.Owner.ControlResults; len(x) != 4 || x[3].Name != "s2" || x[2].Name != "m" {
		t.Errorf("%+v", x)
	}
}

// The deadline stands in the claim, and follows the provider, once a second at most.
func TestControlCallDeadline(t *testing.T) {
	r, a := up(t, "a")
	a.async = true
	r.ask(core.ControlCall{Name: "k", ResourceName: "store", Code: "BACKUP", TimeoutMilliseconds: 10000})
	claims, _ := a.claims("k")
	if d := claims[0].Deadline.Sub(claims[0].Start); d < 10*time.Second-time.Millisecond || d > 10*time.Second {
		t.Errorf("claimed with %v left", d)
	}
	a.extend(a.lastContext, 19*time.Second)
	if claims, _ = a.claims("k"); len(claims) != 1 {
		t.Errorf("%d writes at once", len(claims))
	}
	for i := range 500 {
		a.extend(a.lastContext, 20*time.Second+time.Duration(i)*time.Millisecond)
		r.pass(10 * time.Millisecond)
	}
	claims, _ = a.claims("k")
	if len(claims) < 4 || len(claims) > 7 {
		t.Errorf("%d writes in 5 s", len(claims))
	}
	r.pass(2 * time.Second)
	claims, _ = a.claims("k")
	left := claims[len(claims)-1].Deadline.Sub(time.Unix(0, r.now.Wall))
	if left < 18*time.Second || left > 19*time.Second {
		t.Errorf("the last one told has %v left", left)
	}
	if n := len(claims); true {
		r.pass(5 * time.Second)
		if claims, _ = a.claims("k"); len(claims) != n {
			t.Errorf("%d writes although nothing changes", len(claims)-n)
		}
	}
	// A monitor that is restarted knows it, and ends the call then.
	a.stop()
	a.start()
	r.pass(13 * time.Second)
	if r.finish["k"] != nil {
		t.Fatalf("ended before the extended time: %+v", r.finish["k"])
	}
	r.pass(2 * time.Second)
	r.finished("k", v1alpha1.ReasonTimedOut)
}

// What is deleted while it runs is cancelled, once, and leaves nothing behind.
func TestControlCallDeletedWhileItRuns(t *testing.T) {
	r, a := up(t, "a")
	a.async = true
	r.ask(core.ControlCall{Name: "k", ResourceName: "store", Code: "BACKUP"})
	gone := core.Input{ControlCall: &core.ControlCall{Name: "k", UID: "uid-k", Gone: true}}
	delete(r.calls, "k")
	a.input(gone)
	a.input(gone)
	if a.cancels != 1 {
		t.Errorf("Cancel was called %d times", a.cancels)
	}
	mark := a.mark()
	a.endCall(false, a.lastContext, 995)
	if n := count(a.since(mark), func(e core.Effect) bool { return e.Write != nil && e.Write.Call != nil }); n > 0 {
		t.Error("its outcome is written")
	}
	r.pass(2 * time.Second)
	if n := count(a.effects, func(e core.Effect) bool {
		return e.Write != nil && e.Write.Resource != nil && len(e.Write.Resource.Owner.ControlResults) == 1
	}); n == 0 {
		t.Error("its resource does not tell what became of it")
	}
}

func TestControlCallAsUser(t *testing.T) {
	r, a := up(t, "a")
	r.ask(core.ControlCall{Name: "k", ResourceName: "store", Code: "BACKUP", AsUser: &engine.User{Name: "kim"}})
	r.finished("k", v1alpha1.ReasonSucceeded)
	if n := count(a.effects, func(e core.Effect) bool {
		return e.Call != nil && e.Call.Op == engine.OpBeginResourceControlAsUser && e.Call.Control.User.Name == "kim"
	}); n != 1 {
		t.Errorf("%d calls in that name", n)
	}
}

func TestControlCallWithMoreData(t *testing.T) {
	r, a := up(t, "a")
	a.takes = engine.CodeMoreData
	r.ask(core.ControlCall{Name: "k", ResourceName: "store", Code: "BACKUP"})
	if f := r.finished("k", v1alpha1.ReasonFailed); f.BytesReturned != 70000 || f.StatusName != "ERROR_MORE_DATA" {
		t.Errorf("%+v", f)
	}
}

func TestCancelMove(t *testing.T) {
	t.Run("that waits for another", func(t *testing.T) {
		r, a := up(t, "a", "b")
		a.hold["write"] = true // no move is claimed yet
		r.ask(core.ControlCall{Name: "m", Code: "MOVE"})
		r.ask(core.ControlCall{Name: "x", Code: "CANCEL"})
		// The claim of CANCEL is stored first.
		held := a.held["write"]
		slices.Reverse(held)
		a.releaseWrites()
		r.pass(2 * time.Second)
		if f := r.finished("x", v1alpha1.ReasonSucceeded); !strings.Contains(f.Message, "m") {
			t.Errorf("%+v", f)
		}
		if f := r.finished("m", v1alpha1.ReasonRefused); f.StatusCode != 995 || !strings.Contains(f.Message, "x") {
			t.Errorf("%+v", f)
		}
		if !a.isOnline() {
			t.Error("moved")
		}
	})
	t.Run("that has begun", func(t *testing.T) {
		r, a := up(t, "a", "b")
		a.hold["Offline"] = true
		r.ask(core.ControlCall{Name: "m", Code: "MOVE"})
		r.ask(core.ControlCall{Name: "x", Code: "CANCEL"})
		if r.finish["x"] != nil || r.finish["m"] != nil {
			t.Errorf("%+v %+v", r.finish["x"], r.finish["m"])
		}
		a.release("Offline")
		r.pass(3 * time.Second)
		r.finished("m", v1alpha1.ReasonSucceeded)
		f := r.finished("x", v1alpha1.ReasonFailed)
		if f.StatusCode != 5908 || !strings.Contains(f.Message, "m has begun") || !r.host("b").isOnline() {
			t.Errorf("%+v, b online %v", f, r.host("b").isOnline())
		}
	})
	t.Run("that begins meanwhile", func(t *testing.T) {
		r, a := up(t, "a", "b")
		a.hold["Offline"], a.hold["write"] = true, true
		r.ask(core.ControlCall{Name: "m", Code: "MOVE"})
		r.ask(core.ControlCall{Name: "x", Code: "CANCEL"})
		a.releaseWrites() // m begins, then the claim of x is known
		if r.finish["m"] != nil || core.RoleOf(a.core) != "Offlining" {
			t.Fatalf("%+v, %s", r.finish["m"], core.RoleOf(a.core))
		}
		if f := r.finished("x", v1alpha1.ReasonFailed); f.StatusCode != 5908 {
			t.Errorf("%+v", f)
		}
	})
	t.Run("there is none", func(t *testing.T) {
		r, _ := up(t, "a", "b")
		r.ask(core.ControlCall{Name: "x", Code: "CANCEL"})
		if f := r.finished("x", v1alpha1.ReasonFailed); f.StatusCode != 5023 {
			t.Errorf("%+v", f)
		}
	})
}

// FAIL through the whole of core: it is counted, restarts, and then fails over.
func TestFailFailsOver(t *testing.T) {
	r, a := up(t, "a", "b")
	r.ask(core.ControlCall{Name: "f1", ResourceName: "store", Code: "FAIL"})
	r.finished("f1", v1alpha1.ReasonSucceeded)
	r.pass(2 * time.Second)
	if !a.isOnline() {
		t.Fatal("not restarted in place")
	}
	r.ask(core.ControlCall{Name: "f2", ResourceName: "store", Code: "FAIL"})
	r.pass(5 * time.Second)
	if b := r.host("b"); !b.isOnline() || r.status.Owner.PodName != "b" {
		t.Errorf("not failed over, but on %s", r.status.Owner.PodName)
	}
	last := r.status.Owner.Timeline[len(r.status.Owner.Timeline)-1]
	if last.Kind != "Failover" || last.ResourceName != "store" {
		t.Errorf("%+v", last)
	}
	r.finished("f2", v1alpha1.ReasonSucceeded)
}

// No type may declare what people know as a code of the cluster: the API and the engine
// have the same list, but for what is refused as internal.
func TestCodesAreReserved(t *testing.T) {
	for _, c := range engine.Codes() {
		if c.How == engine.HowInternal || c.Code&(1<<20) != 0 {
			continue
		}
		if !slices.Contains(v1alpha1.DefaultControlCodes, c.Name) {
			t.Errorf("a type may declare %s", c.Name)
		}
	}
}
