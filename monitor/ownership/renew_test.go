// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"slices"
	"testing"
	"time"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
)

// Ownership section 6: RENEW, VALID, SELF-STOP, LOST.

// A renewal every R, each with a tick before; the guard follows.
func TestRenew(t *testing.T) {
	x := owner(t)
	x.run([]line{
		{1000*ms - 1, nil, ""},
		{1, ticked, "tick?"},
		{1000*ms - 1, nil, ""},
		{1, nil, "put 2 a e2001"},
		{30 * ms, ok, "guard e2001 6.2s 7.5s"}, // from the beginning of the write, not from its answer
		{970 * ms, ticked, "tick?"},
		{1000 * ms, nil, "put 3 a e2001"},
		{10 * ms, all(commit, watched), "guard e2001 8.2s 9.5s"}, // the watch was faster
		{10 * ms, committed, ""},
	})
}

// Without a tick there is no renewal: an engine that hangs must not keep the
// lease. The tick is needed once for a series of attempts.
func TestNoRenewalWithoutTick(t *testing.T) {
	x := owner(t)
	x.run([]line{
		{2000 * ms, nil, "tick?; fact EngineSilent"},
		{100 * ms, event(Event{Tick: &Tick{ID: 999}}), ""},
		{100 * ms, ticked, "put 2 a e2001"},
		{1000 * ms, unknown, "put 3 a e2001"}, // a retry: the same tick
		{10 * ms, ok, "guard e2001 7.4s 8.7s"},
		{990 * ms, nil, "tick?"},
		{4000*ms - 1000*ms, nil, "fact EngineSilent; fact SelfStop; revoke Emergency SelfStop; get"},
	})
}

