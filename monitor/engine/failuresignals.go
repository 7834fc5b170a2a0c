// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import "fmt"

// signalled is SignalFailure (RA section 1.3). What the provider saw end needs no
// verification; a general failure and a lost network are verified by IsAlive and count
// unless that says alive; of an embedded one the resource itself knows nothing.
func (e *Engine) signalled(r *resource, s SignalFailure) Code {
	if !r.up() || r.terminating || r.kill {
		return CodeInvalidState
	}
	s.Message = clip(s.Message, maxMessage)
	if s.Message == "" {
		s.Message = "the provider signalled a failure"
	}
	switch {
	case s.Exited:
		e.fail(r, s.failure(ReasonExited, true))
	case s.Type == FailureEmbedded || s.Type == FailureNetworkLoss:
		if r.state != Online {
			return CodeInvalidState // what is coming online reports its own failure
		}
		if s.Type == FailureEmbedded {
			e.embeddedFailure(r, s)
		} else {
			e.inform(r, StatusNetworkFailure, ReasonNetworkLoss, s)
			e.toVerify(r, s)
		}
	case s.Type != FailureGeneral:
		return CodeInvalidParameter
	case r.state == OnlinePending:
		// There is no IsAlive of what is not online yet.
		e.fail(r, s.failure(ReasonSignalled, false))
	default:
		e.toVerify(r, s)
	}
	return CodeSuccess
}

// failure is what is judged, if the signal counts as one.
func (s SignalFailure) failure(why Reason, verified bool) failure {
	return failure{reason: why, code: CodeResourceFailed, message: s.Message,
		appCode: s.ApplicationErrorCode, verified: verified}
}

// reason by which a signal counts.
func (s SignalFailure) reason() Reason {
	if s.Type == FailureNetworkLoss {
		return ReasonNetworkLoss
	}
	return ReasonSignalled
}

// toVerify has IsAlive asked, now or as soon as it may be again. A lost network that
// still waits for its answer is not forgotten over a general failure.
func (e *Engine) toVerify(r *resource, s SignalFailure) {
	waits := r.verify != nil || r.verifyAgain
	if waits && r.signal.Type == FailureNetworkLoss {
		s.Type = FailureNetworkLoss
	}
	r.signal = s
	if r.verify != nil || r.verifyAt > e.now.Boot || !r.polls() {
		r.verifyAgain = true
		return
	}
	e.verify(r)
}

// verified takes the answer of the IsAlive that verifies a signal.
func (e *Engine) verified(r *resource, a Returned) {
	s := r.signal
	switch {
	case r.state != Online:
	case !a.Alive:
		e.fail(r, s.failure(s.reason(), a.Outcome == Answered))
	case s.Type == FailureNetworkLoss:
		// It works all the same: the bit and the condition say what there is to say.
	default:
		e.note(LevelWarning, r, ReasonFalseAlarm, fmt.Sprintf(
			"%s was signalled as failed (application error %d), but IsAlive says that it works: %s",
			r.spec.Name, s.ApplicationErrorCode, s.Message), false)
	}
}

// inform sets a bit of StatusInformation, and tells it once. The provider may forget it
// once it is answered, and Open does not tell it again: so the answer waits for the journal.
func (e *Engine) inform(r *resource, bit uint64, why Reason, s SignalFailure) {
	if r.information&bit != 0 {
		return
	}
	r.information |= bit
	e.group, e.barrier = true, true
	e.touch(r, true)
	if why != "" {
		e.note(LevelWarning, r, why,
			fmt.Sprintf("%s: application error %d: %s", r.spec.Name, s.ApplicationErrorCode, s.Message), true)
	}
}

// embeddedFailure acts by EmbeddedFailureAction (RA section 1.3). To recover it is taken
// down in order, because it works itself, and is Failed then, as the restart policy
// sees it. IsAlive is not asked: it would answer for the resource, which is not what
// failed.
func (e *Engine) embeddedFailure(r *resource, s SignalFailure) {
	switch r.spec.EmbeddedFailureAction {
	case EmbeddedNone:
		e.inform(r, StatusEmbeddedFailure, "", s)
	case EmbeddedLogOnly:
		e.inform(r, StatusEmbeddedFailure, ReasonEmbeddedFailure, s)
	default:
		e.inform(r, StatusEmbeddedFailure, ReasonEmbeddedFailure, s)
		if r.recovering || r.doomed {
			return // it goes down already
		}
		r.record(e, s.failure(ReasonEmbeddedFailure, true))
		r.recovering = true
		e.again, e.barrier = true, true
	}
}

// recoverEmbedded: what an embedded failure was to take down is down, in order or by
// force. The policy decides what follows.
func (e *Engine) recoverEmbedded(r *resource) {
	e.judge(r, ReasonEmbeddedFailure)
	e.note(LevelError, r, ReasonEmbeddedFailure,
		r.spec.Name+" was taken down after an embedded failure; "+r.outlook(e), true)
}
