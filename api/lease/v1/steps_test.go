// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package leasev1

import (
	"strings"
	"testing"
	"time"
)

func TestNextEpoch(t *testing.T) {
	wall := time.Unix(1000, 0)
	for _, c := range []struct {
		known []int64
		want  int64
	}{
		{nil, 1000}, {[]int64{0, 5}, 1000}, {[]int64{999}, 1000}, {[]int64{1000}, 1001}, {[]int64{7, 5000, 6}, 5001},
	} {
		if got := NextEpoch(wall, c.known...); got != c.want {
			t.Errorf("%v: %d, want %d", c.known, got, c.want)
		}
	}
}

// The manager's way to a group's first release: Ownership section 6, GROUP CREATED.
func TestReleaseInitial(t *testing.T) {
	r := Unheld(0, 6*time.Second)
	if r.Epoch != 1 || r.Held() || r.Free() || !r.Members.Any() {
		t.Errorf("unheld: %+v", r)
	}
	if got := Unheld(77, time.Second).Epoch; got != 77 {
		t.Errorf("epoch %d", got)
	}
	free, ok := ReleaseInitial(r)
	if !ok || !free.Free() {
		t.Errorf("not free: %+v", free)
	}
	if _, ok := ReleaseInitial(free); ok {
		t.Error("released twice")
	}
	if _, ok := ReleaseInitial(held()); ok {
		t.Error("released what somebody holds")
	}
}

// A fence mark is bound to its epoch.
func TestFence(t *testing.T) {
	r, ok := Fence(held(), "someone")
	if !ok || !r.Fenced() || r.FencedBy != "someone" {
		t.Errorf("not fenced: %+v", r)
	}
	r.Epoch++
	if r.Fenced() {
		t.Error("the next epoch is fenced too")
	}
	if _, ok := Fence(Unheld(1, time.Second), "someone"); ok {
		t.Error("fenced nobody")
	}
}

func TestWithFailover(t *testing.T) {
	var list []Failover
	for i := range MaxFailovers + 3 {
		before := list
		list = WithFailover(list, Failover{Epoch: int64(i + 1), PodUID: "u", Cause: CauseMove, Reason: strings.Repeat("x", 500), Time: time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC)})
		if len(before) > 0 && before[0].Epoch != max(1, int64(i+1-len(before))) {
			t.Fatalf("changed in place: %+v", before[0])
		}
	}
	if len(list) != MaxFailovers || list[0].Epoch != 4 || list[MaxFailovers-1].Epoch != MaxFailovers+3 {
		t.Errorf("%d entries from %d", len(list), list[0].Epoch)
	}
	// Moves do not push failovers out, as long as there is a move.
	failed := WithFailover(nil, Failover{Epoch: 1, PodUID: "u", Cause: CauseFailover})
	for i := range 2 * MaxFailovers {
		failed = WithFailover(failed, Failover{Epoch: int64(i + 2), PodUID: "u", Cause: CauseMove})
	}
	if len(failed) != MaxFailovers || failed[0].Cause != CauseFailover || failed[1].Epoch != MaxFailovers+3 {
		t.Errorf("%d entries, the first two %+v", len(failed), failed[:2])
	}
	r := held()
	r.Failovers = list
	if _, err := Decode(Encode(r, Lease{})); err != nil {
		t.Errorf("a full list does not decode: %v", err)
	}
}

func TestFailoversSince(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	r := Record{Failovers: []Failover{
		{PodUID: "a", Cause: CauseFailover, Time: at(10)}, {PodUID: "a", Cause: CauseMove, Time: at(20)},
		{PodUID: "b", Cause: CauseFailover, Time: at(30)}, {PodUID: "a", Cause: CauseFailover, Time: at(40)},
	}}
	for _, c := range []struct {
		since int
		uid   string
		want  int
	}{{0, "", 3}, {10, "", 2}, {0, "a", 2}, {20, "a", 1}, {0, "c", 0}, {50, "", 0}} {
		if got := r.FailoversSince(at(c.since), c.uid); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

func TestReason(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)
	r := Reason{Reason: "ResourceFailed", Resource: "db", DetectedTime: at, OfflineTime: at.Add(time.Second)}
	if got := DecodeReason(r.Encode()); got != r {
		t.Errorf("%+v", got)
	}
	long := Reason{Reason: strings.Repeat("ä", 400), Resource: strings.Repeat("\x00", 4000), DetectedTime: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}
	if s := long.Encode(); len(s) > 512 || DecodeReason(s).Reason == "" {
		t.Errorf("%d bytes: %s", len(s), s)
	}
	for _, s := range []string{"", "out of paper", "{", `{"reason":""}`, `{"reason":"a"} b`, `{"reason":"a","other":1}`, "[]", `{"reason":5}`} {
		if got := DecodeReason(s); got != (Reason{Reason: s}) {
			t.Errorf("%q: %+v", s, got)
		}
	}
}
