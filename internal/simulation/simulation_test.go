// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

// schedules runs n schedules, or the one of the environment variable SEED, and
// returns their coverage and the first violation, by seed.
func schedules(t *testing.T, o Options, n int) (Coverage, map[string]int, *Result) {
	t.Helper()
	first := uint64(1)
	if s := os.Getenv("SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("SEED: %v", err)
		}
		first, n = seed, 1
	}
	if s := os.Getenv("SCHEDULES"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	var (
		next    atomic.Uint64
		mu      sync.Mutex
		wg      sync.WaitGroup
		sum     Coverage
		reached = map[string]int{}
		bad     *Result
	)
	next.Store(first)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				seed := next.Add(1) - 1
				mu.Lock()
				stop := seed >= first+uint64(n) || bad != nil && seed > bad.Seed
				mu.Unlock()
				if stop {
					return
				}
				r := Run(seed, o)
				mu.Lock()
				add(&sum, reached, r.Coverage)
				if r.Violation != "" && (bad == nil || seed < bad.Seed) {
					bad = &r
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return sum, reached, bad
}

// add sums the counters, and counts the schedules that reached each.
func add(sum *Coverage, reached map[string]int, c Coverage) {
	s, v := reflect.ValueOf(sum).Elem(), reflect.ValueOf(c)
	for i := range v.NumField() {
		n := v.Field(i).Int()
		s.Field(i).SetInt(s.Field(i).Int() + n)
		if n > 0 {
			reached[v.Type().Field(i).Name]++
		}
	}
}

// TestSchedules: whatever the adversary does within A1 to A3, the promises hold.
// SEED replays one schedule, SCHEDULES sets how many.
func TestSchedules(t *testing.T) {
	n := 1000
	sum, reached, bad := schedules(t, Default(), n)
	if bad != nil {
		o := Default()
		o.Trace = true
		t.Fatalf("\n%s\nreplay with SEED=%d", Run(bad.Seed, o), bad.Seed)
	}
	v := reflect.ValueOf(sum)
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		t.Logf("%-14s %8d in %5d schedules", name, v.Field(i).Int(), reached[name])
		if os.Getenv("SEED") == "" && reached[name] == 0 && name != "EpochLost" {
			t.Errorf("no schedule reached %s", name)
		}
	}
	if os.Getenv("SEED") != "" {
		o := Default()
		o.Trace = true
		fmt.Println(Run(1, o))
	}
}
