// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"slices"
)

// start is the part of settle that brings a resource online, if nothing speaks
// against it.
func (e *Engine) start(r *resource) {
	if why, _ := e.obstacle(r); why != "" {
		return
	}
	context, flags := e.onlineContext(r)
	if r.verdict == VerdictRetry {
		r.resetSeries() // RA section 4.7 step 8: a new series of restarts
	}
	if r.verdict == VerdictRestart {
		r.totalRestarts++
	}
	r.nextTry.Boot = 0
	r.doomed, r.kill, r.unexpected = false, false, false
	r.run, r.c.dirty = true, true
	r.startedEpoch, r.runningGeneration = e.epoch, r.spec.Generation
	r.give()
	r.eventHandle, r.appCode, r.statusFlags, r.lastStatus = false, 0, 0, CodeSuccess
	// The state changes with the call, not with its answer (RA section 2.2 sets it
	// at 997): a provider's worker may report before the answer has arrived.
	e.setState(r, OnlinePending, ReasonStarting)
	r.op = e.begin(r, OpOnline, r.spec.DeadlockTimeout, Call{
		Name: r.spec.Name, Generation: r.spec.Generation,
		Properties: r.spec.Properties, Epoch: e.epoch, Context: context, Flags: flags,
	})
}

// obstacle says what keeps a resource that is down from being brought online, ""
// if nothing does. Its order is the order in which a person would ask.
func (e *Engine) obstacle(r *resource) (Reason, []string) {
	switch {
	case r.removed:
		return ReasonRemoved, nil
	case e.phase == Observer:
		return ReasonNotOwner, nil
	case e.phase == Undecided:
		return ReasonUndecided, nil
	case e.phase == Stopping:
		return ReasonGroupStopping, nil
	case r.spec.DesiredState == DesiredOffline:
		return ReasonOfflineWanted, nil
	case r.state == OnlinePending || r.state == Online:
		return ReasonWaitingOnline, nil
	case !r.down() || r.next != nil:
		return ReasonWaitingStop, nil
	}
	if why := e.judged(r); why != "" {
		return why, nil
	}
	unheld := e.unheld()
	if len(unheld) > 0 && !slices.Contains(unheld, r.spec.UID) {
		return ReasonWaitingArbitration, unheld
	}
	if why, who := e.lacks(r); why != "" {
		return why, who
	}
	switch {
	case !r.c.callable():
		return ReasonWaitingProvider, nil
	case !r.opened:
		return ReasonWaitingOpen, nil
	case r.c.guard != e.epoch:
		return ReasonWaitingGuard, nil
	case len(unheld) > 0 && !r.c.can(CapabilityQuorum):
		return ReasonNotQuorumCapable, nil
	case len(unheld) > 0:
		return ReasonWaitingArbitration, nil
	case r.op != nil || r.setting != nil:
		return ReasonWaitingStop, nil
	}
	if who, _ := e.lingering(r); len(who) > 0 {
		return ReasonWaitingDependents, who
	}
	return "", nil
}

// judged is what the verdict on its last failure keeps it waiting for.
func (e *Engine) judged(r *resource) Reason {
	switch {
	case r.state != Failed:
	case r.verdict == VerdictStay && r.failover:
		return ReasonNeedsFailover
	case r.verdict == VerdictStay:
		return ReasonFailedForGood
	case r.verdict == VerdictRetry && r.nextTry.Boot > e.now.Boot:
		return ReasonWaitingRetry
	case r.verdict == VerdictRestart && r.nextTry.Boot > e.now.Boot:
		return ReasonWaitingRestart
	}
	return ""
}

// waitingFor is what the snapshot shows: why it is not as the plan wants.
func (e *Engine) waitingFor(r *resource) (Reason, []string) {
	switch {
	case r.held:
		return ReasonLocked, e.holders(r)
	case r.state == Online && r.doomed:
		return ReasonWaitingDependents, e.staying(r)
	case r.state == Online:
		return "", nil
	}
	return e.obstacle(r)
}

// onlineReturned: RA sections 2.1 and 4.2.
func (e *Engine) onlineReturned(r *resource, a Returned) {
	switch {
	case r.terminating || !r.up():
		e.opEnded(r) // it has been decided otherwise meanwhile
	case a.Status == CodeSuccess:
		r.eventHandle = a.EventHandle || r.eventHandle
		e.setState(r, Online, ReasonStarted)
	case a.Status == CodeIOPending:
		r.eventHandle = a.EventHandle || r.eventHandle
		if r.state == OnlinePending {
			r.pendingBy = e.after(r.spec.PendingTimeout)
		}
	case a.Status == CodeResourceNotAvailable && r.claimant():
		e.arbitrationLost(r, ReasonArbitrationLost, a.Status, cmp.Or(a.Message, "Online said so"))
	default:
		// Also if a report said Online before: an error is the safer half of
		// a contradiction.
		e.fail(r, failure{reason: ReasonOnlineFailed, code: a.Status, message: a.Message, verified: true})
	}
}

// opEnded: the state-changing call has returned after all; a Terminate that is
// answered already is complete only now.
func (e *Engine) opEnded(r *resource) {
	if r.terminating {
		e.terminated(r)
	}
}

// pendingOut: no new checkpoint for PendingTimeout (RA sections 1.1 and 4.2).
func (e *Engine) pendingOut(r *resource) {
	r.pendingBy = 0
	f := failure{reason: ReasonPendingTimeout, code: CodeCallTimedOut, verified: true,
		message: "no new checkpoint within " + r.spec.PendingTimeout.String()}
	if r.state == OnlinePending {
		e.fail(r, f)
		return
	}
	f.reason, f.message = ReasonForcedOffline, "Offline: "+f.message
	e.forced(r, f)
}