// What an unknown outcome, a 409 or a 404 mean, and from when the ownership is
// valid in the end.
func TestRenewalOutcomes(t *testing.T) {
	begin := []line{{1000 * ms, ticked, "tick?"}, {1000 * ms, nil, "put 2 a e2001"}}
	firstCommits := func(x *bench) { r := x.put.Record; r.Seq = 2; x.store(r) }
	other := heldBy(b, 2002)
	for name, s := range map[string][]line{
		"unknown: again at once, same version": {
			{1000 * ms, unknown, "put 3 a e2001"},
			{0, func(x *bench) {
				if x.put.Record.ResourceVersion != "102" {
					x.t.Errorf("over %s", x.put.Record.ResourceVersion)
				}
			}, ""},
			{10 * ms, ok, "guard e2001 7.2s 8.5s"},
		},
		"refused quickly: not hammered": {
			{1 * ms, unknown, ""},
			{99 * ms, unknown, "put 3 a e2001"},
			{200 * ms, unknown, "put 4 a e2001"},
			{400 * ms, unknown, "put 5 a e2001"},
			{500 * ms, unknown, "put 6 a e2001"},
		},
		"the first commits after all: valid from its beginning": {
			{1000 * ms, unknown, "put 3 a e2001"},
			{10 * ms, all(firstCommits, conflict), "get"},
			{500 * ms, got, "guard e2001 6.2s 7.5s; tick?"},
		},
		"the first had committed, the watch tells": {
			{1000 * ms, all(commit, unknown), "put 3 a e2001"},
			{10 * ms, watched, "guard e2001 6.2s 7.5s"},
			{10 * ms, conflict, "get"},
			{10 * ms, got, "tick?"},
		},
		"409 for an edit of no account: the version is adopted, nothing is confirmed": {
			{0, edit(func(l *leasev1.Lease) { l.Annotations["x"] = "y" }), ""},
			{10 * ms, conflict, "get"},
			{10 * ms, got, "put 3 a e2001"},
			{10 * ms, ok, "guard e2001 6.22s 7.52s"},
		},
		"409, and no answer to the read": {
			{10 * ms, conflict, "get"},
			{10 * ms, failed, ""},
			{90 * ms, failed, "get"},
			{200 * ms, failed, "get"},
		},
		"409, another owner: lost": {
			{10 * ms, all(record(other), conflict), "get"},
			{10 * ms, got, "fact Lost; guard e2001 2.02s 2.02s; kill; revoke Kill Lost"},
			{time.Second, nil, ""}, // and nothing is written
			{0, notStopped, "fact StopFailed"},
			{0, stopped, "fact StopProven; guard e2001 off off"},
		},
		"the watch shows another owner: lost": {
			{0, all(record(other), watched), "fact Lost; guard e2001 2s 2s; kill; revoke Kill Lost"},
			{10 * ms, conflict, ""},
		},
		"the watch shows an older version: nothing": {
			{0, func(x *bench) {
				l := leasev1.Encode(other, leasev1.Lease{})
				l.UID, l.ResourceVersion = "lease-1", "99"
				x.step(Event{Observed: &Observed{Lease: &l}})
			}, ""},
		},
		"my name, another incarnation: lost": {
			{0, all(func(x *bench) { r := x.put.Record; r.Inc = "inc-0"; x.store(r) }, watched), "fact Lost; guard e2001 2s 2s; kill; revoke Kill Lost"},
		},
		"my name, another epoch: lost": {
			{0, all(func(x *bench) { r := x.put.Record; r.Epoch++; x.store(r) }, watched), "fact Lost; guard e2001 2s 2s; kill; revoke Kill Lost"},
		},
		"emptied without a mark: lost": {
			{0, all(func(x *bench) { r := x.put.Record; r.HolderName, r.HolderUID = "", ""; x.store(r) }, watched), "fact Lost; guard e2001 2s 2s; kill; revoke Kill Lost"},
		},
		"declared stopped: lost": {
			{0, all(func(x *bench) { r, _ := leasev1.Fence(x.put.Record, "someone"); r.Seq = 1; x.store(r) }, watched), "fact Lost; guard e2001 2s 2s; kill; revoke Kill Lost"},
		},
		"a newer protocol: lost": {
			{0, all(edit(func(l *leasev1.Lease) { l.Annotations[leasev1.KeyProtocol] = "2" }), watched), "fact Unreadable; fact Lost; guard e2001 2s 2s; kill; revoke Kill Lost"},
		},
		"a typing error in my record: written over": {
			{10 * ms, all(edit(func(l *leasev1.Lease) { l.Annotations[leasev1.KeySeq] = "x" }), watched), "fact Unreadable"},
			{10 * ms, conflict, "get"},
			{10 * ms, got, "put 3 a e2001"},
			{10 * ms, ok, "guard e2001 6.23s 7.53s"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := owner(t)
			x.run(begin)
			x.run(s)
		})
	}
}

// A typing error between two renewals is mended at once, if the engine lives.
func TestDamageIsMendedAtOnce(t *testing.T) {
	x := owner(t)
	x.run([]line{
		{100 * ms, all(edit(func(l *leasev1.Lease) { l.Annotations[leasev1.KeyEpoch] = "" }), watched), "fact Unreadable; tick?"},
		{10 * ms, ticked, "put 2 a e2001"},
		{10 * ms, ok, "guard e2001 4.31s 5.61s"},
	})
}

// The edge owes every write an answer; if it does not come, the write is unknown,
// and a late one is still believed if it says that the write committed.
func TestEdgeOwesAnAnswer(t *testing.T) {
	x := owner(t)
	x.run([]line{
		{1000 * ms, ticked, "tick?"},
		{1000 * ms, nil, "put 2 a e2001"},
		{1500 * ms, nil, "put 3 a e2001"},
		{0, func(x *bench) { r := x.put.Record; r.Seq = 2; x.store(r) }, ""},
		{10 * ms, func(x *bench) {
			x.step(Event{Wrote: &Wrote{Seq: 2, Outcome: Conflict}})
			x.step(Event{Wrote: &Wrote{Seq: 2, Outcome: Unknown}})
		}, ""},
		{10 * ms, func(x *bench) { x.step(Event{Wrote: &Wrote{Seq: 2, Outcome: Committed, Lease: x.lease}}) }, "guard e2001 6.2s 7.5s"},
	})
}

