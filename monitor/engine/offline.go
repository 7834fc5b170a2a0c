// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import "time"

// stop is the part of settle that takes a resource down, if it may not stay up:
// in order, its dependents first (RA section 7.1), or at once in an emergency.
func (e *Engine) stop(r *resource) {
	if e.phase == Undecided && !r.kill {
		return
	}
	if e.phase == Stopping && e.mode == Kill {
		return // init does it
	}
	if e.phase == Stopping && e.mode == Emergency && r.run {
		e.emergency(r)
	}
	if r.kill {
		if e.phase != Owner || !r.dumping(e.now.Boot) {
			e.terminate(r)
		}
		return
	}
	if !r.up() || r.keep {
		return
	}
	e.doom(r)
	if len(e.staying(r)) > 0 || !r.callable() {
		return
	}
	if r.state == OnlinePending || r.op != nil {
		// RA section 4.2: offline was requested while it was coming online.
		e.setState(r, OfflinePending, ReasonStopping)
		r.kill = true
		e.terminate(r)
		return
	}
	e.setState(r, OfflinePending, ReasonStopping)
	r.op = e.begin(r, OpOffline, r.spec.DeadlockTimeout, e.offlineCall(r))
}

// emergency terminates whatever runs, regardless of order and of running calls.
func (e *Engine) emergency(r *resource) {
	if r.kill || r.terminating {
		return
	}
	if !r.opened && (r.c.callable() || e.halted) {
		// Open has not returned, and Terminate must not overtake it; nor does a monitor
		// that comes back to a halt wait for it.
		e.restart(r.c, ReasonProveStop, nil)
		return
	}
	if r.up() {
		e.setState(r, OfflinePending, ReasonStopping)
	}
	e.doom(r)
	r.kill = true
}

// doom: it goes down before it may come up again.
func (e *Engine) doom(r *resource) {
	if !r.doomed {
		r.doomed, r.doomedAt = true, e.now.Boot
		e.again = true
	}
}

// disown: what runs was started under another epoch. It is terminated, which
// is no failure, and is brought online again under the present one.
func (e *Engine) disown(r *resource) {
	e.setState(r, OfflinePending, ReasonDisowned)
	e.doom(r)
	r.kill = true
}

// terminate calls Terminate, which may overlap every other call but Open and
// Close (RA section 2.0). The stop is complete when it has answered and the
// call that it cancelled has returned; else the container is killed.
func (e *Engine) terminate(r *resource) {
	if r.terminating || !r.callable() || (r.op != nil && r.op.op == OpClose) {
		return
	}
	r.terminating, r.stopBy = true, e.after(r.spec.TerminateTimeout)
	r.overlap = r.op != nil && r.op.op == OpOnline
	r.pendingBy = 0
	r.resetHealth()
	r.term = e.begin(r, OpTerminate, r.spec.TerminateTimeout, Call{Reason: e.terminateReason(r)})
	e.again = true
}

func (e *Engine) terminateReturned(r *resource, a Returned) {
	if a.Status != CodeSuccess {
		r.lastStatus = a.Status
		e.note(LevelError, r, ReasonTerminateFailed,
			"Terminate of "+r.spec.Name+" failed: "+a.Status.String()+" "+a.Message+": the container is emptied", true)
		e.restart(r.c, ReasonTerminateFailed, r)
		return
	}
	e.terminated(r)
}

// terminated: the stop is complete once Terminate has answered and the call that
// it cancelled has returned. Two calls on one connection may be served in either
// order: if it was Online that was in flight, it may have begun only after
// Terminate had found nothing to stop. So Terminate is called once more, within
// the same time.
func (e *Engine) terminated(r *resource) {
	left := time.Duration(r.stopBy - e.now.Boot)
	switch {
	case r.term != nil || r.op != nil || r.setting != nil:
	case r.overlap && left > 0:
		r.overlap = false
		r.term = e.begin(r, OpTerminate, left, Call{Reason: e.terminateReason(r)})
	case r.overlap:
		e.stopOut(r)
	default:
		e.stopped(r)
	}
}

// stopOut: Terminate was answered, but the call that it should have cancelled
// has not returned: it could still start something.
func (e *Engine) stopOut(r *resource) {
	r.lastStatus = CodeCallTimedOut
	e.restart(r.c, ReasonTerminateFailed, r)
}

// stopped: nothing of it runs any more.
func (e *Engine) stopped(r *resource) {
	if r.run || r.unexpected {
		r.run, r.unexpected = false, false
		e.touch(r, true)
	}
	r.kill, r.terminating, r.doomed, r.overlap = false, false, false, false
	r.stopBy, r.pendingBy = 0, 0
	switch {
	case r.state != OfflinePending:
	case r.recovering && e.counts(r):
		e.setState(r, Failed, ReasonEmbeddedFailure)
		e.recoverEmbedded(r)
	default:
		e.setState(r, Offline, ReasonStopped)
	}
	e.again = true
}

func (e *Engine) offlineReturned(r *resource, a Returned) {
	switch {
	case r.terminating || r.state == Failed:
		e.opEnded(r)
	case a.Status == CodeSuccess:
		if r.state == OfflinePending {
			e.stopped(r)
		}
	case a.Status == CodeIOPending:
		if r.state == OfflinePending {
			r.pendingBy = e.after(r.spec.PendingTimeout)
		}
	default:
		r.run = true // also if a report said Offline before
		e.forced(r, failure{reason: ReasonForcedOffline, code: a.Status, message: "Offline: " + a.Message})
	}
}

// forced: an orderly stop did not work, so Terminate ends it. It ends Failed (RA
// section 4.2 leaves the choice), which no policy acts upon: it failed to stop,
// not to run.
func (e *Engine) forced(r *resource, f failure) {
	f.verified = true
	recovering := r.recovering && e.counts(r)
	r.record(e, f)
	e.setState(r, Failed, f.reason)
	r.verdict = VerdictNone
	if recovering {
		e.recoverEmbedded(r)
	}
	r.kill = r.run
	e.note(LevelError, r, f.reason, r.spec.Name+" did not go offline in order and is terminated: "+f.message, true)
}
