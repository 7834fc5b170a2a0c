// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"testing"
	"time"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
)

// Ownership section 6, MONITOR RESTART, PROVIDER RESTART, LEASE DELETED and
// REWIND SEEN.

// mine is the record that the monitor before held, diskOf its disk state.
func mine() leasev1.Record {
	r := heldBy(a, 2001)
	r.Inc = "inc-0"
	return r
}

func diskOf(r leasev1.Record) Disk {
	timing, _ := leasev1.TimingFor(r.Duration)
	return Disk{LeaseUID: "lease-1", Epoch: r.Epoch, Members: r.Members, Timing: timing}
}

// guardUp says that a container holds the guard of that epoch until then.
func guardUp(container string, epoch int64, until time.Duration) func(*bench) {
	return func(x *bench) {
		g := GuardUp{Container: container, Nonce: "n", Epoch: epoch}
		if until != 0 {
			g.G1, g.G2 = x.start.Boot+int64(until-1300*ms), x.start.Boot+int64(until)
		}
		x.step(Event{GuardUp: &g})
	}
}

func begin(x *bench) { x.step(Event{Started: &Started{}}) }

func TestReadopt(t *testing.T) {
	for name, s := range map[string][]line{
		"disk, guard and record agree": {
			{0, begin, "get"},
			{10 * ms, guardUp("app", 2001, 3*time.Second), ""},
			{10 * ms, got, "put 1 a e2001"}, // with the new incarnation, before anything else
			{10 * ms, ok, "guard e2001 4.22s 5.52s; grant e2001 Readopted from 20ms; fact Readopted"},
			{1000 * ms, ticked, "tick?"},
			{1000 * ms, nil, "put 2 a e2001"},
		},
		"the guard comes last, and from one of two containers": {
			{0, begin, "get"},
			{10 * ms, got, ""},
			{0, guardUp("empty", 2001, 0), ""},
			{500 * ms, guardUp("app", 2001, 3*time.Second), "put 1 a e2001"},
		},
		"unknown: again at once": {
			{0, all(begin, guardUp("app", 2001, 3*time.Second)), "get"},
			{0, got, "put 1 a e2001"},
			{1000 * ms, unknown, "put 2 a e2001"},
			{0, ok, "guard e2001 5.2s 6.5s; grant e2001 Readopted from 1s; fact Readopted"},
		},
		"a write of the monitor before comes in between": {
			{0, all(begin, guardUp("app", 2001, 3*time.Second)), "get"},
			{0, got, "put 1 a e2001"},
			{10 * ms, all(func(x *bench) { r := mine(); r.Seq = 10; x.store(r) }, conflict), "get"},
			{10 * ms, got, "put 2 a e2001"},
			{10 * ms, ok, "guard e2001 4.22s 5.52s; grant e2001 Readopted from 20ms; fact Readopted"},
		},
		"another owner comes in between": {
			{0, all(begin, guardUp("app", 2001, 3*time.Second)), "get"},
			{0, got, "put 1 a e2001"},
			{10 * ms, all(record(heldBy(b, 2002)), conflict), "get"},
			{10 * ms, got, "fact NotReadopted; guard e2001 20ms 20ms; kill; revoke Kill NotOwner"},
		},
		"it is stored, and a person declares the host stopped": {
			{0, all(begin, guardUp("app", 2001, 3*time.Second)), "get"},
			{0, got, "put 1 a e2001"},
			{10 * ms, all(commit, fenced, conflict), "get"},
			{10 * ms, got, "fact NotReadopted; guard e2001 20ms 20ms; kill; revoke Kill NotOwner"},
		},
		"too late: the guard has expired": {
			{0, all(begin, guardUp("app", 2001, time.Second)), "get"},
			{0, got, "put 1 a e2001"},
			{999 * ms, commit, ""},
			{1 * ms, nil, "fact NotReadopted; guard e2001 1s 1s; kill; revoke Kill Expired"},
			{1 * ms, committed, ""},
		},
		"the timer is late, and the answer is there": {
			{0, all(begin, guardUp("app", 2001, time.Second)), "get"},
			{0, got, "put 1 a e2001"},
			{10 * ms, func(x *bench) { commit(x); x.armed = 0 }, ""},
			{990 * ms, committed, "fact NotReadopted; guard e2001 1s 1s; kill; revoke Kill Expired"},
		},
		"too late for a grant: stopped at once": {
			{0, all(begin, guardUp("app", 2001, 5500*ms)), "get"},
			{0, got, "put 1 a e2001"},
			{900 * ms, unknown, "put 2 a e2001"},
			{0, func(x *bench) { r := x.put.Record; r.Seq = 1; x.store(r) }, ""},
			{3200 * ms, watched, "put 3 a e2001; put 4 a e2001; fact SelfStop; revoke Emergency SelfStop; guard e2001 4.2s 5.5s"},
		},
		"the container is gone again": {
			{0, all(begin, guardUp("app", 2001, 3*time.Second), event(Event{GuardDown: &GuardDown{Container: "app"}})), "get"},
			{0, got, ""},
		},
		"another owner": {
			{0, all(record(heldBy(b, 2001)), begin, guardUp("app", 2001, 3*time.Second)), "get"},
			{0, got, "fact NotReadopted; kill; revoke Kill NotOwner"},
			{10 * ms, stopped, "guard e2001 off off"},
		},
		"another epoch": {
			{0, all(func(x *bench) { r := mine(); r.Epoch++; x.store(r) }, begin, guardUp("app", 2001, 3*time.Second)), "get"},
			{0, got, "fact NotReadopted; kill; revoke Kill NotOwner"},
		},
		"another Lease": {
			{0, all(func(x *bench) { r := mine(); r.UID = "lease-2"; x.store(r) }, begin, guardUp("app", 2001, 3*time.Second)), "get"},
			{0, got, "fact Rewound; fact NotReadopted; kill; revoke Kill NotOwner"},
		},
		"declared stopped": {
			{0, all(func(x *bench) { r, _ := leasev1.Fence(mine(), "someone"); x.store(r) }, begin, guardUp("app", 2001, 3*time.Second)), "get"},
			{0, got, "fact NotReadopted; kill; revoke Kill NotOwner"},
		},
		"another duration": {
			{0, all(func(x *bench) { r := mine(); r.Duration = 2 * time.Second; x.store(r) }, begin, guardUp("app", 2001, 3*time.Second)), "get"},
			{0, got, "fact NotReadopted; kill; revoke Kill NotOwner"},
		},
		"no Lease": {
			{0, all(func(x *bench) { x.lease = nil }, begin, guardUp("app", 2001, 3*time.Second)), "get"},
			{0, got, "fact Deleted; fact NotReadopted; kill; revoke Kill NotOwner"},
		},
		"a record that the watch shows must be read": {
			{0, all(begin, guardUp("app", 2001, 3*time.Second)), "get"},
			{10 * ms, all(failed, watched), ""},
			{490 * ms, got, "get; put 1 a e2001"},
		},
		"the guard is of another epoch": {
			{0, all(begin, guardUp("app", 2000, 3*time.Second)), "get"},
			{0, got, ""},
			{6 * time.Second, nil, "fact NotReadopted; kill; revoke Kill NotOwner"},
		},
		"no guard, as after a reboot: only watched": {
			{0, begin, "get"},
			{0, got, ""},
			{0, guardUp("app", 0, 0), ""},
			{6 * time.Second, stopped, "fact NotReadopted; revoke Emergency NotOwner"},
		},
		"no answer: the guard is left to fire": {
			{0, all(begin, guardUp("app", 2001, 5*time.Second)), "get"},
			{1000 * ms, failed, "get"},
			{5000*ms - 1, nil, "get; get; get"},
			{1, nil, "fact NotReadopted; kill; revoke Kill NotOwner"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := newBench(t, diskOf(mine()))
			x.store(mine())
			x.run(s)
		})
	}
}