// unreachable leads an owner whose writes fail to its self-stop at 4 s.
func unreachable(t *testing.T) *bench {
	x := owner(t)
	x.run([]line{
		{1000 * ms, ticked, "tick?"},
		{1000 * ms, nil, "put 2 a e2001"},
		{1000 * ms, unknown, "put 3 a e2001"},
		{1000*ms - 1, nil, ""},
		{1, nil, "fact SelfStop; revoke Emergency SelfStop"},
	})
	return x
}

// SELF-STOP: what succeeds late prolongs, but does not abort; nothing is written
// before the proof; what is past is past.
func TestSelfStop(t *testing.T) {
	expired := "fact Expired; guard e2001 6s 6s; kill; revoke Kill Expired"
	for name, s := range map[string][]line{
		"never proven, never answered": {
			{0, unknown, "get"},
			{10 * ms, failed, ""},
			{1989 * ms, failed, "get; get"}, // reads may tell; writes are not allowed
			{1 * ms, nil, expired},
			{10 * ms, stopped, "guard e2001 off off"},
		},
		"a success that arrives late: finished, then online again": {
			{400 * ms, ok, "guard e2001 7.2s 8.5s; get"},
			{100 * ms, stopped, "guard e2001 off off; guard e2001 7.2s 8.5s; grant e2001 Resumed from 3s; fact Resumed"},
			{100 * ms, got, "tick?"},
		},
		"a read tells of a success": {
			{0, all(commit, unknown), "get"},
			{100 * ms, got, "guard e2001 7.2s 8.5s"},
			{100 * ms, stopped, "guard e2001 off off; guard e2001 7.2s 8.5s; grant e2001 Resumed from 3s; fact Resumed; tick?"},
		},
		"proven in time: renewed, then online again": {
			{0, unknown, "get"},
			{100 * ms, stopped, "guard e2001 off off"},
			{100 * ms, got, "put 4 a e2001"},
			{100 * ms, ok, "guard e2001 8.4s 9.7s; grant e2001 Resumed from 4.2s; fact Resumed"},
		},
		"proven in time, but no answer: over, and no hard words": {
			{0, unknown, "get"},
			{100 * ms, stopped, "guard e2001 off off"},
			{100 * ms, got, "put 4 a e2001"},
			{1800*ms - 1, nil, "put 5 a e2001"},
			{1, nil, "fact Expired"},
		},
		"NO REVIVAL: a success after the end changes nothing": {
			{0, unknown, "get"},
			{1999 * ms, commit, "get"},
			{2 * ms, func(x *bench) { x.step(Event{Wrote: &Wrote{Seq: 3, Outcome: Committed, Lease: x.lease}}) }, expired},
			{0, stopped, "guard e2001 off off"},
			{3000 * ms, nil, "get; get"}, // its own record, watched like anybody's
		},
		"a timer that comes too late, with the success": {
			{10 * ms, func(x *bench) { x.armed = 0; commit(x) }, ""},
			{1990 * ms, committed, expired},
		},
		"the stop failed, but the API server is back: kept": {
			{0, unknown, "get"},
			{100 * ms, failed, ""},
			{400 * ms, notStopped, "get; fact StopFailed"},
			{10 * ms, got, "put 4 a e2001"},
			{10 * ms, ok, "guard e2001 8.71s 10.01s"},
			{1990 * ms, ticked, "tick?; fact EngineSilent; put 5 a e2001"},
			{10 * ms, ok, "guard e2001 10.71s 12.01s"},
			{10 * ms, stopped, "fact StopProven; guard e2001 off off; guard e2001 10.71s 12.01s; grant e2001 Resumed from 6.51s; fact Resumed"},
		},
		"another owner is seen": {
			{100 * ms, all(record(heldBy(b, 2002)), watched), "fact Lost; guard e2001 4.1s 4.1s; kill; revoke Kill Lost"},
		},
		"wanted offline meanwhile": {
			{100 * ms, all(ok, got), "guard e2001 7.2s 8.5s; get"},
			{0, wish(Wish{}), ""},
			{100 * ms, stopped, `guard e2001 off off; put 4  e2001 released 2001 to ""`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := unreachable(t)
			x.run(s)
		})
	}
}

