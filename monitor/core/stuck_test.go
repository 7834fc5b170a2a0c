// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"slices"
	"testing"
	"time"

	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
)

func stuck(effects []core.Effect) (told []bool) {
	for _, e := range effects {
		if e.Stuck != nil && e.Stuck.Container == "main" {
			told = append(told, e.Stuck.Stuck)
		}
	}
	return told
}

// A container whose init does not prove that it is empty is marked for kubelet,
// until the proof, in every life of the monitor.
func TestStuckContainerIsMarked(t *testing.T) {
	r, a := up(t, "a", "b")
	a.hold["kill"] = true
	m := a.mark()
	a.input(core.Input{ProviderDown: &engine.ProviderDown{Container: "main", Reason: "EOF"}})
	if told := stuck(a.since(m)); len(told) != 0 {
		t.Errorf("told %v before the proof is overdue", told)
	}
	r.pass(5 * time.Second)
	if told := stuck(a.since(m)); !slices.Equal(told, []bool{true}) {
		t.Fatalf("told %v", told)
	}
	a.stop()
	m = a.mark()
	a.start() // where nothing is marked
	r.pass(time.Second)
	if told := stuck(a.since(m)); !slices.Equal(told, []bool{true}) {
		t.Fatalf("the next life told %v", told)
	}
	m = a.mark()
	a.release("kill")
	r.pass(5 * time.Second) // kills are repeated
	if told := stuck(a.since(m)); !slices.Equal(told, []bool{false}) {
		t.Errorf("with the proof it told %v", told)
	}
}