// A monitor that restarts while its predecessor creates the Lease again adopts
// the new one.
func TestReadoptRecreated(t *testing.T) {
	d := diskOf(mine())
	d.LeaseUID = ""
	x := newBench(t, d)
	x.store(mine())
	x.run([]line{
		{0, all(begin, guardUp("app", 2001, 3*time.Second)), "get"},
		{0, got, "put 1 a e2001"},
	})
}

// Without a disk state nothing is re-adopted, and what has a guard is killed.
func TestDiskErased(t *testing.T) {
	x := newBench(t, Disk{})
	x.store(mine())
	x.run([]line{
		{0, begin, "revoke Emergency NotOwner"},
		{10 * ms, guardUp("app", 2001, 3*time.Second), "kill app"},
		{0, all(watched, wish(Wish{WantOnline: true}), succession(abc)), ""},
		{time.Minute, nil, ""}, // no candidate before the proof
		{10 * ms, stopped, "guard e2001 off off; get"},
	})
}

// A guard where none may be: an init that was out of reach when its host stopped.
func TestStrayGuard(t *testing.T) {
	x := observer(t, heldBy(b, 2000))
	x.run([]line{
		{0, stopped, ""},
		{0, guardUp("app", 1999, 0), ""},
		{0, guardUp("app", 1999, 3*time.Second), "kill app; revoke Kill NotOwner"},
		{time.Minute, nil, ""},
		{0, stopped, "guard e1999 off off; get"},
		{0, got, "persist lease-1 e2001"},
		{0, guardUp("other", 1999, 90*time.Second), "kill other"},
	})
}

