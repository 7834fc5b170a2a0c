// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"slices"
)

// granted: this host owns the group, or goes on owning it.
func (e *Engine) granted(g Granted) {
	epoch := g.Epoch
	if epoch <= 0 || epoch < e.epoch || epoch < e.regrant {
		e.note(LevelError, nil, ReasonBadEvent,
			fmt.Sprintf("granted epoch %d is ignored: epoch %d was granted before", epoch, max(e.epoch, e.regrant)), false)
		return
	}
	e.group, e.journal, e.again = true, true, true
	if epoch != e.grant.Epoch {
		e.grant = g
	}
	if e.phase == Stopping {
		e.regrant = epoch // the stop is finished first (ownership section 6, SELF-STOP)
		return
	}
	e.own(epoch)
}

// own makes this host the owner under the epoch.
func (e *Engine) own(epoch int64) {
	if e.fresh {
		// Ownership was won afresh, so every guard of an earlier life has
		// expired: a container that was never heard of has nothing running.
		for _, r := range e.resources {
			if e.unseen(r.c) {
				r.run = false
			}
		}
		e.fresh = false
	}
	if epoch != e.epoch {
		e.epoch = epoch
		for _, r := range e.resources {
			// Restart counters start fresh (RA section 4.7 step 6).
			r.resetSeries()
			r.forgetArbitration()
			e.forgetNodeLocal(r)
			switch {
			case r.state == Failed && !r.run:
				e.setState(r, Offline, ReasonNewEpoch)
			case r.up() && r.startedEpoch != epoch:
				e.disown(r)
			}
			e.touch(r, false)
		}
	}
	e.phase, e.mode, e.cause, e.regrant, e.halted = Owner, "", Revoked{}, 0, false
	e.journal, e.group, e.again = true, true, true
}

// hardness orders the modes.
func (m RevokeMode) hardness() int {
	switch m {
	case Kill:
		return 2
	case Emergency:
		return 1
	}
	return 0
}

// revoked: stop everything, then say Proven.
func (e *Engine) revoked(a Revoked) {
	switch a.Mode {
	case Ordered, Emergency, Kill:
	default:
		// Not in the contract: the way that is safe without any cooperation
		// but leaves time for a Terminate.
		a.Mode = Emergency
	}
	if e.phase == Stopping && a.Mode.hardness() < e.mode.hardness() {
		a.Mode = e.mode
	}
	e.phase, e.mode, e.cause, e.regrant = Stopping, a.Mode, a, 0
	e.journal, e.group, e.urgent, e.again = true, true, true, true
	if a.Mode == Kill {
		// No call is of interest any more: the caller has all killed.
		for _, r := range e.resources {
			r.kill = r.run
			if r.up() {
				e.setState(r, OfflinePending, ReasonStopping)
				e.doom(r)
			}
		}
	}
}

// prove ends a stop: with Proven, or with what was granted meanwhile.
func (e *Engine) prove() {
	if e.phase != Stopping {
		return
	}
	proven := true
	for _, c := range e.containers {
		stopped := true
		for _, r := range e.resources {
			if r.c == c && (!r.down() || r.op != nil && (r.op.op == OpOnline || r.op.op == OpOffline)) {
				stopped = false
			}
		}
		if !stopped {
			proven = false
			e.proveUnopened(c)
			continue
		}
		if e.mode == Ordered && slices.ContainsFunc(e.resources, func(r *resource) bool {
			return r.c == c && (e.releases(r) || r.op != nil && r.op.op == OpRelease)
		}) {
			proven = false
			continue
		}
		if (e.regrant == 0 || e.halted) && c.dirty && !e.cfg.TrustProviders {
			proven = false
			if e.mode != Kill {
				e.restart(c, ReasonProveStop, nil)
			}
		}
	}
	if !proven {
		return
	}
	e.journal, e.group, e.urgent, e.again = true, true, true, true
	if e.regrant != 0 {
		e.own(e.regrant)
		return
	}
	for _, c := range e.containers {
		e.loseControls(c, "the ownership ended while it ran")
	}
	e.phase, e.mode, e.cause, e.halted = Observer, "", Revoked{}, false
	for _, r := range e.resources {
		e.forgetNodeLocal(r)
	}
	e.out = append(e.out, Action{Proven: &Proven{Epoch: e.epoch}})
}

// proveUnopened: if all that speaks against a stop is resources that cannot be
// opened, so that nobody can say whether they run, only init can tell.
func (e *Engine) proveUnopened(c *container) {
	if e.mode == Kill || !c.callable() {
		return
	}
	for _, r := range e.resources {
		if r.c == c && !r.down() && (r.opened || r.op != nil) {
			return
		}
	}
	e.restart(c, ReasonProveStop, nil)
}