// A guard that is taken away and ordered again at once is another one, each time: what init
// still answers to one of those before proves nothing.
func TestGuardAfterOneIsAnother(t *testing.T) {
	x := unreachable(t)
	x.run([]line{{400 * ms, ok, "guard e2001 7.2s 8.5s; get"}})
	before := []int64{x.m.guard.G2}
	another := func() {
		t.Helper()
		now := x.m.guard.G2
		if slices.Contains(before, now) || before[0]-now < 0 || before[0]-now > int64(time.Millisecond) {
			t.Errorf("the guard until %d follows those until %d", now, before)
		}
		before = append(before, now)
	}
	again := "guard e2001 off off; guard e2001 7.2s 8.5s; grant e2001 Resumed from 3s; fact Resumed"
	x.run([]line{
		{100 * ms, stopped, again},
		{100 * ms, got, "tick?"}, // and it stays as it is
	})
	another()
	for range 3 { // and nothing is renewed, so that the deadline is the same
		x.run([]line{
			{10 * ms, wish(Wish{}), "revoke Ordered Release"},
			{0, wish(Wish{WantOnline: true}), ""},
			{10 * ms, stopped, again},
		})
		another()
	}
}

// Validity counts on the clock that ran faster; and the guard, which is on
// CLOCK_BOOTTIME, moves closer as the other one runs ahead.
func TestHolderCountsTheFasterClock(t *testing.T) {
	x := owner(t)
	x.raw = 1.01
	x.run([]line{
		{1000 * ms, ticked, "guard e2001 4.19s 5.49s; tick?"},
		{1000 * ms, nil, "guard e2001 4.1801s 5.4801s; put 2 a e2001"},
		{900 * ms, unknown, "guard e2001 4.171s 5.471s; put 3 a e2001"},
		{900 * ms, unknown, "guard e2001 4.162s 5.462s; put 4 a e2001"},
		{3970*ms - 3800*ms, nil, "fact SelfStop; revoke Emergency SelfStop; guard e2001 4.1604s 5.4604s"},
	})
	x = owner(t)
	x.raw = 0 // suspended: CLOCK_BOOTTIME counts
	x.run([]line{{4000 * ms, nil, "tick?; fact EngineSilent; fact SelfStop; revoke Emergency SelfStop; get"}})
}

// Another timing in the plan counts from the next epoch on: until then others
// wait by the old one.
func TestTimingIsConstantForAnEpoch(t *testing.T) {
	short, _ := leasev1.TimingFor(2 * time.Second)
	w := Wish{WantOnline: true, FailoverThreshold: -1, FailoverPeriod: time.Hour, Timing: &short}
	x := owner(t)
	x.run([]line{
		{0, wish(w), ""},
		{1000 * ms, ticked, "tick?"},
		{1000 * ms, nil, "put 2 a e2001"},
		{0, ok, "guard e2001 6.2s 7.5s"},
	})
	if got := x.put.Record.Duration; got != 6*time.Second {
		t.Errorf("duration %v", got)
	}
	x = observer(t, freeOf(c, 2000, leasev1.CauseMove, a))
	x.run([]line{
		{0, wish(w), ""},
		{0, stopped, "get"},
		{0, got, "persist lease-1 e2001"},
		{0, persisted, "put 1 a e2001"},
		{0, ok, "guard e2001 1.3s 1.6s; grant e2001 Released from 0s; fact Acquired"},
	})
	if got := x.put.Record.Duration; got != 2*time.Second || x.disk.Timing != short {
		t.Errorf("duration %v, disk %+v", got, x.disk)
	}
}