// An owner creates the Lease again within its validity; others only one without
// an owner, and later.
func TestLeaseDeleted(t *testing.T) {
	gone := func(x *bench) { x.lease = nil }
	for name, s := range map[string][]line{
		"the watch tells, a read confirms": {
			{100 * ms, all(gone, watched), "get"},
			{10 * ms, got, "fact Deleted; tick?"},
			{10 * ms, ticked, "persist  e2001"},
			{10 * ms, persisted, "create 2 a e2001"},
			{10 * ms, ok, "fact Recreated; persist lease-102 e2001; guard e2001 4.33s 5.63s"},
			{10 * ms, persisted, ""},
			{860 * ms, nil, ""},
		},
		"the watch is wrong": {
			{100 * ms, func(x *bench) { x.step(Event{Observed: &Observed{}}) }, "get"},
			{10 * ms, got, ""},
		},
		"the renewal tells": {
			{1000 * ms, ticked, "tick?"},
			{1000 * ms, nil, "put 2 a e2001"},
			{10 * ms, all(gone, notFound), "fact Deleted; persist  e2001"},
			{10 * ms, persisted, "create 3 a e2001"},
			{500 * ms, unknown, "create 4 a e2001"},
			{10 * ms, all(commit, unknown), ""},
			{190 * ms, func(x *bench) { x.create = x.createSent }, "create 5 a e2001"},
			{10 * ms, conflict, "get"},
			{10 * ms, got, "fact Recreated; persist lease-102 e2001; guard e2001 6.72s 8.02s"},
		},
		"another created it": {
			{100 * ms, all(gone, watched), "get"},
			{10 * ms, got, "fact Deleted; tick?"},
			{10 * ms, ticked, "persist  e2001"},
			{10 * ms, persisted, "create 2 a e2001"},
			{10 * ms, all(func(x *bench) { r := leasev1.Unheld(2001, 6*time.Second); r.UID = "lease-2"; x.store(r) }, conflict), "get"},
			{10 * ms, got, "fact Rewound; fact Lost; guard e2001 150ms 150ms; kill; revoke Kill Lost"},
		},
		"too late: stopped as ever": {
			{1000 * ms, ticked, "tick?"},
			{1000 * ms, nil, "put 2 a e2001"},
			{10 * ms, all(gone, notFound), "fact Deleted; persist  e2001"},
			{1990 * ms, diskFull, "fact SelfStop; revoke Emergency SelfStop; get; fact DiskFailed"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := owner(t)
			x.run(s)
		})
	}
}

