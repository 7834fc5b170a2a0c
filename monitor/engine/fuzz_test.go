// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/understudy-dev/understudy/monitor/instant"
)

// line is one line of a recording.
type line struct {
	At    instant.Instant `json:"at"`
	Event Event           `json:"event"`
}

// must is what holds of every step, whatever comes in.
func must(t *testing.T, e *Engine, now instant.Instant, ev Event) {
	t.Helper()
	out := e.Step(now, ev)
	at := e.now.Boot // the engine's time never goes back
	journals, statuses, replies := 0, 0, 0
	for _, a := range out {
		switch {
		case a.Call != nil && a.Call.Deadline <= at && at < math.MaxInt64:
			t.Fatalf("no deadline: %+v at %d", a.Call, at)
		case a.Arm != nil && a.Arm.At != 0 && a.Arm.At <= at:
			t.Fatalf("armed in the past: %+v at %d", a.Arm, at)
		case a.Journal != nil:
			journals++
		case a.Status != nil:
			statuses++
		case a.Reply != nil:
			replies++
		}
		if n := actionKinds(a); n != 1 {
			t.Fatalf("an action of %d kinds", n)
		}
	}
	if journals > 1 || statuses > 1 {
		t.Fatalf("%d journals, %d statuses", journals, statuses)
	}
	if ev.kinds() == 1 && (ev.Callback != nil) != (replies == 1) {
		t.Fatalf("%d replies to %+v", replies, ev.Callback)
	}
	if e.again {
		t.Fatal("it never settles")
	}
}

func actionKinds(a Action) (n int) {
	for _, v := range reflect.ValueOf(a).Fields() {
		if !v.IsNil() {
			n++
		}
	}
	return n
}

// FuzzStep feeds recordings that the fuzzer made up.
func FuzzStep(f *testing.F) {
	var seed bytes.Buffer
	enc := json.NewEncoder(&seed)
	at := start
	for _, ev := range []Event{
		{PlanChanged: &PlanChanged{Plan: Plan{Resources: []Resource{controlled("a"), res("b", "a")}}}},
		{ProviderUp: &ProviderUp{Container: "c", Nonce: "1"}}, {Returned: &Returned{Call: 1}}, {Returned: &Returned{Call: 2}},
		{Granted: &Granted{Epoch: 1}}, {Guarded: &Guarded{Container: "c", Epoch: 1}}, {Returned: &Returned{Call: 3}},
		{Callback: &Callback{Container: "c", Handle: "a", SignalFailure: &SignalFailure{Exited: true}}}, {Timer: &Timer{}},
		{Revoked: &Revoked{Mode: Emergency}}, {Emptied: &Emptied{Container: "c", Nonce: "2"}},
	} {
		at = at.Add(sec)
		_ = enc.Encode(line{at, ev})
	}
	f.Add(seed.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		e := New(Config{})
		dec := json.NewDecoder(bytes.NewReader(data))
		for range 200 {
			var l line
			if dec.Decode(&l) != nil {
				break
			}
			must(t, e, l.At, l.Event)
		}
		b, _ := json.Marshal(e.Snapshot(e.now))
		var s Snapshot
		if err := json.Unmarshal(b, &s); err != nil {
			t.Fatal(err)
		}
		must(t, Restore(Config{}, s), e.now, Event{Timer: &Timer{}})
	})
}

// maker makes values of any type, from few names so that they meet.
type maker struct{ *rand.Rand }

