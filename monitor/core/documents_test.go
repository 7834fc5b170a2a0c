// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"reflect"
	"testing"
	"time"

	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
)

func isWrite(key string) func(core.Effect) bool {
	return func(e core.Effect) bool { return e.Write != nil && e.Write.Key == key }
}

const resourceDoc = "resource/u1"

func checkPoint(h *host, n uint32) {
	h.input(core.Input{Callback: &engine.Callback{
		ID: 1, Container: "main", Handle: "u1",
		SetResourceStatus: &engine.SetResourceStatus{Ex: true, State: engine.ReportedOnlinePending, CheckPoint: n},
	}})
}

// What a provider told of and nobody acts by is in the status at once.
func TestStatusInformation(t *testing.T) {
	_, a := up(t, "a", "b")
	mark := a.mark()
	a.input(core.Input{Callback: &engine.Callback{
		ID: 1, Container: "main", Handle: "u1",
		SignalFailure: &engine.SignalFailure{Type: engine.FailureEmbedded, Message: "the guest hangs"},
	}})
	for _, e := range a.since(mark) {
		if isWrite(resourceDoc)(e) && e.Write.Resource.Owner.StatusInformation == int64(engine.StatusEmbeddedFailure) {
			return
		}
	}
	t.Errorf("no write of it: %+v", a.since(mark))
}

func TestDocuments(t *testing.T) {
	t.Run("what is not urgent is paced, the newest counts", func(t *testing.T) {
		r, a := up(t, "a", "b")
		a.pending = true
		a.signalFailure()
		r.pass(3 * time.Second)
		mark := a.mark()
		for i := range 50 {
			checkPoint(a, uint32(i+1))
			r.pass(20 * time.Millisecond)
		}
		r.pass(2 * time.Second)
		if n := count(a.since(mark), isWrite(resourceDoc)); n < 2 || n > 4 {
			t.Errorf("%d writes in 3 s", n)
		}
		var last *core.Write
		for _, e := range a.since(mark) {
			if isWrite(resourceDoc)(e) {
				last = e.Write
			}
		}
		if last == nil || last.Resource.Owner.CheckPoint != 50 {
			t.Errorf("last written: %+v", last)
		}
	})
	t.Run("what is urgent waits only for the one under way", func(t *testing.T) {
		r, a := up(t, "a", "b")
		mark := a.mark()
		a.hold["write"] = true
		a.signalFailure()
		r.pass(time.Second)
		if n := count(a.since(mark), isWrite(resourceDoc)); n != 1 {
			t.Fatalf("%d writes while one is under way", n)
		}
		a.releaseWrites()
		if n := count(a.since(mark), isWrite(resourceDoc)); n != 2 {
			t.Errorf("%d writes, want the newest at once", n)
		}
	})
	for name, c := range map[string]struct {
		outcome   core.WriteOutcome
		low, high int
	}{
		"failed: repeated with longer and longer pauses":  {core.WriteFailed, 7, 12},
		"stale: repeated at once, then with pauses, too":  {core.WriteStale, 9, 16},
		"superseded: not repeated, whatever it would say": {core.WriteSuperseded, 2, 3},
	} {
		t.Run(name, func(t *testing.T) {
			r, a := up(t, "a", "b")
			a.outcome = func(w core.Write) core.WriteOutcome {
				if w.Key == resourceDoc {
					return c.outcome
				}
				return ""
			}
			mark := a.mark()
			a.signalFailure()
			r.pass(10 * time.Second)
			if n := count(a.since(mark), isWrite(resourceDoc)); n < c.low || n > c.high {
				t.Errorf("%d writes in 10 s", n)
			}
		})
	}
	t.Run("an idle group writes nothing but its lease", func(t *testing.T) {
		r, a := up(t, "a", "b")
		r.pass(5 * time.Second)
		for _, h := range r.hosts {
			mark := h.mark()
			r.pass(time.Minute)
			for _, e := range h.since(mark) {
				if e.Write != nil || e.Get != nil && h == a || e.FetchPlan != nil {
					t.Errorf("%s: %+v", h.name, e)
				}
			}
			if n := count(h.since(mark), isPut); h == a && (n < 28 || n > 31) || h != a && n != 0 {
				t.Errorf("%s: %d renewals in a minute", h.name, n)
			}
		}
	})
	t.Run("who was owner says nothing once another is", func(t *testing.T) {
		r, a := up(t, "a", "b")
		a.outcome = func(w core.Write) core.WriteOutcome {
			if w.Resource != nil {
				return core.WriteFailed
			}
			return ""
		}
		fail(a)
		r.pass(3 * time.Second)
		if r.status.Owner.PodName != "b" {
			t.Fatal("no failover")
		}
		mark := a.mark()
		r.plan.Service.Ports = []planv1.Port{{Port: 81}}
		r.status.PlanRevision = "p2"
		r.tell()
		r.run()
		r.pass(5 * time.Second)
		for _, e := range a.since(mark) {
			if w := e.Write; w != nil && w.Host == nil {
				t.Errorf("a writes %s", w.Key)
			}
		}
		if r.endpoint.PodName != "b" || r.endpoint.Ports[0].Port != 81 {
			t.Errorf("%+v", r.endpoint)
		}
	})
	t.Run("its own entry comes back if somebody removes it", func(t *testing.T) {
		r, _ := up(t, "a", "b")
		delete(r.status.Hosts, "b")
		r.tell()
		r.run()
		r.pass(2 * time.Second)
		if !r.status.Hosts["b"].Ready {
			t.Error("not written again")
		}
	})
}

