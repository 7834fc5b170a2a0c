// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	replay "github.com/understudy-dev/understudy/monitor"
)

// TestSchedules: whatever the adversary does within A1 to A3, the promises hold, and outside
// of them I2 does. `make simulate` runs many more.
func TestSchedules(t *testing.T) {
	n := 300
	if testing.Short() { // with the race detector; make test runs them all without
		n = 10
	}
	r := Campaign{First: 1, Schedules: n}.Run(t.Context())
	if r.Violation != nil {
		seed := r.Violation.Seed
		t.Fatalf("\n%s\nagain: go run ./hack/simulate --seed %d",
			Shrink(seed, Class(seed), r.Violation.Violation.Promise, 20*time.Second), seed)
	}
	if r.LeastFaults < 20 && !testing.Short() {
		t.Errorf("a schedule had %d faults, want 20 at least", r.LeastFaults)
	}
}

// TestPositiveControl: the adversary can win. With clocks that drift further than
// A1 allows, two hosts run the group.
func TestPositiveControl(t *testing.T) {
	drifting := Default()
	drifting.Drift = 0.06
	for first := uint64(1); first <= 1000; first += 20 {
		r := Campaign{First: first, Schedules: 20, Options: func(uint64) Options { return drifting }}.Run(t.Context())
		if r.Violation != nil && r.Violation.Violation.Promise == "I1" {
			t.Logf("seed %d: %s", r.Violation.Seed, r.Violation.Violation.Message)
			return
		}
	}
	t.Error("no schedule violates I1 although A1 does not hold")
}

// TestRunsAreReproducible: a seed is a schedule, and what its monitors were given replays.
func TestRunsAreReproducible(t *testing.T) {
	for seed := range uint64(5) {
		o := Class(seed)
		o.Durations, o.Trace, o.Record = 20, true, true
		first := Run(seed, o)
		if again := Run(seed, o); again.Timeline != first.Timeline || again.Coverage != first.Coverage {
			t.Fatalf("seed %d: run twice, it differs", seed)
		}
		dir := t.TempDir()
		if err := WriteRecordings(first, dir); err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
		if err != nil || len(files) == 0 {
			t.Fatalf("recordings: %v, %v", files, err)
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := replay.Replay(bytes.NewReader(text), nil); err != nil {
				t.Errorf("seed %d: %s does not replay: %v", seed, filepath.Base(f), err)
			}
		}
	}
}

// TestShrinkFindsTheFewest: what a broken promise needs is kept, and nothing else.
func TestShrinkFindsTheFewest(t *testing.T) {
	list := make([]int, 100)
	for i := range list {
		list[i] = i
	}
	got := fewer(list, func(only []int) bool { return slices.Contains(only, 17) && slices.Contains(only, 83) })
	if !slices.Equal(got, []int{17, 83}) {
		t.Errorf("left are %v, want 17 and 83", got)
	}
}
