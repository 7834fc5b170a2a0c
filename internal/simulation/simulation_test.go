// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"encoding/json"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	"github.com/understudy-dev/understudy/monitor/ownership"
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
	if testing.Short() { // with the race detector; make test runs them all without
		n = 50
	}
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
}

// TestPositiveControl: the adversary can win. With clocks that drift further than
// A1 allows, two hosts run the group.
func TestPositiveControl(t *testing.T) {
	if os.Getenv("SEED") != "" {
		t.Skip("one schedule is replayed")
	}
	o := Default()
	o.Drift = 0.06
	for seed := range uint64(300) {
		if r := Run(seed, o); strings.HasPrefix(r.Violation, "I1") {
			t.Logf("seed %d: %s", seed, r.Violation)
			return
		}
	}
	t.Error("no schedule violates I1 although A1 does not hold")
}

// TestReplay: a run that was recorded as JSON lines is the same when it is read
// back and replayed, and so is a schedule that is run again.
func TestReplay(t *testing.T) {
	for seed := range uint64(20) {
		var lines [][]byte
		o := Default()
		o.Durations = 20
		o.Record = func(s Step) {
			b, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, b)
		}
		disks, timing := map[string]ownership.Disk{}, leasev1.Timing{}
		o.New = func(c ownership.Config, d ownership.Disk) Node {
			disks[c.Inc], timing = d, c.Timing
			return ownership.New(c, d)
		}
		first := Run(seed, o)
		recorded := lines
		lines = nil
		if again := Run(seed, o); again != first || !reflect.DeepEqual(lines, recorded) {
			t.Fatalf("seed %d: run twice, it differs: %+v, %+v", seed, first, again)
		}
		machines := map[string]Node{}
		for i, line := range recorded {
			var s Step
			if err := json.Unmarshal(line, &s); err != nil {
				t.Fatal(err)
			}
			m := machines[s.Inc]
			if m == nil {
				podUID, _, _ := strings.Cut(s.Inc, "-inc-")
				m = o.New(ownership.Config{PodName: s.Host, PodUID: podUID, Inc: s.Inc, Timing: timing}, disks[s.Inc])
				machines[s.Inc] = m
			}
			want, _ := json.Marshal(s.Actions)
			if got, _ := json.Marshal(m.Step(s.Now, s.Event)); string(got) != string(want) && len(s.Actions) > 0 {
				t.Fatalf("seed %d, line %d:\n got %s\nwant %s", seed, i, got, want)
			}
		}
	}
}