func TestEndpointIsRepaired(t *testing.T) {
	r, a := up(t, "a", "b")
	right := *r.endpoint
	if right.Address == "" {
		t.Fatalf("%+v", right)
	}
	mark := a.mark()
	seen := func(h *host, change func(*core.EndpointDocument)) {
		d := right
		change(&d)
		r.endpoint = &d
		h.input(core.Input{Endpoint: &d})
		r.pass(2 * time.Second)
	}
	seen(a, func(*core.EndpointDocument) {})
	for _, e := range a.since(mark) {
		if e.Write != nil && e.Write.Endpoint != nil {
			t.Error("what is right was written again")
		}
	}
	for what, change := range map[string]func(*core.EndpointDocument){
		"made anew, empty":  func(d *core.EndpointDocument) { *d = core.EndpointDocument{} },
		"made anew, fenced": func(d *core.EndpointDocument) { *d = core.EndpointDocument{Epoch: d.Epoch} },
		"another address":   func(d *core.EndpointDocument) { d.Address = "192.0.2.1" },
		"other ports":       func(d *core.EndpointDocument) { d.Ports = nil },
	} {
		if seen(a, change); !reflect.DeepEqual(*r.endpoint, right) {
			t.Errorf("%s: %+v stays", what, r.endpoint)
		}
	}
	// It is the owner's: neither a standby nor an owner of before may touch it.
	if seen(r.host("b"), func(d *core.EndpointDocument) { d.Address = "" }); r.endpoint.Address != "" {
		t.Errorf("a standby wrote %+v", r.endpoint)
	}
	if seen(a, func(d *core.EndpointDocument) { d.Epoch++; d.Address = "" }); r.endpoint.Address != "" {
		t.Errorf("an owner of before wrote %+v", r.endpoint)
	}
}

// A failure that leaves the period leaves the status with it, for one write.
func TestFailuresInPeriodAreToldInTime(t *testing.T) {
	r, a := up(t, "a")
	r.pass(2500 * time.Millisecond) // between the ticks of renewals
	a.signalFailure()
	r.pass(14 * time.Minute)
	mark, in := a.mark(), func() int32 { return r.docs["store"].Owner.FailuresInPeriod }
	if n := in(); n != 1 {
		t.Fatalf("%d failures in the period", n)
	}
	if r.pass(time.Minute + 10*time.Millisecond); in() != 0 {
		t.Errorf("%d failures in the period, after it", in())
	}
	r.pass(time.Hour)
	if n := count(a.since(mark), isWrite(resourceDoc)); n != 1 {
		t.Errorf("%d writes", n)
	}
}
