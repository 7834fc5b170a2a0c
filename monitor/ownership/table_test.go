// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
)

var roles = []Role{Starting, Clearing, Observer, Acquiring, Adopting, Owner, Offlining, Releasing, SelfStopping}

// Every event is defined in every role, and dispatched to the field of its name.
func TestEveryEventInEveryRole(t *testing.T) {
	events, rows := reflect.TypeFor[Event](), reflect.TypeFor[row]()
	if events.NumField() != rows.NumField() {
		t.Errorf("%d events, %d columns", events.NumField(), rows.NumField())
	}
	if len(table) != len(roles) || len(drives) != len(roles) {
		t.Errorf("%d roles, %d rows, %d drives", len(roles), len(table), len(drives))
	}
	for _, role := range roles {
		if drives[role] == nil {
			t.Errorf("%s: no drive", role)
		}
		for field := range events.Fields() {
			name := field.Name
			h := reflect.ValueOf(table[role]).FieldByName(name)
			if !h.IsValid() || h.IsNil() {
				t.Errorf("%s: event %s is not defined", role, name)
			}
		}
	}
	for i := range events.NumField() {
		name, called := events.Field(i).Name, false
		var r row
		reflect.ValueOf(&r).Elem().FieldByName(name).Set(reflect.ValueOf(handler(func(*Machine, Event) { called = true })))
		var e Event
		reflect.ValueOf(&e).Elem().Field(i).Set(reflect.New(events.Field(i).Type.Elem()))
		if h := r.of(e); h == nil {
			t.Errorf("%s is not dispatched", name)
		} else if h(nil, e); !called {
			t.Errorf("%s is dispatched elsewhere", name)
		}
	}
}

// Exactly one field of events and actions is set, and each has a JSON name, so
// that recordings are read back as they were written.
func TestRecordable(t *testing.T) {
	for _, typ := range []reflect.Type{reflect.TypeFor[Event](), reflect.TypeFor[Action]()} {
		for i := range typ.NumField() {
			f := typ.Field(i)
			v := reflect.New(typ)
			v.Elem().Field(i).Set(reflect.New(f.Type.Elem()))
			b, err := json.Marshal(v.Interface())
			if err != nil {
				t.Fatal(err)
			}
			back := reflect.New(typ)
			if err := json.Unmarshal(b, back.Interface()); err != nil || !reflect.DeepEqual(v.Interface(), back.Interface()) {
				t.Errorf("%s: %s: %v", f.Name, b, err)
			}
		}
	}
}

// The timer is set again when it came too early, and only then.
func TestTimer(t *testing.T) {
	x := owner(t)
	first := x.armed
	for i := range 3 {
		x.at(x.now.Boot + int64(100*ms))
		x.armed = 0
		x.step(Event{Timer: &Timer{}})
		if x.armed != first {
			t.Errorf("%d: set to %d, want %d", i, x.armed, first)
		}
		x.armed = 0
		x.step(Event{Succession: &abc})
		if x.armed != 0 {
			t.Errorf("%d: set once more", i)
		}
	}
}

// Whatever comes, in whatever order: no panic, at most one request under way, no
// write that could start something without a Guard before its Grant; and the
// same events give the same actions.
func TestAnything(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		d := Disk{}
		if rng.IntN(2) == 0 {
			d = diskOf(mine())
		}
		x, twin := newBench(t, d), newBench(t, d)
		x.store(mine())
		var pending []Event
		last := int64(0) // the Revoke
		for range 400 {
			x.at(x.now.Boot + rng.Int64N(int64(time.Second)))
			var e Event
			if len(pending) > 0 && rng.IntN(3) > 0 {
				i := rng.IntN(len(pending))
				e, pending = pending[i], append(pending[:i:i], pending[i+1:]...)
			} else {
				e = x.anything(rng, last)
			}
			actions := x.m.Step(x.now, e)
			if again := twin.m.Step(x.now, e); !reflect.DeepEqual(actions, again) {
				t.Fatalf("seed %d: two machines differ:\n%+v\n%+v", seed, actions, again)
			}
			guard, released := false, false
			for _, act := range actions {
				switch {
				case act.Put != nil:
					released = released || !act.Put.Record.Held()
					w := Wrote{Seq: act.Put.Seq, Outcome: []Outcome{Committed, Conflict, NotFound, Unknown}[rng.IntN(4)]}
					if w.Outcome == Committed || rng.IntN(3) == 0 {
						l := x.store(act.Put.Record)
						if w.Outcome == Committed {
							w.Lease = l
						}
					}
					pending = append(pending, Event{Wrote: &w})
				case act.Create != nil:
					pending = append(pending, Event{Wrote: &Wrote{Seq: act.Create.Seq, Outcome: Conflict}})
				case act.Get != nil:
					pending = append(pending, Event{Observed: &Observed{Get: act.Get.ID, Failed: rng.IntN(3) == 0, Lease: x.lease}})
				case act.Persist != nil:
					pending = append(pending, Event{Persisted: &Persisted{ID: act.Persist.ID}})
				case act.AskTick != nil:
					pending = append(pending, Event{Tick: &Tick{ID: act.AskTick.ID}})
				case act.Revoke != nil:
					last = act.Revoke.ID
				case act.Guard != nil:
					guard = true
				case act.Grant != nil:
					s := x.m.Snapshot()
					if !guard && x.m.guard.G2 <= x.now.Boot || s.ValidUntil <= x.now.Boot {
						t.Fatalf("seed %d: granted without a guard: %+v", seed, s)
					}
				}
			}
			s := x.m.Snapshot()
			if s.Granted && s.Role != Owner {
				t.Fatalf("seed %d: granted in role %s", seed, s.Role)
			}
			if x.m.exchange.write != nil && x.m.exchange.read != nil {
				t.Fatalf("seed %d: two requests at a time", seed)
			}
			if (s.Role == Observer || s.Role == Acquiring || released) && !x.m.clean {
				t.Fatalf("seed %d: something may run in role %s", seed, s.Role)
			}
		}
	}
}

// anything is an event that may come at any time.
func (x *bench) anything(rng *rand.Rand, revoke int64) Event {
	someone := []string{a, b, c}[rng.IntN(3)]
	switch rng.IntN(12) {
	case 0:
		return Event{Started: &Started{}}
	case 1:
		return Event{Observed: &Observed{Lease: x.lease}}
	case 2:
		return Event{Observed: &Observed{Lease: x.store([]leasev1.Record{heldBy(someone, 3000), freeOf(someone, 3000, leasev1.CauseMove, a), mine()}[rng.IntN(3)])}}
	case 3:
		s := abc
		s.Ready = s.Ready[:rng.IntN(4)]
		return Event{Succession: &s}
	case 4:
		return Event{Tick: &Tick{ID: rng.Int64N(50)}}
	case 5:
		w := Wish{WantOnline: rng.IntN(4) > 0, FailoverThreshold: -1}
		if rng.IntN(4) == 0 {
			w.Release = failover.Release
		}
		return Event{Wish: &w}
	case 6:
		if rng.IntN(30) == 0 {
			return Event{Drain: &Drain{}}
		}
	case 7:
		return Event{GuardUp: &GuardUp{Container: "app", Epoch: 2001, G2: x.now.Boot + rng.Int64N(int64(3*time.Second))}}
	case 8:
		return Event{GuardDown: &GuardDown{Container: "app"}}
	case 9, 10:
		return Event{Stopped: &Stopped{Revoke: revoke - rng.Int64N(3), Proven: rng.IntN(3) > 0}}
	}
	return Event{Timer: &Timer{}}
}
