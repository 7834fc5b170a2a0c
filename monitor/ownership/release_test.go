// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"slices"
	"testing"
	"time"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
)

// Ownership section 6, RELEASE.

var failover = Wish{
	WantOnline: true, FailoverThreshold: 2, FailoverPeriod: time.Hour,
	Release: &Release{Cause: leasev1.CauseFailover, Reason: leasev1.Reason{Reason: "ResourceFailed", Resource: "db"}},
}

// Offline in order, proof, then the write; and what it says.
func TestRelease(t *testing.T) {
	x := owner(t)
	x.run([]line{
		{500 * ms, wish(failover), "revoke Ordered Release"},
		{500 * ms, ticked, "tick?"},
		{1000 * ms, nil, "put 2 a e2001"}, // the lease is held meanwhile
		{10 * ms, ok, "guard e2001 6.2s 7.5s"},
		{90 * ms, stopped, `guard e2001 off off; put 3  e2001 released 2001 to "uid-b"`},
	})
	r := x.put.Record
	want := leasev1.Failover{Epoch: 2001, PodUID: a, Cause: leasev1.CauseFailover, Reason: "ResourceFailed", Time: x.now.WallTime()}
	if len(r.Failovers) != 2 || r.Failovers[1] != want {
		t.Errorf("failovers %+v", r.Failovers)
	}
	if got := leasev1.DecodeReason(r.ReleaseReason); got.Resource != "db" || !got.OfflineTime.Equal(x.now.WallTime()) {
		t.Errorf("reason %+v", got)
	}
	x.run([]line{
		{10 * ms, ok, "fact Released"},
		// Nobody takes: the releaser may again, last in line.
		{6122*ms + 1500*ms - 1, nil, "get; get; get"},
	})
}

// A container whose end was taken for proof turns up alive: what may have been written
// already cannot be taken back, but it is not written again before a new proof.
func TestNoReleaseAgainWhileAStrayLives(t *testing.T) {
	// stray is an owner that has begun to release when that happens.
	stray := func() *bench {
		x := owner(t)
		x.run([]line{
			{500 * ms, wish(failover), "revoke Ordered Release"},
			{500 * ms, ticked, "tick?"},
			{1000 * ms, nil, "put 2 a e2001"},
			{10 * ms, ok, "guard e2001 6.2s 7.5s"},
			{90 * ms, stopped, `guard e2001 off off; put 3  e2001 released 2001 to "uid-b"`},
			{10 * ms, guardUp("c1", 2001, 5000*ms), "kill c1; revoke Kill NotOwner"},
		})
		return x
	}
	x := stray()
	x.run([]line{
		{90 * ms, unknown, ""},
		{900 * ms, nil, ""},
		{100 * ms, stopped, `guard e2001 off off; put 4  e2001 released 2001 to "uid-b"`},
		{10 * ms, ok, "fact Released"},
	})
	// And if it was the first one that was stored, the host is no candidate until then.
	x = stray()
	x.run([]line{{10 * ms, ok, "fact Released"}})
	if x.m.role != Clearing {
		t.Errorf("role %s", x.m.role)
	}
}

// Whatever happens before the proof, no release is written.
func TestNoReleaseBeforeProof(t *testing.T) {
	x := owner(t)
	x.run([]line{
		{500 * ms, wish(failover), "revoke Ordered Release"},
		{100 * ms, notStopped, "fact StopFailed"},
		{100 * ms, notStopped, ""},
		{300 * ms, ticked, "tick?"},
		{1000 * ms, nil, "put 2 a e2001"},
		{10 * ms, ok, "guard e2001 6.2s 7.5s"}, // never let that lease expire
		{990 * ms, ticked, "tick?"},
		{1000 * ms, nil, "put 3 a e2001"},
		{10 * ms, ok, "guard e2001 8.2s 9.5s"},
		{0, event(Event{Stopped: &Stopped{Revoke: x.revoke.ID, Proven: true}}), ""}, // of the stop before the Grant
		{100 * ms, stopped, `fact StopProven; guard e2001 off off; put 4  e2001 released 2001 to "uid-b"`},
	})
}