func (m maker) fill(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		m.fill(v.Elem(), depth+1)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[Callback]() {
			m.fill(v.FieldByName("ID"), depth)
			m.fill(v.FieldByName("Container"), depth)
			m.fill(v.FieldByName("Handle"), depth)
			m.fill(v.Field(3+m.IntN(v.NumField()-3)), depth)
			return
		}
		for _, f := range v.Fields() {
			if m.IntN(5) > 0 {
				m.fill(f, depth+1)
			}
		}
	case reflect.Slice:
		if v.Type() == reflect.TypeFor[json.RawMessage]() {
			v.SetBytes([]byte("{}"))
			return
		}
		n := 0
		if depth < 8 {
			n = m.IntN(4)
		}
		s := reflect.MakeSlice(v.Type(), n, n)
		for i := range n {
			m.fill(s.Index(i), depth+1)
		}
		v.Set(s)
	case reflect.String:
		pool := []string{"", "a", "b", "c", "d", "a", "b", "c", "SAVE"}
		switch v.Type() {
		case reflect.TypeFor[State]():
			pool = []string{"", "Online", "Offline", "Failed", "OnlinePending", "OfflinePending", "Initializing", "x"}
		case reflect.TypeFor[Phase]():
			pool = []string{"Observer", "Undecided", "Owner", "Stopping", ""}
		case reflect.TypeFor[RevokeMode]():
			pool = []string{"Ordered", "Emergency", "Kill", ""}
		case reflect.TypeFor[DesiredState]():
			pool = []string{"Online", "Offline", "Online"}
		case reflect.TypeFor[Outcome]():
			pool = []string{"", "", "", "Unavailable", "DeadlineExceeded", "Broken", "x"}
		case reflect.TypeFor[ControlPhase]():
			pool = []string{"Claiming", "Running", "Finished", "x"}
		case reflect.TypeFor[Verdict]():
			pool = []string{"", "Restart", "Retry", "Stay", "x"}
		}
		v.SetString(pool[m.IntN(len(pool))])
	case reflect.Bool:
		v.SetBool(m.IntN(2) == 0)
	case reflect.Int64, reflect.Int32:
		n := []int64{0, 1, 1, 2, 3, 4, 129, 130, -1, 997, int64(sec), 1000 * int64(sec), math.MaxInt64, math.MinInt64, m.Int64()}[m.IntN(15)]
		v.SetInt(n)
	case reflect.Uint32, reflect.Uint64:
		v.SetUint([]uint64{0, 0, 1, 2, 3, 997, uint64(m.IntN(60)), math.MaxUint32}[m.IntN(8)])
	case reflect.Uint8:
		v.SetUint(uint64(m.IntN(256)))
	}
}

// event makes an event of one kind.
func (m maker) event() Event {
	var ev Event
	v := reflect.ValueOf(&ev).Elem()
	m.fill(v.Field(m.IntN(v.NumField())), 0)
	if ev.PlanChanged != nil { // mostly one that is accepted
		for i := range ev.PlanChanged.Plan.Resources {
			r := &ev.PlanChanged.Plan.Resources[i]
			r.UID = string(rune('a' + i))
			if i == 0 || m.IntN(2) == 0 {
				r.Dependencies, r.ReadyTerms = nil, nil
			} else {
				r.Dependencies, r.ReadyTerms = [][]string{{"a"}}, []int{0}[m.IntN(2):]
			}
		}
	}
	if g := ev.Granted; g != nil && g.Epoch > 100 {
		g.Epoch = 1 // the largest epoch would be the last
	}
	return ev
}

// TestAnyEvent feeds values of all kinds, of which most make no sense.
func TestAnyEvent(t *testing.T) {
	for seed := range uint64(600) {
		m := maker{rand.New(rand.NewPCG(seed, 1))}
		e := New(Config{TrustProviders: seed%2 == 0})
		if seed%3 == 0 {
			var s Snapshot
			m.fill(reflect.ValueOf(&s).Elem(), 0)
			e = Restore(Config{}, s)
		}
		now := start
		for range 300 {
			if m.IntN(200) == 0 {
				m.fill(reflect.ValueOf(&now).Elem(), 0)
				now.Boot &= 1<<62 - 1
			}
			now = now.Add(ms * 100)
			must(t, e, now, m.event())
			if m.IntN(50) == 0 {
				e = Restore(Config{}, roundTrip(t, e.Snapshot(now)))
			}
		}
	}
}
