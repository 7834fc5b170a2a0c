// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"maps"
	"slices"

	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
)

// callTruth is what became of a control call in the provider.
type callTruth struct {
	runs, successes int
}

func (k *checker) call(name string) *callTruth {
	c := k.calls[name]
	if c == nil {
		c = &callTruth{}
		k.calls[name] = c
	}
	return c
}

// ran: a call reached a provider: once at most, and only after its claim is stored.
func (k *checker) ran(h *host, name string) {
	c := k.call(name)
	k.group.world.log(h.name, "%s runs", name)
	k.group.world.Coverage.CallsRun++
	if c.runs++; c.runs > 1 && k.rewinds == 0 {
		k.fail("calls", "%s runs for the second time, on %s", name, h.name)
	}
	stored := k.group.store.calls[name]
	if stored != nil && (stored.Owner == nil || stored.Owner.PodUID != h.uid) && k.rewinds == 0 {
		k.fail("calls", "%s runs on %s, which has not claimed it: %+v", name, h.name, stored.Owner)
	}
}

func (k *checker) ended(name string, status engine.Code) {
	if status == engine.CodeSuccess {
		k.call(name).successes++
	}
}

// finished: the outcome that is stored is what happened.
func (k *checker) finished(by string, stored *core.ControlCall, reason, text string) {
	w, c := k.group.world, k.call(stored.Name)
	w.log(by, "%s ends: %s (%s)", stored.Name, reason, text)
	if stored.ResourceName == "" || k.rewinds > 0 {
		return
	}
	switch reason {
	case v1alpha1.ReasonSucceeded:
		if w.Coverage.CallsSucceeded++; c.successes == 0 {
			k.fail("calls", "%s is said to have succeeded, and did not", stored.Name)
		}
	case v1alpha1.ReasonRefused, v1alpha1.ReasonNotStarted:
		if c.runs > 0 {
			k.fail("calls", "%s is said to have been %s, and ran", stored.Name, reason)
		}
		if reason == v1alpha1.ReasonNotStarted {
			w.Coverage.CallsNotStarted++
		}
	case v1alpha1.ReasonTimedOut:
		w.Coverage.CallsTimedOut++
	case v1alpha1.ReasonOutcomeUnknown:
		w.Coverage.CallsUnknown++
	}
}

// waiting are the calls without an outcome.
func (k *checker) waiting() []string {
	var names []string
	// Of a store that went back, one that was finished may be open again, and nobody knows.
	// And a claim under an epoch that was lost is not taken for an earlier owner's.
	if k.rewinds > 0 || k.group.world.Coverage.EpochLost > 0 {
		return nil
	}
	for name, c := range k.group.store.sortedCalls() {
		if !c.Finished {
			names = append(names, name)
		}
	}
	return names
}

// sortedCalls are the calls in the order of their names.
func (s *store) sortedCalls() func(yield func(string, *core.ControlCall) bool) {
	return func(yield func(string, *core.ControlCall) bool) {
		for _, name := range slices.Sorted(maps.Keys(s.calls)) {
			if !yield(name, s.calls[name]) {
				return
			}
		}
	}
}
