// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package instant is the one notion of time that the pure machines share.
package instant

import "time"

// Instant is one simultaneous reading of the three clocks that matter, each in
// nanoseconds. The machines never read a clock: every event comes with one.
type Instant struct {
	// Boot is CLOCK_BOOTTIME: it counts suspended time, and NTP slews it.
	Boot int64 `json:"boot"`
	// Raw is CLOCK_MONOTONIC_RAW: it stops in suspend, and nothing slews it.
	Raw int64 `json:"raw"`
	// Wall is CLOCK_REALTIME since the Unix epoch: for people and for the
	// floor of a new epoch, never for an interval.
	Wall int64 `json:"wall"`
}

// HolderElapsed is the time from since to i as a holder of ownership must count
// it: the larger of both clocks, so that neither suspend nor slew hides time.
func (i Instant) HolderElapsed(since Instant) time.Duration {
	return time.Duration(max(i.Boot-since.Boot, i.Raw-since.Raw))
}

// ObserverElapsed is the time from since to i as a candidate must count it: the
// smaller of both clocks, so that it never takes over early.
func (i Instant) ObserverElapsed(since Instant) time.Duration {
	return time.Duration(min(i.Boot-since.Boot, i.Raw-since.Raw))
}

// Add moves all three clocks by d.
func (i Instant) Add(d time.Duration) Instant {
	return Instant{Boot: i.Boot + int64(d), Raw: i.Raw + int64(d), Wall: i.Wall + int64(d)}
}

// WallTime is Wall as a time, in UTC.
func (i Instant) WallTime() time.Time { return time.Unix(0, i.Wall).UTC() }
