// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/understudy-dev/understudy/monitor/instant"
)

// maxFailures is how many failures are kept and counted. A RestartThreshold of
// as much or more is never exceeded.
const maxFailures = 128

// policy is what the restart policy knows of a resource (RA section 4.7).
type policy struct {
	failures      []instant.Instant // of this series, within RestartPeriod
	totalFailures int64
	totalRestarts int64
	lastFailure   *Failure
	verdict       Verdict
	nextTry       instant.Instant // Boot 0: nothing is scheduled
	// failover: the verdict calls for another host; immediate: nothing can be
	// done here at all.
	failover  bool
	immediate bool
}

// resetSeries begins a new series of restarts.
func (r *resource) resetSeries() {
	r.failures, r.verdict, r.nextTry = nil, VerdictNone, instant.Instant{}
	r.failover, r.immediate = false, false
}

// failure is one failure before it is judged.
type failure struct {
	reason   Reason
	code     Code
	message  string
	appCode  uint32
	verified bool
	noDump   bool // the provider wants no dump of it
	// information are the bits of StatusInformation that stay while it is Failed.
	information uint64
}

// lack takes from the flags of a report what the resource lacked (RA section 3.2).
func (f *failure) lack(s SetResourceStatus) {
	if !s.Ex {
		return
	}
	f.information = failedFor(s.Flags)
	if f.information&statusLacks != 0 && f.code == CodeResourceFailed {
		f.code = CodeResourcesLacking
	}
}

// record keeps the failure for people.
func (r *resource) record(e *Engine, f failure) {
	r.totalFailures++
	r.lastStatus = f.code
	r.lastFailure = &Failure{Time: e.now, Reason: f.reason, Code: f.code, Message: f.message,
		ApplicationErrorCode: f.appCode, Verified: f.verified}
	e.touch(r, true)
}

// fail: the resource failed. It is Failed at once, is terminated, and the policy
// decides what follows. While the group is being stopped, or while it was being
// taken down anyway, no failure is counted.
func (e *Engine) fail(r *resource, f failure) {
	counted := e.counts(r)
	r.record(e, f)
	e.dumpFailure(r, f)
	e.setState(r, Failed, f.reason)
	if r.kill = r.run; r.kill {
		e.doom(r)
	}
	if !counted {
		r.verdict = VerdictNone
		return
	}
	e.judge(r, f.reason)
	e.note(LevelError, r, f.reason, r.spec.Name+" failed: "+f.message+"; "+r.outlook(e), true)
}

// counts: a failure now is one that the policy acts upon.
func (e *Engine) counts(r *resource) bool {
	return (e.phase == Owner || e.phase == Undecided) && r.wanted()
}

// judge gives the verdict of RA section 4.7. The window slides: what counts is
// the failures within the last RestartPeriod.
func (e *Engine) judge(r *resource, why Reason) {
	r.prune(e)
	r.failures = append(r.failures, e.now)
	if n := len(r.failures); n > maxFailures {
		r.failures = append([]instant.Instant(nil), r.failures[n-maxFailures:]...)
	}
	r.failover, r.immediate = false, false
	within := int64(len(r.failures)) <= r.spec.RestartThreshold
	switch {
	case r.spec.RestartAction == DontRestart:
		r.verdict, r.nextTry = VerdictStay, instant.Instant{}
		return
	case why == ReasonCannotOnThis:
		r.failover = r.spec.RestartAction == RestartNotify
		r.immediate = r.failover
	case why == ReasonCannotOnAny:
		// RA section 3.1: neither here nor elsewhere, until somebody acts.
		r.verdict, r.nextTry = VerdictStay, instant.Instant{}
		return
	case within:
		// RestartDelay counts from here, the detection. A host without network is the
		// last place for it: it is restarted there only if no other host can take it.
		r.failover = why == ReasonNetworkLoss && r.spec.RestartAction == RestartNotify
		r.immediate = r.failover
		r.verdict, r.nextTry = VerdictRestart, e.instantAt(e.after(r.spec.RestartDelay))
		return
	default:
		r.failover = r.spec.RestartAction == RestartNotify
		r.immediate = r.failover && why == ReasonNetworkLoss
	}
	r.verdict, r.nextTry = VerdictStay, instant.Instant{}
	if r.spec.RetryPeriodOnFailure > 0 {
		r.verdict, r.nextTry = VerdictRetry, e.instantAt(e.after(r.spec.RetryPeriodOnFailure))
	}
}

