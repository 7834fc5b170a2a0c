// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"strconv"
	"strings"
	"testing"
	"time"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
)

// Ownership section 6, ACQUIRE, and section 9.

// A record that nobody renews is taken after W, not before, and only if a quorum
// read says that it is still that version.
func TestTakeSilent(t *testing.T) {
	x := observer(t, heldBy(b, 2000))
	x.run([]line{
		{0, stopped, ""},
		{3250*ms - 1, nil, ""},
		{1, nil, "get"}, // near expiry: every half second
		{0, got, ""},
		{500 * ms, got, "get"},
		{500 * ms, got, "get"},
		{500 * ms, got, "get"},
		{500 * ms, got, "get"},
		{500 * ms, got, "get"},
		{6122*ms - 5750*ms - 1, nil, ""},
		{1, nil, "get"}, // W has passed: at once, whenever the last read was
		{0, got, "persist lease-1 e2001"},
		{10 * ms, persisted, "put 1 a e2001"},
		{20 * ms, ok, "guard e2001 10.332s 11.632s; grant e2001 Silent from 6.132s; fact Acquired"},
	})
}

// A renewal in between starts the wait anew, also if only the read shows it.
func TestRenewalRestartsTheWait(t *testing.T) {
	x := observer(t, heldBy(b, 2000))
	next := heldBy(b, 2000)
	next.Seq++
	x.run([]line{
		{0, stopped, ""},
		{6122 * ms, nil, "get; get"}, // the edge owes the answers
		{10 * ms, all(record(next), got), ""},
		{3250*ms - 1, nil, ""},
		{1, got, "get"},
		{500 * ms, failed, "get"},
		{6122*ms - 3751*ms, nil, "get; get"},
	})
	if x.m.role != Observer {
		t.Errorf("role %s", x.m.role)
	}
}

// What a candidate waits before it reads and takes, for each kind of record and
// place in the succession. The wait is on the slower clock.
func TestWhenToTake(t *testing.T) {
	const W = 6122 * ms
	unheld := leasev1.Unheld(2000, 6*time.Second)
	fenced := heldBy(b, 2000)
	fenced.FencedEpoch = 2000
	fencedBefore := heldBy(b, 2000)
	fencedBefore.FencedEpoch = 1999
	releasedBefore := heldBy(b, 2000)
	releasedBefore.HolderUID, releasedBefore.HolderName, releasedBefore.ReleasedEpoch = "", "", 1999
	short, long := heldBy(b, 2000), heldBy(b, 2000)
	short.Duration, long.Duration = 2*time.Second, 15*time.Second
	stranger, member := heldBy(b, 2000), heldBy(b, 2000)
	stranger.Members, stranger.ExtendMax = leasev1.Members{b, c}, 60*time.Second
	member.Members, member.ExtendMax = leasev1.Members{a, b}, 60*time.Second
	mine := heldBy(a, 2000)
	failedHere := freeOf(b, 2000, leasev1.CauseFailover, "")
	failedHere.Failovers = append([]leasev1.Failover{{Epoch: 1990, PodUID: a, Cause: leasev1.CauseFailover, Time: time.Unix(900, 0)}}, failedHere.Failovers...)
	longAgo := failedHere
	longAgo.Failovers = []leasev1.Failover{{Epoch: 1990, PodUID: a, Cause: leasev1.CauseFailover, Time: time.Unix(-9000, 0)}, failedHere.Failovers[1]}

	for name, s := range map[string]struct {
		record leasev1.Record
		line   []string
		want   time.Duration
	}{
		"silent":                           {heldBy(b, 2000), []string{a, b, c}, W},
		"silent, second":                   {heldBy(b, 2000), []string{c, a, b}, W + 250*ms},
		"silent, after the one who is":     {heldBy(b, 2000), []string{b, a, c}, W},
		"silent, in reserve":               {heldBy(b, 2000), []string{c, "", a}, W + 250*ms},
		"silent, mine":                     {mine, []string{a, b, c}, W + 500*ms},
		"silent, short by hand":            {short, []string{a, b}, W},
		"silent, longer":                   {long, []string{a, b}, 15304 * ms},
		"silent, not a member":             {stranger, []string{a, b}, leasev1.W(66 * time.Second)},
		"silent, a member":                 {member, []string{a, b}, W},
		"no holder, no mark":               {unheld, []string{a, b}, W},
		"no holder, an older mark":         {releasedBefore, []string{a, b}, W},
		"free":                             {freeOf(b, 2000, leasev1.CauseDrain, ""), []string{a, b, c}, 0},
		"free, third":                      {freeOf(b, 2000, leasev1.CauseDrain, ""), []string{c, "uid-d", a}, 500 * ms},
		"free, to me":                      {freeOf(b, 2000, leasev1.CauseMove, a), []string{c, "uid-d", a}, 0},
		"free, to another":                 {freeOf(b, 2000, leasev1.CauseMove, c), []string{a, b, c}, 1000 * ms},
		"free, to another, second":         {freeOf(b, 2000, leasev1.CauseMove, c), []string{c, a}, 1250 * ms},
		"free, by me":                      {freeOf(a, 2000, leasev1.CauseFailover, c), []string{a, b, c}, W + 1500*ms},
		"free, by me, wanted offline then": {freeOf(a, 2000, leasev1.CauseOffline, ""), []string{a}, 0},
		"free, failed here":                {failedHere, []string{a, b, c}, 250 * ms},
		"free, failed here long ago":       {longAgo, []string{a, b, c}, 0},
		"fenced":                           {fenced, []string{a, b}, 0},
		"fenced, second":                   {fenced, []string{c, a}, 250 * ms},
		"an older epoch fenced":            {fencedBefore, []string{a, b}, W},
	} {
		for _, raw := range []float64{1, 0.99, 1.01} {
			x := observer(t, s.record)
			x.raw = raw
			hint := Succession{Line: s.line, Barred: map[string]string{"uid-x": "not ready"}}
			for i, uid := range s.line {
				if uid == "" {
					hint.Line, hint.Reserve = s.line[:i], s.line[i+1:]
				}
			}
			x.step(Event{Succession: &hint})
			want := time.Duration(float64(s.want) / min(1, raw))
			x.step(Event{Stopped: &Stopped{Revoke: x.revoke.ID, Proven: true}})
			for end := x.start.Boot + int64(want) - int64(ms); x.now.Boot < end; {
				x.advance(min(100*ms, time.Duration(end-x.now.Boot)))
				if x.get != nil {
					got(x)
					x.get = nil
				}
				if x.m.role != Observer {
					t.Fatalf("%s: takes before %v", name, want)
				}
			}
			x.advance(2 * ms)
			got(x)
			if x.m.role != Acquiring {
				t.Errorf("%s, raw at %v: does not take at %v", name, raw, want)
			}
		}
	}
}

