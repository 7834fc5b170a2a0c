// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package clock

import (
	"testing"
	"time"
)

func TestNow(t *testing.T) {
	a := Now()
	b := Now()
	if a.Boot <= 0 || b.Boot < a.Boot || b.Raw < a.Raw || time.Until(a.WallTime()).Abs() > time.Minute {
		t.Errorf("%+v, then %+v", a, b)
	}
	if id, err := BootID(); err != nil || len(id) != 36 {
		t.Errorf("%q, %v", id, err)
	}
}

func TestAlarm(t *testing.T) {
	a, err := NewAlarm(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	fires := func(d time.Duration) bool {
		select {
		case <-a.C:
			return true
		case <-time.After(d):
			return false
		}
	}
	set := func(at int64) {
		t.Helper()
		if err := a.Set(at); err != nil {
			t.Fatal(err)
		}
	}
	at := Now().Boot + int64(50*time.Millisecond)
	set(at)
	if !fires(10*time.Second) || Now().Boot < at {
		t.Error("not at its time")
	}
	if set(Now().Boot - 1); !fires(10 * time.Second) {
		t.Error("not at once for a time of the past")
	}
	set(Now().Boot + int64(time.Hour))
	if set(Now().Boot + int64(time.Millisecond)); !fires(10 * time.Second) {
		t.Error("an earlier time does not replace a later one")
	}
	set(Now().Boot + int64(20*time.Millisecond))
	if set(0); fires(60 * time.Millisecond) {
		t.Error("fires although it was disarmed")
	}
}
