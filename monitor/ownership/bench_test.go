// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	"github.com/understudy-dev/understudy/monitor/instant"
)

const (
	ms = time.Millisecond
	// The hosts of all tests. The machine under test is a's.
	a, b, c = "uid-a", "uid-b", "uid-c"
)

// bench drives one machine through a script of events and compares what it does.
// It keeps a Lease, so that answers say what the API server would.
type bench struct {
	t          *testing.T
	m          *Machine
	start      instant.Instant
	now        instant.Instant
	did        []string // since the last comparison; Arm is left out
	lease      *leasev1.Lease
	version    int
	put        *Put
	create     *Create // nil once it is answered
	createSent *Create
	get        *Get
	persist    *Persist
	tick       *AskTick
	revoke     *Revoke
	armed      int64
	disk       Disk
	raw        float64 // how CLOCK_MONOTONIC_RAW runs against CLOCK_BOOTTIME
}

// line is one step of a script: time goes by, timers included; something
// happens; and all that the machine did since the line before is this.
type line struct {
	after time.Duration
	do    func(*bench)
	want  string
}

func newBench(t *testing.T, d Disk) *bench {
	timing, _ := leasev1.TimingFor(leasev1.DefaultD)
	start := instant.Instant{Boot: int64(1000 * time.Hour), Raw: int64(3 * time.Hour), Wall: int64(1000 * time.Second)}
	return &bench{
		t: t, start: start, now: start, version: 100, disk: d, raw: 1,
		m: New(Config{PodName: "a", PodUID: a, Inc: "inc-1", Timing: timing}, d),
	}
}

func (x *bench) run(script []line) {
	x.t.Helper()
	for i, l := range script {
		x.advance(l.after)
		if l.do != nil {
			l.do(x)
		}
		if got := strings.Join(x.did, "; "); got != l.want {
			x.t.Fatalf("line %d at %v:\n got %s\nwant %s\n%+v", i, time.Duration(x.now.Boot-x.start.Boot), got, l.want, x.m.Snapshot())
		}
		x.did = nil
	}
}

// advance lets time go by and the timer come.
func (x *bench) advance(d time.Duration) {
	end := x.now.Boot + int64(d)
	for x.armed != 0 && x.armed <= end {
		x.at(max(x.armed, x.now.Boot))
		x.armed = 0
		x.step(Event{Timer: &Timer{}})
	}
	x.at(end)
}

func (x *bench) at(boot int64) {
	d := boot - x.now.Boot
	x.now.Boot, x.now.Raw, x.now.Wall = boot, x.now.Raw+int64(float64(d)*x.raw), x.now.Wall+d
}

func (x *bench) step(e Event) {
	for _, act := range x.m.Step(x.now, e) {
		switch {
		case act.Put != nil:
			x.put = act.Put
		case act.Create != nil:
			x.create, x.createSent = act.Create, act.Create
		case act.Get != nil:
			x.get = act.Get
		case act.Persist != nil:
			x.persist = act.Persist
		case act.AskTick != nil:
			x.tick = act.AskTick
		case act.Revoke != nil:
			x.revoke = act.Revoke
		case act.Arm != nil:
			x.armed = act.Arm.At
			continue
		}
		x.did = append(x.did, x.say(act))
	}
}

// say is an action in a few words; times are since the start of the script.
func (x *bench) say(act Action) string {
	since := func(boot int64) string {
		if boot == 0 {
			return "off"
		}
		return time.Duration(boot - x.start.Boot).Round(ms / 10).String()
	}
	write := func(kind string, seq int64, r leasev1.Record) string {
		s := fmt.Sprintf("%s %d %s e%d", kind, seq, r.HolderName, r.Epoch)
		if r.ReleasedEpoch != 0 {
			s += fmt.Sprintf(" released %d to %q", r.ReleasedEpoch, r.ReleasedTo)
		}
		return s
	}
	switch {
	case act.Put != nil:
		return write("put", act.Put.Seq, act.Put.Record)
	case act.Create != nil:
		return write("create", act.Create.Seq, act.Create.Record)
	case act.Get != nil:
		return "get"
	case act.Persist != nil:
		return fmt.Sprintf("persist %s e%d", act.Persist.Disk.LeaseUID, act.Persist.Disk.Epoch)
	case act.Guard != nil:
		return fmt.Sprintf("guard e%d %s %s", act.Guard.Epoch, since(act.Guard.G1), since(act.Guard.G2))
	case act.KillAll != nil:
		return strings.TrimSpace("kill " + act.KillAll.Container)
	case act.Grant != nil:
		return fmt.Sprintf("grant e%d %s from %s", act.Grant.Epoch, act.Grant.Cause.Reason, since(act.Grant.ValidFrom.Boot))
	case act.Revoke != nil:
		return fmt.Sprintf("revoke %s %s", act.Revoke.Mode, act.Revoke.Reason)
	case act.AskTick != nil:
		return "tick?"
	case act.Fact != nil:
		return "fact " + string(act.Fact.Kind)
	}
	return "?"
}

// What can happen.

// store makes the record the Lease's, as somebody's write.
func (x *bench) store(r leasev1.Record) *leasev1.Lease {
	x.version++
	if r.UID == "" {
		r.UID = "lease-1"
	}
	r.ResourceVersion = strconv.Itoa(x.version)
	l := leasev1.Encode(r, leasev1.Lease{})
	x.lease = &l
	return x.lease
}