// The epoch is above every epoch that is known anywhere, and above the time.
func TestEpochGrows(t *testing.T) {
	for name, s := range map[string]struct {
		record, disk, status, wall int64
		want                       int64
	}{
		"record": {2000, 0, 0, 1000, 2001}, "disk": {2000, 3000, 0, 1000, 3001},
		"status": {2000, 3000, 4000, 1000, 4001}, "time": {2000, 0, 0, 50_000, 50_006},
	} {
		x := newBench(t, Disk{LeaseUID: "lease-1", Epoch: s.disk})
		x.now.Wall = s.wall * int64(time.Second)
		x.m.role, x.m.clean = Observer, true
		x.step(Event{Wish: &Wish{WantOnline: true}})
		x.step(Event{Succession: &Succession{Line: []string{a}, OwnerEpoch: s.status}})
		x.store(freeOf(b, s.record, leasev1.CauseMove, a))
		watched(x)
		x.advance(leasev1.W(6 * time.Second)) // the disk knows of a larger epoch: quarantine
		got(x)
		if x.persist == nil || x.persist.Disk.Epoch != s.want {
			t.Errorf("%s: %+v, want %d", name, x.persist, s.want)
		}
	}
}

// The write of a host that takes: holder, members, no marks, history kept.
func TestTakenRecord(t *testing.T) {
	before := freeOf(b, 2000, leasev1.CauseFailover, a)
	before.Transitions, before.FencedEpoch, before.FencedBy = 4, 1999, "someone"
	x := observer(t, before)
	x.run([]line{{0, stopped, "get"}, {0, got, "persist lease-1 e2001"}, {0, persisted, "put 1 a e2001"}})
	want := leasev1.Record{
		UID: "lease-1", ResourceVersion: "101", HolderName: "a", HolderUID: a, Duration: 6 * time.Second, Epoch: 2001,
		Inc: "inc-1", Seq: 1, Protocol: 1, Members: leasev1.Members{"*"}, Failovers: before.Failovers, Transitions: 5,
		AcquireTime: x.now.WallTime(), RenewTime: x.now.WallTime(),
	}
	if got := x.put.Record; !equal(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
	if d := x.persist.Disk; d.LeaseUID != "lease-1" || d.Epoch != 2001 || !d.Members.Any() || d.Timing.D != 6*time.Second {
		t.Errorf("disk %+v", d)
	}
}

// Who is no candidate does not take, and costs the API server nothing.
func TestNotCandidate(t *testing.T) {
	online := Wish{WantOnline: true}
	for name, s := range map[string]struct {
		do   func(*bench)
		want string
	}{
		"wanted offline": {wish(Wish{}), "the group is wanted offline"},
		"unfit":          {wish(Wish{WantOnline: true, Unfit: "no plan"}), "no plan"},
		"barred":         {succession(Succession{Line: []string{a}, Barred: map[string]string{a: "cordoned"}}), "barred: cordoned"},
		"unlisted":       {succession(Succession{Line: []string{b}}), "not in the succession"},
		"draining":       {all(wish(online), drain), "the host is going away"},
	} {
		x := observer(t, freeOf(b, 2000, leasev1.CauseMove, a))
		s.do(x)
		x.run([]line{{0, stopped, ""}, {time.Minute, nil, ""}})
		if got := x.m.Snapshot().NotCandidate; got != s.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// A candidate that stops being one before its write has left takes nothing; one
// that learns of its luck too late gives it up at once.
func TestNoCandidateAnyMore(t *testing.T) {
	x := observer(t, freeOf(b, 2000, leasev1.CauseMove, a))
	x.run([]line{
		{0, stopped, "get"},
		{0, got, "persist lease-1 e2001"},
		{0, wish(Wish{WantOnline: true, Unfit: "provider gone"}), ""},
		{0, persisted, ""},
		{time.Minute, nil, ""},
	})
	x = observer(t, freeOf(b, 2000, leasev1.CauseMove, a))
	x.run([]line{
		{0, stopped, "get"},
		{0, got, "persist lease-1 e2001"},
		{0, persisted, "put 1 a e2001"},
		{0, wish(Wish{WantOnline: true, Unfit: "provider gone"}), ""},
		{0, ok, `put 2  e2001 released 2001 to "uid-b"`},
		{0, ok, "fact Released"},
	})
}

// Only an answer decides about a write whose outcome is unknown.
func TestAcquireUnknown(t *testing.T) {
	begin := []line{{0, stopped, "get"}, {0, got, "persist lease-1 e2001"}, {0, persisted, "put 1 a e2001"}}
	for name, s := range map[string][]line{
		"it committed, a read tells": {
			{1000 * ms, all(commit, unknown), "get"},
			{100 * ms, got, "guard e2001 4.2s 5.5s; grant e2001 Released from 0s; fact Acquired; tick?"},
		},
		"it committed, the watch tells": {
			{100 * ms, all(commit, watched), "guard e2001 4.2s 5.5s; grant e2001 Released from 0s; fact Acquired"},
			{0, committed, ""},
		},
		"it committed, and a person fenced it": {
			{1000 * ms, all(commit, fenced, unknown), "get"},
			{10 * ms, got, "fact RaceLost"},
		},
		"it did not commit yet": {
			{1000 * ms, unknown, "get"},
			{100 * ms, got, "put 2 a e2001"},
			{10 * ms, conflict, "get"},
		},
		"it was lost, the second is won": {
			{1000 * ms, unknown, "get"},
			{100 * ms, got, "put 2 a e2001"},
			{10 * ms, ok, "guard e2001 5.3s 6.6s; grant e2001 Released from 1.1s; fact Acquired"},
		},
		"the first commits after all": {
			{1000 * ms, unknown, "get"},
			{100 * ms, got, "put 2 a e2001"},
			{0, func(x *bench) { r := x.put.Record; r.Seq = 1; x.store(r) }, ""},
			{10 * ms, conflict, "get"},
			{10 * ms, got, "guard e2001 4.2s 5.5s; grant e2001 Released from 0s; fact Acquired; tick?"},
		},
		"another took": {
			{1000 * ms, all(record(heldBy(b, 2001)), unknown), "get"},
			{0, got, "fact RaceLost"},
			{3249 * ms, nil, ""},
		},
		"409, another took": {
			{10 * ms, all(record(heldBy(b, 2001)), conflict), "get"},
			{0, got, "fact RaceLost"},
		},
		"409, but it is mine": {
			{10 * ms, all(commit, conflict), "get"},
			{0, got, "guard e2001 4.2s 5.5s; grant e2001 Released from 0s; fact Acquired"},
		},
		"no answer to the read": {
			{1000 * ms, unknown, "get"},
			{100 * ms, failed, ""},
			{400 * ms, got, "get; put 2 a e2001"},
		},
		"won too late to be of use": {
			{1000 * ms, all(commit, unknown), "get"},
			{3000 * ms, got, "get; get; persist lease-1 e2002"}, // the edge owes answers
			{0, persisted, "put 2 a e2002"},
			{0, ok, "guard e2002 8.2s 9.5s; grant e2002 Released from 4s; fact Acquired"},
		},
		"the Lease is gone": {
			{10 * ms, all(func(x *bench) { x.lease = nil }, notFound), "fact Deleted; fact RaceLost"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := observer(t, freeOf(c, 2000, leasev1.CauseMove, a))
			x.run(begin)
			x.run(s)
		})
	}
}

// Of a lost race it is said that this host was declared stopped if its own record says so, and
// not if another's does, or nothing is known.
func TestRaceLostSaysWhoWasDeclaredStopped(t *testing.T) {
	others, _ := leasev1.Fence(heldBy(b, 2001), "someone")
	unreadable := edit(func(l *leasev1.Lease) { l.Annotations[leasev1.KeyEpoch] = "?" })
	for name, s := range map[string]struct {
		happens func(*bench)
		want    string
	}{
		"its own record is fenced":         {all(commit, fenced), "this host was declared stopped by "},
		"another took":                     {record(heldBy(b, 2001)), "holder is b"},
		"another took, and that is fenced": {record(others), "holder is b"},
		"the record cannot be read":        {all(commit, unreadable), "the record is gone or cannot be read"},
	} {
		x := observer(t, freeOf(c, 2000, leasev1.CauseMove, a))
		x.run([]line{{0, stopped, "get"}, {0, got, "persist lease-1 e2001"}, {0, persisted, "put 1 a e2001"}})
		s.happens(x)
		why := ""
		for _, act := range x.m.Step(x.now, Event{Observed: &Observed{Lease: x.lease}}) {
			if act.Fact != nil && act.Fact.Kind == FactRaceLost {
				why = act.Fact.Message
			}
		}
		if !strings.HasPrefix(why, s.want) {
			t.Errorf("%s: %q", name, why)
		}
	}
}

// Nothing is written before the disk knows it.
func TestDiskRefuses(t *testing.T) {
	x := observer(t, freeOf(c, 2000, leasev1.CauseMove, a))
	x.run([]line{
		{0, stopped, "get"},
		{0, got, "persist lease-1 e2001"},
		{0, diskFull, "fact DiskFailed"},
		{500*ms - 1, nil, ""},
		{1, diskFull, "persist lease-1 e2001; fact DiskFailed"},
		{500 * ms, persisted, "persist lease-1 e2001; put 1 a e2001"},
	})
}

// A record that breaks the format, or is newer than this monitor, is never taken.
func TestUnreadableIsNotTaken(t *testing.T) {
	for key, value := range map[string]string{
		leasev1.KeyProtocol: strconv.Itoa(leasev1.Protocol + 1), leasev1.KeyEpoch: "?", leasev1.KeyMembers: "",
	} {
		x := observer(t, freeOf(b, 2000, leasev1.CauseMove, a))
		x.run([]line{
			{0, all(edit(func(l *leasev1.Lease) { l.Annotations[key] = value }), watched), "fact Unreadable"},
			{0, stopped, ""},
			{time.Hour, nil, ""},
		})
	}
}

func equal(a, b leasev1.Record) bool {
	x, y := leasev1.Encode(a, leasev1.Lease{}), leasev1.Encode(b, leasev1.Lease{})
	same := a.UID == b.UID && a.ResourceVersion == b.ResourceVersion && *x.HolderIdentity == *y.HolderIdentity &&
		*x.LeaseTransitions == *y.LeaseTransitions && a.AcquireTime.Equal(b.AcquireTime) && a.RenewTime.Equal(b.RenewTime)
	for k, v := range x.Annotations {
		same = same && y.Annotations[k] == v
	}
	return same && len(x.Annotations) == len(y.Annotations)
}