// prune drops failures that left the window, which people see.
func (r *resource) prune(e *Engine) {
	for at := r.leaves(); at != 0 && at <= e.now.Boot; at = r.leaves() {
		r.failures = r.failures[1:]
		e.touch(r, false)
	}
}

// leaves is when the oldest failure leaves the window; 0: none is in it.
func (r *resource) leaves() int64 {
	if len(r.failures) == 0 {
		return 0
	}
	return add(r.failures[0].Boot, r.spec.RestartPeriod)
}

// outlook says for people what the policy does.
func (r *resource) outlook(e *Engine) string {
	left := time.Duration(r.nextTry.Boot - e.now.Boot).String()
	s := "it stays Failed"
	switch r.verdict {
	case VerdictRestart:
		if r.failover {
			return "another host is asked for; if none can take over, it is restarted here in " + left
		}
		return "it is restarted in " + left
	case VerdictRetry:
		s = "it is tried again in " + left
	}
	if r.failover {
		s = "a failover is needed; here " + s
	}
	return s
}

// recovered: it is online. The verdict on its last failure is spent; the
// failures themselves go on counting until they leave the window.
func (e *Engine) recovered(r *resource) {
	r.verdict, r.nextTry, r.failover, r.immediate = VerdictNone, instant.Instant{}, false, false
}

// stuck: it is wanted online and nothing is missing but its provider, which has
// not come for PendingTimeout. There is nothing to restart, so the policy is as
// if every restart had failed.
func (e *Engine) stuck(r *resource) {
	r.waitSince = 0
	if !r.up() && r.state != Failed {
		r.record(e, failure{reason: ReasonProviderLost, code: CodeProviderFailed})
		e.setState(r, Failed, ReasonProviderLost)
	} else if r.up() {
		e.fail(r, failure{reason: ReasonProviderLost, code: CodeProviderFailed, message: "its provider did not come back"})
	}
	if r.spec.RestartAction == RestartNotify && !r.failover {
		r.failover, r.immediate = true, true
		e.touch(r, true)
	}
	e.note(LevelError, r, ReasonProviderLost, r.spec.Name+" has waited "+
		r.spec.PendingTimeout.String()+" for its provider in container "+r.c.name, true)
}

// sayNeed says whether this host should give the group up, if that changed.
func (e *Engine) sayNeed() {
	n := e.needs()
	if n == e.need {
		return
	}
	e.need = n
	e.group, e.journal = true, true
	e.out = append(e.out, Action{Need: &n})
}

// needs: the first resource, in order of dependency, whose failure calls for
// another host, or a wanted one in a container that is lost.
func (e *Engine) needs() Need {
	var n Need
	if e.phase != Owner && (!e.halted || e.regrant == 0) {
		return n
	}
	if n, ok := e.needsArbitration(); ok || e.phase != Owner {
		return n
	}
	for _, r := range e.resources {
		if !r.wanted() || r.spec.RestartAction != RestartNotify {
			continue
		}
		lost := r.c.gone
		if !lost && !(r.failover && r.state != Online) {
			continue
		}
		if n.Failover && (n.Immediate || !(lost || r.immediate)) {
			continue
		}
		n = Need{Failover: true, Resource: r.spec.UID, Reason: ReasonThreshold, Immediate: lost || r.immediate}
		switch {
		case lost:
			n.Reason, n.Message = ReasonContainerLost, "container "+r.c.name+" is lost"
		case r.lastFailure != nil:
			if r.immediate || r.lastFailure.Reason == ReasonEmbeddedFailure {
				n.Reason = r.lastFailure.Reason
			}
			n.Message = clip(r.spec.Name+": "+string(r.lastFailure.Reason)+": "+r.lastFailure.Message, maxMessage)
		}
	}
	return n
}
