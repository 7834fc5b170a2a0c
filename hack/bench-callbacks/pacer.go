// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"golang.org/x/sys/unix"
)

// waitUntil wakes more exactly than the timers of Go, which are rounded up to a
// millisecond when nothing else goes on.
func waitUntil(due time.Time) {
	if left := time.Until(due); left > 0 {
		left := unix.NsecToTimespec(int64(left))
		_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &left, nil)
	}
}