// The outcome of a release is found out, however long it takes.
func TestReleaseOutcomes(t *testing.T) {
	first := func(x *bench) { r := x.put.Record; r.Seq = 2; x.store(r) }
	again := `put 3  e2001 released 2001 to "uid-b"`
	for name, s := range map[string][]line{
		"unknown: again": {
			{1000 * ms, unknown, again},
			{10 * ms, ok, "fact Released"},
		},
		"beyond the validity too: it only replaces a record of ours": {
			{1000 * ms, unknown, again},
			{1000 * ms, unknown, `put 4  e2001 released 2001 to "uid-b"`},
			{10 * time.Second, ok, `put 5  e2001 released 2001 to "uid-b"; put 6  e2001 released 2001 to "uid-b"; put 7  e2001 released 2001 to "uid-b"; put 8  e2001 released 2001 to "uid-b"; put 9  e2001 released 2001 to "uid-b"; put 10  e2001 released 2001 to "uid-b"; fact Released`},
		},
		"the first had committed": {
			{1000 * ms, unknown, again},
			{10 * ms, all(first, conflict), "get"},
			{10 * ms, got, "fact Released"},
		},
		"the watch tells": {{10 * ms, all(commit, watched), "fact Released"}},
		"a renewal from before committed": {
			{10 * ms, all(func(x *bench) { r := heldBy(a, 2001); r.Inc = "inc-1"; r.Seq = 1; x.store(r) }, conflict), "get"},
			{10 * ms, got, again},
		},
		"released, and taken by another": {
			{1000 * ms, unknown, again},
			{10 * ms, all(record(heldBy(b, 2002)), conflict), "get"},
			{10 * ms, got, "fact Lost"},
		},
		"the Lease is gone": {{10 * ms, all(func(x *bench) { x.lease = nil }, notFound), "fact Deleted; fact Lost"}},
		"the Lease is another one": {
			{10 * ms, all(func(x *bench) { r := leasev1.Unheld(2001, 6*time.Second); r.UID = "lease-2"; x.store(r) }, watched), "fact Rewound; fact Lost"},
		},
		"the wish is withdrawn: too late": {
			{0, wish(Wish{WantOnline: true}), ""},
			{1000 * ms, unknown, again},
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := owner(t)
			x.run([]line{
				{500 * ms, wish(failover), "revoke Ordered Release"},
				{0, stopped, `guard e2001 off off; put 2  e2001 released 2001 to "uid-b"`},
			})
			x.run(s)
		})
	}
}

// When a release is carried out, and to whom.
func TestWhenToRelease(t *testing.T) {
	s := func(change func(*Succession)) Succession {
		x := Succession{Line: []string{a, b}, Reserve: []string{c}, Ready: []string{a, b, c}, Barred: map[string]string{}}
		change(&x)
		return x
	}
	move := func(to string) Wish {
		return Wish{WantOnline: true, Release: &Release{Cause: leasev1.CauseMove, To: to}}
	}
	nobody := s(func(x *Succession) { x.Ready = []string{a} })
	keep := "fact NotReleased"
	ago := func(d time.Duration, uid string) leasev1.Failover {
		return leasev1.Failover{Epoch: 1, PodUID: uid, Cause: leasev1.CauseFailover, Time: time.Unix(1000, 0).Add(-d)}
	}
	for name, s := range map[string]struct {
		succession Succession
		history    []leasev1.Failover
		wish       func(*bench)
		want       string // the host that it is released to
	}{
		"failover, to the next":            {abc, nil, wish(failover), b},
		"failover, to the reserve":         {s(func(x *Succession) { x.Ready = []string{a, c} }), nil, wish(failover), c},
		"failover, past a barred one":      {s(func(x *Succession) { x.Barred[b] = "cordoned" }), nil, wish(failover), c},
		"failover, past one that failed":   {abc, []leasev1.Failover{ago(time.Minute, b)}, wish(failover), c},
		"failover, that failed long ago":   {abc, []leasev1.Failover{ago(2*time.Hour, b)}, wish(failover), b},
		"failover, all failed":             {s(func(x *Succession) { x.Ready = []string{a, b} }), []leasev1.Failover{ago(time.Minute, b)}, wish(failover), b},
		"failover, nobody ready":           {nobody, nil, wish(failover), keep},
		"failover, nobody listed":          {Succession{Ready: []string{b}}, nil, wish(failover), keep},
		"failover, all barred":             {s(func(x *Succession) { x.Barred[b], x.Barred[c] = "x", "y" }), nil, wish(failover), keep},
		"failover, threshold":              {abc, []leasev1.Failover{ago(time.Minute, b), ago(2*time.Minute, b)}, wish(failover), keep},
		"failover, threshold long ago":     {abc, []leasev1.Failover{ago(2*time.Hour, b), ago(2*time.Minute, b)}, wish(failover), c},
		"failover, none allowed":           {abc, nil, wish(Wish{WantOnline: true, Release: failover.Release}), keep},
		"move, wherever":                   {abc, nil, wish(move("")), b},
		"move, to one":                     {abc, nil, wish(move(c)), c},
		"move, over any threshold":         {abc, []leasev1.Failover{ago(time.Minute, b)}, wish(move(c)), c},
		"move, to one that is not ready":   {s(func(x *Succession) { x.Ready = []string{b} }), nil, wish(move(c)), keep},
		"move, to one that is barred":      {s(func(x *Succession) { x.Barred[c] = "x" }), nil, wish(move(c)), keep},
		"move, to oneself":                 {abc, nil, wish(move(a)), keep},
		"failover, wish for one not ready": {s(func(x *Succession) { x.Ready = []string{b} }), nil, wish(Wish{WantOnline: true, FailoverThreshold: -1, Release: &Release{Cause: leasev1.CauseFailover, To: c}}), b},
		"wanted offline":                   {abc, nil, wish(Wish{}), ""},
		"wanted offline, nobody else":      {nobody, nil, wish(Wish{}), ""},
		"drain":                            {abc, nil, drain, b},
		"drain, nobody else":               {nobody, nil, drain, ""},
		"arbitration lost":                 {abc, []leasev1.Failover{ago(1, b), ago(1, b)}, wish(Wish{WantOnline: true, FailoverPeriod: time.Hour, Release: &Release{Cause: leasev1.CauseArbitration}}), c},
	} {
		t.Run(name, func(t *testing.T) {
			x := owner(t)
			x.m.tenure.record.Failovers, x.m.view.record.Failovers = s.history, s.history
			succession(s.succession)(x)
			s.wish(x)
			if s.want == keep {
				x.run([]line{{0, nil, keep}, {900 * ms, nil, ""}})
				// It stands, and is carried out when somebody is there after all.
				if s.history == nil && x.m.wish.Release.To == "" && x.m.wish.FailoverThreshold != 0 {
					x.run([]line{{0, succession(abc), "revoke Ordered Release"}})
				}
				return
			}
			x.run([]line{{0, nil, "revoke Ordered Release"}})
			stopped(x)
			if got := x.put.Record; got.ReleasedTo != s.want || !got.Free() {
				t.Errorf("released to %q: %+v", got.ReleasedTo, got)
			}
		})
	}
}