func TestCandidateCreatesUnheld(t *testing.T) {
	x := observer(t, heldBy(b, 2000))
	x.run([]line{
		{0, all(stopped, func(x *bench) { x.lease = nil }, watched), "get"},
		{0, got, "fact Deleted"},
		{3000*ms - 1, nil, ""}, // the owner's turn
		{1, nil, "create 1  e2000"},
	})
	if r := x.create.Record; r.Held() || r.Free() || !r.Members.Any() {
		t.Errorf("%+v", r)
	}
	x.run([]line{
		{10 * ms, ok, "fact Rewound"},
		{6122*ms - 1, nil, "get; get"},
	})
	if x.m.role != Observer {
		t.Error("taken before W")
	}
}

// After a break in the history nothing is taken fast: the owner that the store
// has forgotten may live.
func TestRewound(t *testing.T) {
	older := func(r leasev1.Record) func(*bench) {
		return func(x *bench) { x.version = 50; x.store(r) }
	}
	free := freeOf(b, 1990, leasev1.CauseMove, a)
	other := freeOf(b, 2000, leasev1.CauseMove, a)
	other.UID = "lease-2"
	less := freeOf(b, 1999, leasev1.CauseMove, a)
	for name, do := range map[string]func(*bench){
		"an older version": older(free), "another Lease": record(other), "a smaller epoch": record(less),
	} {
		t.Run(name, func(t *testing.T) {
			x := observer(t, heldBy(b, 2000))
			x.run([]line{
				{0, stopped, ""},
				{3250 * ms, all(do, got), "get; fact Rewound"},
				{3250 * ms, got, "get"},
				{2872*ms - 1, nil, "get; get"},
			})
			if x.m.role != Observer {
				t.Fatal("taken at once")
			}
			x.advance(ms)
			got(x)
			if x.m.role != Acquiring || x.m.tenure.epoch != 2001 {
				t.Errorf("role %s", x.m.role)
			}
		})
	}
	// An older version by the watch is just a late one.
	x := observer(t, heldBy(b, 2000))
	x.run([]line{{0, all(stopped, older(free), watched), ""}})
	// But one that cannot be read may be what the store has forgotten: it is asked.
	malformed := edit(func(l *leasev1.Lease) { l.Annotations[leasev1.KeySeq] = "?" })
	x = observer(t, heldBy(b, 2000))
	x.run([]line{
		{0, all(stopped, malformed, watched), "fact Unreadable"},
		{time.Minute, all(older(free), watched), "get"},
		{10 * ms, got, "fact Rewound"},
	})
	// An owner that meets an older version, also one of its own, is lost.
	x = owner(t)
	x.run([]line{
		{1000 * ms, ticked, "tick?"},
		{1000 * ms, nil, "put 2 a e2001"},
		{10 * ms, all(func(x *bench) { r := x.put.Record; r.Seq = 1; older(r)(x) }, conflict), "get"},
		{10 * ms, got, "fact Lost; guard e2001 2.02s 2.02s; kill; revoke Kill Lost"},
	})
}

// A read proves only what it knew: news of the watch since then come first; and
// the answer to a read that was given up is no answer to the next.
func TestReadsAndWatchInAnyOrder(t *testing.T) {
	x := observer(t, heldBy(b, 2000))
	before := x.lease
	x.run([]line{
		{0, stopped, ""},
		{3250 * ms, all(record(heldBy(b, 2000)), watched), "get"},
		{10 * ms, func(x *bench) { x.step(Event{Observed: &Observed{Get: x.get.ID, Lease: before}}) }, ""},
		{10 * ms, func(x *bench) { x.step(Event{Observed: &Observed{Get: x.get.ID}}) }, ""},
		{500 * ms, got, "get"},
		{2730 * ms, nil, "get"},
		{1500 * ms, func(x *bench) { x.step(Event{Observed: &Observed{Get: x.get.ID - 1, Failed: true}}) }, "get"},
		{500 * ms, nil, ""}, // still under way
	})
	// A watch that begins with nothing proves nothing.
	x = newBench(t, Disk{})
	x.run([]line{
		{0, event(Event{Observed: &Observed{}}), "revoke Emergency NotOwner"},
		{0, all(stopped, wish(Wish{WantOnline: true}), succession(abc)), "get"},
		{10 * ms, got, "fact Deleted"},
		{3000 * ms, nil, "create 1  e1"},
	})
}
