// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import "testing"

// BenchmarkSchedule is one schedule of 50 lease durations.
func BenchmarkSchedule(b *testing.B) {
	seed := uint64(0)
	steps := 0
	for b.Loop() {
		seed++
		r := Run(seed, Class(seed))
		if r.Violation != nil {
			b.Fatal(r)
		}
		steps += r.Coverage.Steps
	}
	b.ReportMetric(float64(steps)/float64(b.N), "steps/schedule")
}
