// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import "slices"

// maxPasses bounds settle. A pass repeats only because something changed, and
// every change is a step towards a call, a stop or a verdict; the bound is
// against what nobody thought of.
const maxPasses = 1000

// settle does all that follows from the state, until nothing more does. It looks
// at what is, not at what happened: so no event can be forgotten in some state.
func (e *Engine) settle() {
	e.again = true
	for n := 0; e.again && n < maxPasses; n++ {
		e.again = false
		e.hold()
		// Down from the dependents, up from the dependencies.
		for _, r := range slices.Backward(slices.Clone(e.resources)) {
			e.stop(r)
		}
		for _, r := range slices.Clone(e.resources) {
			e.arbitrate(r)
			e.openOrClose(r)
			e.start(r)
			e.dueHealth(r)
			e.setProperties(r)
			e.patience(r)
		}
		e.prove()
	}
	e.tellHeld()
}

// patience counts how long a resource has waited for its provider.
func (e *Engine) patience(r *resource) {
	waits := false
	if e.phase == Owner && r.wanted() {
		switch why, _ := e.obstacle(r); why {
		case ReasonWaitingProvider, ReasonWaitingOpen, ReasonWaitingGuard:
			waits = true
		case ReasonWaitingOnline:
			waits = !r.opened // restored from the journal, and not confirmed
		}
	}
	switch {
	case !waits:
		r.waitSince = 0
	case r.waitSince == 0:
		r.waitSince = max(e.now.Boot, 1)
	}
}

// due handles what the time has come for.
func (e *Engine) due() {
	e.dueContainers()
	for _, c := range slices.Clone(e.calls) {
		// One that expires may take others with it.
		if c.deadline <= e.now.Boot && slices.Contains(e.calls, c) {
			e.expired(c)
		}
	}
	e.dueControls()
	for _, r := range slices.Clone(e.resources) {
		if r.setting != nil && r.setting.call == nil && r.setting.deadline <= e.now.Boot {
			e.setEnded(r, CodeCallTimedOut)
		}
		e.dueDump(r)
		if r.pendingBy != 0 && r.pendingBy <= e.now.Boot {
			e.pendingOut(r)
		}
		if r.terminating && r.stopBy <= e.now.Boot {
			e.stopOut(r)
		}
		if r.waitSince != 0 && add(r.waitSince, r.spec.PendingTimeout) <= e.now.Boot {
			e.stuck(r)
		}
		r.prune(e)
		e.saveNodeLocal(r)
	}
}

// next is the earliest time at which something is due, 0 if there is none. What
// is due by time but waits for something else is not in it.
func (e *Engine) next() int64 {
	var at int64
	sooner := func(t int64) {
		if t > e.now.Boot && (at == 0 || t < at) {
			at = t
		}
	}
	for _, c := range e.containers {
		if c.gone {
			sooner(c.proofAt)
		}
		if c.killing != "" {
			sooner(c.killBy)
		}
	}
	for _, c := range e.calls {
		sooner(c.deadline)
	}
	for _, k := range e.controls {
		if k.phase == ControlRunning {
			sooner(k.deadline)
			if k.unsaved {
				sooner(k.savedAt)
			}
		}
	}
	for _, r := range e.resources {
		e.nextOf(r, sooner)
	}
	return at
}

// nextOf tells the times of one resource.
func (e *Engine) nextOf(r *resource, sooner func(int64)) {
	sooner(r.pendingBy)
	sooner(r.localDue)
	sooner(r.leaves())
	r.nextDump(sooner)
	if r.setting != nil {
		sooner(r.setting.deadline)
	}
	if r.terminating {
		sooner(r.stopBy)
	}
	if r.waitSince != 0 {
		sooner(add(r.waitSince, r.spec.PendingTimeout))
	}
	if !r.opened && r.c.callable() {
		sooner(r.openAt)
	}
	if e.phase == Owner && r.claimant() && !r.held {
		sooner(r.arbitrateAt)
	}
	if e.phase == Owner && r.state == Failed {
		sooner(r.nextTry.Boot)
	}
	if e.phase == Owner && r.wanted() && r.down() {
		_, until := e.lingering(r)
		sooner(until)
	}
	if r.polls() {
		if r.verifyAgain && r.verify == nil {
			sooner(r.verifyAt)
		}
		if r.alive == nil {
			sooner(r.aliveAt)
		}
		if !r.eventHandle && r.looks == nil {
			sooner(r.looksAt)
		}
	}
}