// edit changes the Lease by hand.
func edit(change func(*leasev1.Lease)) func(*bench) {
	return func(x *bench) {
		l := *x.lease
		l.Annotations = map[string]string{}
		maps.Copy(l.Annotations, x.lease.Annotations)
		change(&l)
		x.version++
		l.ResourceVersion = strconv.Itoa(x.version)
		x.lease = &l
	}
}

// fenced has a person declare the holder stopped.
func fenced(x *bench) {
	r, err := leasev1.Decode(*x.lease)
	if err != nil {
		x.t.Fatal(err)
	}
	r, _ = leasev1.Fence(r, "someone")
	x.store(r)
}

func record(r leasev1.Record) func(*bench) { return func(x *bench) { x.store(r) } }

// commit lets the last write reach the store, without an answer.
func commit(x *bench) {
	if x.create != nil {
		r := x.create.Record
		r.UID = "lease-" + strconv.Itoa(x.version)
		x.store(r)
		return
	}
	x.store(x.put.Record)
}

// ok commits the last write and answers it.
func ok(x *bench) { commit(x); committed(x) }

// committed answers the last write with the Lease as it is.
func committed(x *bench) { x.wrote(Committed) }

func (x *bench) wrote(o Outcome) {
	w := &Wrote{Outcome: o}
	if x.create != nil {
		w.Seq = x.create.Seq
	} else {
		w.Seq = x.put.Seq
	}
	if o == Committed {
		w.Lease = x.lease
	}
	x.create = nil
	x.step(Event{Wrote: w})
}

func unknown(x *bench)  { x.wrote(Unknown) }
func conflict(x *bench) { x.wrote(Conflict) }
func notFound(x *bench) { x.wrote(NotFound) }

// got answers the last Get with the Lease as it is; watched is the watch's news
// of it; failed is a Get without an answer.
func got(x *bench)     { x.step(Event{Observed: &Observed{Get: x.get.ID, Lease: x.lease}}) }
func watched(x *bench) { x.step(Event{Observed: &Observed{Lease: x.lease}}) }
func failed(x *bench)  { x.step(Event{Observed: &Observed{Get: x.get.ID, Failed: true}}) }

func persisted(x *bench) {
	x.disk = x.persist.Disk
	x.step(Event{Persisted: &Persisted{ID: x.persist.ID}})
}

func diskFull(x *bench) { x.step(Event{Persisted: &Persisted{ID: x.persist.ID, Error: "disk full"}}) }

func ticked(x *bench) { x.step(Event{Tick: &Tick{ID: x.tick.ID}}) }

func stopped(x *bench) {
	x.step(Event{Stopped: &Stopped{Revoke: x.revoke.ID, Proven: true}})
}

func notStopped(x *bench) {
	x.step(Event{Stopped: &Stopped{Revoke: x.revoke.ID, Left: []string{"db"}}})
}

func event(e Event) func(*bench) { return func(x *bench) { x.step(e) } }

func wish(w Wish) func(*bench) { return event(Event{Wish: &w}) }

func drain(x *bench) {
	x.step(Event{Drain: &Drain{Reason: leasev1.Reason{Reason: "PodDeleted"}}})
}

func succession(s Succession) func(*bench) { return event(Event{Succession: &s}) }

// all does several things in one line.
func all(do ...func(*bench)) func(*bench) {
	return func(x *bench) {
		for _, f := range do {
			f(x)
		}
	}
}

// The usual succession: a before b before c, all ready.
var abc = Succession{Line: []string{a, b, c}, Ready: []string{a, b, c}}

// heldBy is the record of another host; freeOf that host's release.
func heldBy(uid string, epoch int64) leasev1.Record {
	return leasev1.Record{
		HolderName: uid[4:], HolderUID: uid, Duration: 6 * time.Second, Epoch: epoch, Inc: "inc-of-" + uid, Seq: 9,
		Protocol: 1, Members: leasev1.Members{leasev1.AnyMember},
	}
}

func freeOf(uid string, epoch int64, cause leasev1.Cause, to string) leasev1.Record {
	r := heldBy(uid, epoch)
	r.HolderName, r.HolderUID, r.ReleasedEpoch, r.ReleasedTo = "", "", epoch, to
	r.Failovers = []leasev1.Failover{{Epoch: epoch, PodUID: uid, Cause: cause, Time: time.Unix(990, 0)}}
	return r
}

// observer is a host that wants the group, has nothing running and sees r.
func observer(t *testing.T, r leasev1.Record) *bench {
	t.Helper()
	x := newBench(t, Disk{})
	x.run([]line{
		{0, event(Event{Started: &Started{}}), "revoke Emergency NotOwner"},
		{0, all(record(r), watched), ""},
		{0, wish(Wish{WantOnline: true, FailoverThreshold: -1, FailoverPeriod: time.Hour}), ""},
		{0, succession(abc), ""},
	})
	return x
}

// owner is a host that just took the group in epoch 2001, at 0 s.
func owner(t *testing.T) *bench {
	t.Helper()
	x := observer(t, freeOf(c, 2000, leasev1.CauseMove, a))
	x.run([]line{
		{0, stopped, "get"},
		{0, got, "persist lease-1 e2001"},
		{0, persisted, "put 1 a e2001"},
		{0, ok, "guard e2001 4.2s 5.5s; grant e2001 Released from 0s; fact Acquired"},
	})
	return x
}
