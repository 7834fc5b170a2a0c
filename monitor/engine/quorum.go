// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// CapabilityQuorum is what a provider says that serves Arbitrate and Release.
const CapabilityQuorum = "CAPABILITY_QUORUM"

// The pauses between two arbitrations that were lost: the first is the RestartDelay, if
// that is longer, and each is twice the one before.
const (
	arbitrationPause    = time.Second
	arbitrationPauseMax = 30 * time.Second
)

// arbitration is how a quorum resource stands (RA section 8). Nothing of the group
// starts before each quorum resource that is wanted online is held.
type arbitration struct {
	// wonEpoch is the epoch under which it was won last; 0 if it was lost or
	// released since.
	wonEpoch int64
	// defended: the process that won it defends it still.
	defended bool
	// lost is ArbitrationLost or QuorumLost until it is won anew or the epoch ends.
	lost        Reason
	lostMessage string
	// lostEarly: QuorumResourceLost came before the answer to Arbitrate.
	lostEarly bool
	// arbitrateAt is before when this host does not try again, whatever the epoch:
	// two hosts that both lose must not hand the group to and fro all the time.
	arbitrateAt    int64
	arbitratePause int64
}

// claimant: its arbitration must be won before anything of the group starts.
func (r *resource) claimant() bool {
	spec := &r.spec
	if r.next != nil {
		spec = r.next
	}
	return !r.removed && spec.ArbitrationTimeout > 0 && spec.DesiredState != DesiredOffline
}

// unheld lists the quorum resources that this host has yet to win; after a restart of the
// monitor it has, once it is sure that the process which defends it is the same.
func (e *Engine) unheld() []string {
	var uids []string
	for _, r := range e.resources {
		if r.claimant() && !(r.defended && r.c.up) {
			uids = append(uids, r.spec.UID)
		}
	}
	return uids
}

// undefended: a quorum resource was won under this epoch, and the process that
// defended it is gone. What runs stops in order, until it is won again.
func (e *Engine) undefended() bool {
	return slices.ContainsFunc(e.resources, func(r *resource) bool {
		return r.claimant() && !r.defended && r.wonEpoch == e.epoch && e.epoch != 0
	})
}

// arbitrate is the part of settle that wins what must be won, and releases what is
// not wanted here any more.
func (e *Engine) arbitrate(r *resource) {
	switch {
	case !r.callable() || r.op != nil || r.setting != nil || r.terminating:
	case !r.down() && (r.state != Online || r.wonEpoch == e.epoch):
		// What is online was won, unless its type has become quorum-capable since.
	case r.down() && e.releases(r) && e.othersDown(r):
		r.defended, r.wonEpoch = false, 0
		e.touch(r, true)
		r.op = e.begin(r, OpRelease, r.spec.TerminateTimeout, Call{})
	case e.phase != Owner || !r.wanted() || !r.claimant() || r.defended || r.c.guard != e.epoch:
	case !r.c.can(CapabilityQuorum):
		if r.lastStatus != CodeNotQuorumCapable {
			r.lastStatus = CodeNotQuorumCapable
			e.touch(r, false)
			e.note(LevelError, r, ReasonNotQuorumCapable, r.spec.Name+": "+notQuorumCapable(r), true)
		}
	case r.arbitrateAt <= e.now.Boot:
		r.lostEarly = false
		// What the provider does to win and defend may outlive the call.
		r.c.dirty = true
		r.op = e.begin(r, OpArbitrate, r.spec.ArbitrationTimeout, Call{Epoch: e.epoch})
		r.op.epoch = e.epoch
		e.touch(r, false)
	}
}

func notQuorumCapable(r *resource) string {
	return fmt.Sprintf("%s (%d): the provider in container %s does not say %s, which the type %s needs",
		CodeNotQuorumCapable, CodeNotQuorumCapable, r.c.name, CapabilityQuorum, r.spec.TypeName)
}

// releases: the defence is to end, because the group is being stopped in order, or the
// resource is not wanted here any more. In a harder stop the emptied container ends it.
func (e *Engine) releases(r *resource) bool {
	switch {
	case !r.defended || !r.callable():
		return false
	case e.phase == Stopping:
		return e.mode == Ordered && e.regrant == 0
	case e.phase == Owner:
		return !r.claimant()
	}
	return e.phase == Observer
}

// othersDown: in a stop of the group, Release comes after all else.
func (e *Engine) othersDown(r *resource) bool {
	return e.phase != Stopping || !slices.ContainsFunc(e.resources, func(o *resource) bool { return o != r && !o.down() })
}

func (e *Engine) arbitrateReturned(c *call, a Returned) {
	r := c.r
	early := r.lostEarly
	r.lostEarly = false
	switch {
	case c.epoch != e.epoch: // of an ownership that is over
	case a.Status != CodeSuccess:
		e.arbitrationLost(r, ReasonArbitrationLost, a.Status, cmp.Or(a.Message, "the provider said so"))
	default:
		r.defended, r.wonEpoch, r.lost, r.lostMessage = true, e.epoch, "", ""
		r.arbitrateAt, r.arbitratePause, r.lastStatus = 0, 0, CodeSuccess
		e.touch(r, true)
		e.note(LevelInformation, r, ReasonArbitrationWon,
			fmt.Sprintf("the arbitration of %s is won in epoch %d", r.spec.Name, e.epoch), true)
		if early {
			e.quorumLost(r)
		}
	}
}

