// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"math"
	"slices"
	"time"

	"github.com/understudy-dev/understudy/monitor/instant"
)

// clock is that of one node. Both rates stay within the drift that A1 allows,
// but need not agree; the wall clock may say anything.
type clock struct {
	since     time.Duration // true time of the last change of rates
	boot, raw int64         // readings then
	bootRate  float64
	rawRate   float64
	wall      int64 // offset from true time
}

// A1 is the largest drift of clock rates within the assumptions.
const A1 = 0.01

// epochZero is the wall clock time at which schedules begin.
const epochZero = int64(1_900_000_000_000_000_000)

// never is later than any schedule lasts.
const never = time.Duration(math.MaxInt64 / 4)

func (c *clock) read(now time.Duration) instant.Instant {
	d := float64(now - c.since)
	return instant.Instant{
		Boot: c.boot + int64(d*c.bootRate), Raw: c.raw + int64(d*c.rawRate), Wall: epochZero + c.wall + int64(now),
	}
}

// until is how long, in true time, it takes for CLOCK_BOOTTIME to reach at.
func (c *clock) until(now time.Duration, at int64) time.Duration {
	left := float64(at - c.read(now).Boot)
	switch {
	case left <= 0:
		return 0
	case c.bootRate == 0:
		return never
	}
	return time.Duration(left/c.bootRate) + 1
}

// wallsDiffer reports whether the wall clock of a node is wrong.
func (w *World) wallsDiffer() bool {
	return slices.ContainsFunc(w.nodes, func(n *node) bool { return n.clock.wall != 0 })
}

// stretch is how long, in true time, d lasts on this clock.
func (c *clock) stretch(d time.Duration) time.Duration {
	if c.bootRate == 0 {
		return d
	}
	return time.Duration(float64(d) / c.bootRate)
}
