// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"context"
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
)

// Campaign is many schedules, one for each seed from First on.
type Campaign struct {
	First     uint64
	Schedules int
	// Options of a seed; nil: [Class].
	Options func(seed uint64) Options
	// Progress, if set, is told now and then how many are done.
	Progress func(done int)
}

// Report is what came of a campaign.
type Report struct {
	// Schedules that were run; fewer than wanted if one violates a promise.
	Schedules int
	// Sum and Reached count each thing over all schedules, and the schedules that reached it.
	Sum     Coverage
	Reached map[string]int
	// MostFaults and LeastFaults of a schedule.
	LeastFaults, MostFaults int
	// Violation is the one of the smallest seed, nil if there is none.
	Violation *Result
}

// Run runs the schedules on all processors until one violates a promise.
func (c Campaign) Run(ctx context.Context) Report {
	options := c.Options
	if options == nil {
		options = Class
	}
	var (
		next  atomic.Uint64
		mu    sync.Mutex
		wg    sync.WaitGroup
		found = Report{Reached: map[string]int{}, LeastFaults: 1 << 30}
	)
	next.Store(c.First)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for ctx.Err() == nil {
				seed := next.Add(1) - 1
				mu.Lock()
				stop := seed >= c.First+uint64(c.Schedules) || found.Violation != nil && seed > found.Violation.Seed
				mu.Unlock()
				if stop {
					return
				}
				r := Run(seed, options(seed))
				mu.Lock()
				found.add(r)
				done := found.Schedules
				mu.Unlock()
				if c.Progress != nil {
					c.Progress(done)
				}
			}
		})
	}
	wg.Wait()
	return found
}

func (f *Report) add(r Result) {
	f.Schedules++
	f.LeastFaults, f.MostFaults = min(f.LeastFaults, r.Coverage.Faults), max(f.MostFaults, r.Coverage.Faults)
	s, v := reflect.ValueOf(&f.Sum).Elem(), reflect.ValueOf(r.Coverage)
	for i := range v.NumField() {
		n := v.Field(i).Int()
		s.Field(i).SetInt(s.Field(i).Int() + n)
		if n > 0 {
			f.Reached[v.Type().Field(i).Name]++
		}
	}
	if r.Violation != nil && (f.Violation == nil || r.Seed < f.Violation.Seed) {
		f.Violation = &r
	}
}