func (e *Engine) releaseReturned(r *resource, a Returned) {
	if a.Status != CodeSuccess {
		r.lastStatus = a.Status
		e.touch(r, false)
		e.note(LevelWarning, r, ReasonReleaseFailed,
			"Release of "+r.spec.Name+" failed: "+a.Status.String()+" "+a.Message, true)
		return
	}
	e.note(LevelInformation, r, ReasonArbitrationReleased, r.spec.Name+" is not defended here any more", true)
}

// arbitrationLost: another system has it. That is no failure of anything here, but this
// host is of no use to the group now; whatever runs without it stops at once.
func (e *Engine) arbitrationLost(r *resource, why Reason, code Code, message string) {
	r.defended, r.wonEpoch, r.lost, r.lostMessage, r.lastStatus = false, 0, why, clip(message, maxMessage), code
	first := int64(max(arbitrationPause, r.spec.RestartDelay))
	if r.arbitrateAt == 0 || add(r.arbitrateAt, arbitrationPauseMax) <= e.now.Boot {
		r.arbitratePause = 0 // that was another time
	}
	r.arbitratePause = min(max(2*r.arbitratePause, first), max(first, int64(arbitrationPauseMax)))
	r.arbitrateAt = e.after(time.Duration(r.arbitratePause))
	e.touch(r, true)
	e.group, e.again = true, true
	level := LevelWarning
	if why == ReasonQuorumLost {
		level = LevelError
	}
	e.note(level, r, why, fmt.Sprintf("%s: %s %s", r.spec.Name, code, message), true)
	if why == ReasonQuorumLost || slices.ContainsFunc(e.resources, func(o *resource) bool { return !o.down() }) {
		e.halt(why)
	}
}

// quorumResourceLost is RA section 1.9. It counts only between a won Arbitrate and Release.
func (e *Engine) quorumResourceLost(r *resource) Code {
	switch {
	case r.defended && r.wonEpoch == e.epoch:
		e.quorumLost(r)
		e.barrier = true // it is not said twice; the stop does not wait for that
		return CodeSuccess
	case r.op != nil && r.op.op == OpArbitrate && r.op.epoch == e.epoch:
		e.barrier = !r.lostEarly
		r.lostEarly = true // the answer is on its way
		return CodeSuccess
	}
	if !r.noted {
		r.noted = true
		e.note(LevelWarning, r, ReasonNotHeld,
			"QuorumResourceLost of "+r.spec.Name+" is ignored: no arbitration of it is held here", false)
	}
	if r.spec.ArbitrationTimeout == 0 {
		return CodeNotQuorumCapable
	}
	return CodeInvalidState
}

func (e *Engine) quorumLost(r *resource) {
	e.arbitrationLost(r, ReasonQuorumLost, CodeResourceNotAvailable, "the provider has lost control of it")
}

// halt stops everything of the group at once, without being told to: the order comes when
// ownership gives the group up. If it does not, because nobody else can take it, this host
// goes on as the owner once its containers are proven empty.
func (e *Engine) halt(why Reason) {
	regrant := e.regrant
	if e.phase == Owner {
		regrant = e.epoch
	}
	e.revoked(Revoked{Mode: Emergency, Reason: string(why), Cause: StateChangeRundown})
	e.regrant, e.halted = regrant, true
}

// forgetArbitration: the ownership ended, or the instance.
func (r *resource) forgetArbitration() {
	r.defended, r.wonEpoch, r.lost, r.lostMessage, r.lostEarly = false, 0, "", "", false
}

// needsArbitration: a quorum resource that was lost calls for another host, at once.
func (e *Engine) needsArbitration() (Need, bool) {
	for _, r := range e.resources {
		if r.claimant() && r.lost != "" {
			return Need{Failover: true, Immediate: true, Reason: r.lost, Resource: r.spec.UID,
				Message: clip(r.spec.Name+": "+r.lostMessage, maxMessage)}, true
		}
	}
	return Need{}, false
}

// Arbitration says that the need follows from a lost arbitration, which is no failure.
func (n Need) Arbitration() bool {
	return n.Failover && (n.Reason == ReasonArbitrationLost || n.Reason == ReasonQuorumLost)
}

// ArbitrationSnapshot is how a quorum resource stands.
type ArbitrationSnapshot struct {
	// Epoch under which it was won last; 0 if it was lost or released since.
	Epoch int64 `json:"epoch,omitempty"`
	// Held: the process that won it defends it still.
	Held bool `json:"held,omitempty"`
	// Lost is ArbitrationLost or QuorumLost until it is won anew, or the epoch ends.
	Lost    Reason `json:"lost,omitempty"`
	Message string `json:"message,omitempty"`
}

func (r *resource) arbitrationSnapshot(spec *Resource) *ArbitrationSnapshot {
	if spec.ArbitrationTimeout == 0 && !r.defended {
		return nil
	}
	return &ArbitrationSnapshot{Epoch: r.wonEpoch, Held: r.defended, Lost: r.lost, Message: r.lostMessage}
}

// restoreArbitration: what was won is defended for as long as the process lives, and Open
// and init tell if it does.
func (r *resource) restoreArbitration(a *ArbitrationSnapshot, epoch int64) {
	if a == nil {
		return
	}
	r.lost, r.lostMessage = a.Lost, clip(a.Message, maxMessage)
	if a.Epoch == epoch {
		r.wonEpoch, r.defended = a.Epoch, a.Held
	}
}
