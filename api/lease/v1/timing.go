// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package leasev1

import (
	"fmt"
	"time"
)

// Timing is how an owner spends the lease duration D, counted on its own clock
// from before the first try of the last write known to be committed (Ownership
// section 4). It is constant for an epoch.
type Timing struct {
	// D is the lease duration: all is dead at its end. Whole seconds.
	D time.Duration `json:"d"`
	// R is the renewal period.
	R time.Duration `json:"r"`
	// A is the time-out of one attempt to reach the API server.
	A time.Duration `json:"a"`
	// N is when the owner begins to stop itself.
	N time.Duration `json:"n"`
	// G1 is the soft guard, at which the provider terminates by itself.
	G1 time.Duration `json:"g1"`
	// G2 is the hard guard, at which init kills.
	G2 time.Duration `json:"g2"`
	// K bounds how long that kill takes.
	K time.Duration `json:"k"`
}

const (
	// Stagger is the head start of each place in the succession over the next.
	Stagger = 250 * time.Millisecond
	// DefaultD is the lease duration of a group that asks for none.
	DefaultD = 6 * time.Second
	// MinD and MaxD bound D.
	MinD = 2 * time.Second
	MaxD = time.Hour
	// MaxExtend bounds M.
	MaxExtend = 7 * 24 * time.Hour

	// The largest drift of clock rates, ρ = 1 %, as the fraction (1+ρ)/(1-ρ).
	driftNum, driftDen = 101, 99
)

// TimingFor returns the preset for a lease duration of 2, 6 or 15 seconds. Other
// durations need explicit values: what fits between N and G2 is a matter of how
// long the group's types take to terminate, and nothing that we could guess.
func TimingFor(d time.Duration) (Timing, bool) {
	const ms = time.Millisecond
	switch d {
	case 2 * time.Second:
		return Timing{D: d, R: 600 * ms, A: 300 * ms, N: 1200 * ms, G1: 1300 * ms, G2: 1600 * ms, K: 400 * ms}, true
	case 6 * time.Second:
		return Timing{D: d, R: 2000 * ms, A: 1000 * ms, N: 4000 * ms, G1: 4200 * ms, G2: 5500 * ms, K: 500 * ms}, true
	case 15 * time.Second:
		return Timing{D: d, R: 5000 * ms, A: 2500 * ms, N: 10000 * ms, G1: 10500 * ms, G2: 14000 * ms, K: 1000 * ms}, true
	}
	return Timing{}, false
}

// Validate checks T1 to T3 for a group whose slowest type may take tterm to
// terminate. The error names what is broken and what to do about it. (T4 holds
// by construction: W computes what an observer waits.)
func (t Timing) Validate(tterm time.Duration) error {
	switch {
	case t.D < MinD || t.D > MaxD || t.D%time.Second != 0:
		return fmt.Errorf("lease duration %v: must be whole seconds from %v to %v", t.D, MinD, MaxD)
	case t.R <= 0 || t.A <= 0 || t.K <= 0:
		return fmt.Errorf("renewal period %v, attempt time-out %v and kill bound %v must all be positive", t.R, t.A, t.K)
	case t.R+2*t.A > t.N:
		return fmt.Errorf("T1: renewal period %v and two attempts of %v end after the stop begins at %v: "+
			"shorten the period or the attempt time-out, or begin the stop later", t.R, t.A, t.N)
	case tterm < 0 || t.N+tterm > t.G2:
		return fmt.Errorf("T2: a stop that begins at %v and may take %v (the largest terminateTimeoutMilliseconds) ends after the hard guard at %v: "+
			"lower that time-out to at most %v or choose a longer lease duration", t.N, tterm, t.G2, t.G2-t.N)
	case t.N >= t.G1 || t.G1 >= t.G2:
		return fmt.Errorf("T3: stop at %v, soft guard at %v and hard guard at %v must follow in this order", t.N, t.G1, t.G2)
	case t.G2+t.K > t.D:
		return fmt.Errorf("T3: a kill that begins at %v and may take %v ends after the lease duration %v: "+
			"move the hard guard to at most %v", t.G2, t.K, t.D, t.D-t.K)
	}
	return nil
}

// W is what an observer waits, on its own clock, before it takes a record with
// duration d that does not change: d(1+ρ)/(1-ρ), rounded up to a millisecond
// (T4). Also W(M+D) for a host that is not a member.
func W(d time.Duration) time.Duration {
	ns := (int64(d)*driftNum + driftDen - 1) / driftDen
	ms := int64(time.Millisecond)
	return time.Duration((ns + ms - 1) / ms * ms)
}
