// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"time"

	"github.com/understudy-dev/understudy/monitor/instant"
)

// clock is that of one host. Both rates stay within the drift that A1 allows,
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

func (c *clock) read(now time.Duration) instant.Instant {
	d := float64(now - c.since)
	return instant.Instant{
		Boot: c.boot + int64(d*c.bootRate), Raw: c.raw + int64(d*c.rawRate), Wall: epochZero + c.wall + int64(now),
	}
}

// until is how long, in true time, it takes for CLOCK_BOOTTIME to reach at.
func (c *clock) until(now time.Duration, at int64) time.Duration {
	return max(0, time.Duration(float64(at-c.read(now).Boot)/c.bootRate)+1)
}

// stretch is how long, in true time, d lasts on this clock.
func (c *clock) stretch(d time.Duration) time.Duration {
	return time.Duration(float64(d) / c.bootRate)
}

// drift sets new rates. Timers that run follow the clock.
func (w *World) drift(h *host) {
	for _, x := range h.containers {
		if x.dying != 0 {
			return // K was drawn on the old rate
		}
	}
	c := &h.clock
	i := c.read(w.now)
	c.since, c.boot, c.raw = w.now, i.Boot, i.Raw
	rate := func() float64 {
		if w.style.extreme && w.chance(0.8) {
			return []float64{1 - w.options.Drift, 1 + w.options.Drift}[w.rng.IntN(2)]
		}
		return 1 + (2*w.rng.Float64()-1)*w.options.Drift
	}
	c.bootRate, c.rawRate = rate(), rate()
	if w.chance(0.6) {
		c.rawRate = c.bootRate
	}
	for _, x := range h.containers {
		x.arm()
	}
}