// A release that is withdrawn, or that nobody can follow any more, before it is
// written: online again in the same epoch.
func TestReleaseWithdrawn(t *testing.T) {
	for name, do := range map[string]func(*bench){
		"withdrawn":   wish(Wish{WantOnline: true}),
		"nobody left": succession(Succession{Line: []string{a, b}}),
	} {
		t.Run(name, func(t *testing.T) {
			x := owner(t)
			x.run([]line{{500 * ms, wish(failover), "revoke Ordered Release"}})
			do(x)
			x.advance(100 * ms)
			stopped(x)
			want := []string{"guard e2001 off off", "guard e2001 4.2s 5.5s", "grant e2001 Resumed from 0s", "fact Resumed"}
			if name == "nobody left" {
				want = slices.Insert(want, 1, "fact NotReleased")
			}
			if !slices.Equal(x.did, want) {
				t.Errorf("%q", x.did)
			}
		})
	}
}

// The API server goes away while things go offline in order: the emergency stop
// takes over, and the release follows if it is back in time.
func TestSelfStopWhileOfflining(t *testing.T) {
	x := owner(t)
	x.run([]line{
		{500 * ms, wish(failover), "revoke Ordered Release"},
		{500 * ms, ticked, "tick?"},
		{1000 * ms, nil, "put 2 a e2001"},
		{1000 * ms, unknown, "put 3 a e2001"},
		{1000 * ms, unknown, "fact SelfStop; revoke Emergency SelfStop; get"},
		{500 * ms, stopped, "guard e2001 off off"},
		{100 * ms, got, `put 4  e2001 released 2001 to "uid-b"`},
		{10 * ms, ok, "fact Released"},
	})
}

// A host that goes away releases, and is no candidate ever after.
func TestDrain(t *testing.T) {
	x := owner(t)
	x.run([]line{
		{0, succession(Succession{Line: []string{a}}), ""},
		{0, drain, "revoke Ordered Release"},
		{0, stopped, `guard e2001 off off; put 2  e2001 released 2001 to ""`},
		{0, ok, "fact Released"},
		{time.Hour, nil, ""},
	})
}

// The Lease is deleted while things go offline: there is nothing to give up, and
// nothing is created that others could take for free.
func TestDeletedBeforeRelease(t *testing.T) {
	x := owner(t)
	x.run([]line{
		{0, wish(failover), "revoke Ordered Release"},
		{10 * ms, all(func(x *bench) { x.lease = nil }, watched), "get"},
		{10 * ms, got, "fact Deleted; tick?"},
		{10 * ms, stopped, "guard e2001 off off"},
	})
	if x.m.role != Observer {
		t.Errorf("role %s", x.m.role)
	}
}
