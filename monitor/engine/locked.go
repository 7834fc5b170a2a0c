// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/understudy-dev/understudy/monitor/instant"
)

// LockedModeKeepMoveQueue is LOCKED_MODE_FLAGS_DONT_REMOVE_FROM_MOVE_QUEUE (RA section
// 1.19): moves that wait in the queue go on waiting although a resource enters locked
// mode. The reading is ours: RA has the name only.
const LockedModeKeepMoveQueue uint32 = 0x1

// LockedMode is what a resource said last of its locked mode, since it came online.
type LockedMode struct {
	Locked bool `json:"locked"`
	// Reason and Flags are the provider's; RA lists no reasons.
	Reason uint32 `json:"reason,omitempty"`
	Flags  uint32 `json:"flags,omitempty"`
	// Time is when it entered or left locked mode.
	Time instant.Instant `json:"time"`
}

// lock is what the engine knows of the locked mode of a resource (RA section 1.10). It
// is of use only while the resource is online: what leaves Online is not locked.
type lock struct {
	mode *LockedMode // nil: it never said anything in this time online
	// held: the plan does not want it online, and a lock keeps it so. Computed.
	held bool
	// refused: people were told that it is held.
	refused bool
	// saidLocked bounds how often it changes.
	saidLocked changes
}

func (l *lock) locked() bool { return l.mode != nil && l.mode.Locked }

// setLockedMode is SetResourceLockedMode and its Ex form (RA sections 1.10, 1.19). What
// is on its way down cannot be locked any more. The answer waits for the journal: a
// provider that relies on a lock must not lose it to a restart of the monitor. More than
// maxChanges a second are answered with 5909: try again.
func (e *Engine) setLockedMode(r *resource, s SetLockedMode) Code {
	if s.Flags&^LockedModeKeepMoveQueue != 0 {
		return CodeInvalidParameter
	}
	if r.state != Online || r.doomed || r.kill || r.terminating {
		return CodeInvalidState
	}
	mode := LockedMode{Locked: s.Enabled, Reason: s.Reason, Flags: s.Flags, Time: e.now}
	if r.locked() == s.Enabled {
		if r.mode == nil || r.mode.Reason == s.Reason && r.mode.Flags == s.Flags {
			return CodeSuccess
		}
		mode.Time = r.mode.Time
	}
	if !r.saidLocked.admit(e.now.Boot) {
		return CodeTypeBusy
	}
	r.mode = &mode
	e.touch(r, true)
	e.group, e.barrier, e.again = true, true, true
	return CodeSuccess
}

// unlock: it is not online any more, and its lock is lost with that.
func (e *Engine) unlock(r *resource) {
	if r.mode != nil {
		r.mode, e.group = nil, true
	}
}

// hold computes what stays up: what the plan wants, and what it does not want but a
// locked resource needs, itself included (RA sections 1.10, 4.6). A lock holds back
// only what the plan asks: it saves nothing from a failure, nor from the end of the
// ownership.
func (e *Engine) hold() {
	locked := false
	for _, r := range e.resources {
		r.held = false
		locked = locked || r.locked()
	}
	e.keeps()
	for again := locked; again; {
		again = false
		needed := map[string]bool{}
		// From the dependents down to what they stand on.
		for _, r := range slices.Backward(e.resources) {
			if r.keep || r.state != Online || r.doomed || r.recovering || !r.locked() && !needed[r.spec.UID] {
				continue
			}
			for _, uid := range e.missing(r) {
				needed[uid] = true
			}
			if !r.wanted() && !r.held && !r.spec.IgnoreLockedMode && !e.ignoreLocked {
				r.held, again = true, true
			}
		}
		if again {
			e.keeps()
		}
	}
}

// holders are the locked resources for which r is held: itself, or what stands on it.
func (e *Engine) holders(r *resource) []string {
	var uids []string
	seen := map[*resource]bool{}
	var visit func(x *resource)
	visit = func(x *resource) {
		if seen[x] {
			return
		}
		seen[x] = true
		if x.locked() {
			uids = append(uids, x.spec.UID)
		}
		for _, d := range x.dependents {
			visit(d)
		}
	}
	visit(r)
	slices.Sort(uids)
	return uids
}

// tellHeld tells once that going offline is refused, and forgets it when it is not
// any more.
func (e *Engine) tellHeld() {
	for _, r := range e.resources {
		if r.held == r.refused || e.phase != Owner && !(e.phase == Stopping && !r.held) {
			continue
		}
		r.refused = r.held
		e.touch(r, true)
		if !r.held {
			if r.lastStatus == CodeLocked {
				r.lastStatus = CodeSuccess
			}
			continue
		}
		r.lastStatus = CodeLocked
		names := e.holders(r)
		for i, uid := range names {
			names[i] = e.find(uid).spec.Name
		}
		e.note(LevelWarning, r, ReasonLocked, fmt.Sprintf(
			"%s does not go offline (%s): %s in locked mode; it does once that ends, or with spec.ignoreLockedMode",
			r.spec.Name, CodeLocked, strings.Join(names, ", ")), true)
	}
}

// Locked names the resources that are online and in locked mode, in the order of the plan.
func (s *Snapshot) Locked() []*ResourceSnapshot {
	var locked []*ResourceSnapshot
	for i := range s.Resources {
		if r := &s.Resources[i]; r.State == Online && r.LockedMode != nil && r.LockedMode.Locked {
			locked = append(locked, r)
		}
	}
	return locked
}

// StatusInformation of the group follows from its resources (RA section 3.5).
func (s *Snapshot) StatusInformation() (bits uint64) {
	for _, r := range s.Resources {
		for own, group := range map[uint64]uint64{
			StatusLockedMode: GroupLockedMode, StatusEmbeddedFailure: GroupEmbeddedFailure,
			StatusNetworkFailure: GroupNetworkFailure, statusLacks: GroupLacksResources,
		} {
			if r.StatusInformation&own != 0 {
				bits |= group
			}
		}
	}
	return bits
}
