// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// openRetry is the first pause after an Open that failed; it doubles to openRetryMax.
const (
	openRetry    = time.Second
	openRetryMax = time.Minute
)

// openOrClose is the part of settle that makes instances and frees them.
func (e *Engine) openOrClose(r *resource) {
	if r.op != nil || r.terminating || !r.c.callable() {
		if (r.removed || r.next != nil) && r.op == nil && !r.opened && r.down() {
			e.closed(r) // no process that could have an instance of it
		}
		return
	}
	leaving := r.removed || r.next != nil
	switch {
	case leaving && !r.opened && r.down():
		e.closed(r)
	case leaving && r.opened && r.down() && e.phase != Undecided && !e.hasControls(r):
		r.op = e.begin(r, OpClose, r.spec.DeadlockTimeout, Call{})
	case !r.opened && r.openAt <= e.now.Boot:
		e.open(r)
	}
}

// open calls Open: recovering, if what is running may be left running. "Make sure
// that it is offline" is Open's task otherwise (RA section 2.1).
func (e *Engine) open(r *resource) {
	same := func(t string) bool { return strings.EqualFold(t, r.spec.TypeName) }
	if len(r.c.types) > 0 && !slices.ContainsFunc(r.c.types, same) {
		e.openFailed(r, failure{reason: ReasonTypeMissing, code: CodeTypeNotSupported,
			message: fmt.Sprintf("the provider in container %s does not serve type %s", r.c.name, r.spec.TypeName)})
		return
	}
	a := Call{Name: r.spec.Name, Generation: r.spec.Generation, Properties: r.spec.Properties}
	if r.recoverable() {
		a.Flags = OpenRecoverMonitorState
	}
	r.reported = nil
	r.op = e.begin(r, OpOpen, r.spec.DeadlockTimeout, a)
}

// recoverable: it may be running, and rightly so: started under an epoch.
func (r *resource) recoverable() bool { return r.run && r.startedEpoch != 0 }

func (e *Engine) openReturned(r *resource, a Returned) {
	if a.Status != CodeSuccess {
		e.openFailed(r, failure{reason: ReasonOpenFailed, code: a.Status, message: a.Message})
		return
	}
	recovering := r.recoverable()
	r.opened, r.confirm, r.resid, r.openAt, r.openBackoff = true, false, a.ResourceID, 0, 0
	if r.resid == "" {
		r.resid = r.spec.UID
	}
	e.touch(r, false)
	e.journal = true
	found := a.State
	if r.reported != nil {
		// The provider's workers went on while Open was under way: what they
		// reported since is newer than Open's answer.
		found, a.CheckPoint = r.reported.State, r.reported.CheckPoint
		r.reported = nil
	}
	if found == 0 && !recovering {
		found = ReportedOffline
	}
	if found == ReportedOffline || (found == ReportedInitializing && !recovering) {
		e.foundOffline(r)
		return
	}
	e.foundActive(r, stateOf(found), a.CheckPoint)
}

// foundOffline: Open says that nothing of it runs.
func (e *Engine) foundOffline(r *resource) {
	was := r.state
	r.run, r.kill, r.unexpected = false, false, false
	switch {
	case was == Initializing:
		e.setState(r, Offline, ReasonOpened)
	case was == OfflinePending:
		e.stopped(r)
	case r.up():
		e.fail(r, failure{reason: ReasonVanished, code: CodeResourceFailed, verified: true,
			message: "it was found stopped when the monitor came back"})
		r.kill = false
	}
	r.doomed = false
}

// foundActive: Open says that something of it runs. It is adopted if this host
// owns the group, or may turn out to, under the epoch under which it was
// started. Everything else that runs without ownership is terminated at once
// (ownership section 8).
func (e *Engine) foundActive(r *resource, s State, checkPoint uint32) {
	r.run, r.unexpected, r.c.dirty = true, false, true
	rightful := r.startedEpoch != 0 && r.startedEpoch == e.epoch && e.phase != Observer
	switch {
	case rightful && r.state == Failed:
		r.kill = true // it failed before; what is left of it goes
	case rightful && (s == Online || s == OnlinePending || s == OfflinePending):
		e.adopt(r, s, checkPoint)
	case rightful && r.up():
		e.fail(r, failure{reason: ReasonReportedFailed, code: CodeResourceFailed, verified: true,
			message: "it was found failed when the monitor came back"})
	case rightful:
		e.setState(r, Failed, ReasonReportedFailed)
		r.kill = true
	case r.startedEpoch != 0 && e.phase != Observer:
		e.disown(r)
	default:
		r.unexpected = true
		e.note(LevelError, r, ReasonUnexpectedlyActive,
			r.spec.Name+" was found running although this host does not own the group: it is terminated", true)
		e.setState(r, OfflinePending, ReasonUnexpectedlyActive)
		r.kill = true
	}
}

// adopt goes on with what was found as if the monitor had never been away.
func (e *Engine) adopt(r *resource, s State, checkPoint uint32) {
	was := r.state
	r.doomed = false // if it still is, that follows
	e.setState(r, s, ReasonAdopted)
	switch {
	case s == Online && was == Online:
		r.startPolls(e)
	case s != Online:
		r.checkPoint, r.checked = checkPoint, true
		r.pendingBy = e.after(r.spec.PendingTimeout)
	}
}

// openFailed: a failure like any other for the owner who wants it online; on a
// standby it is only tried again.
func (e *Engine) openFailed(r *resource, f failure) {
	r.openBackoff = min(max(2*r.openBackoff, int64(openRetry)), int64(openRetryMax))
	r.openAt = e.after(time.Duration(r.openBackoff))
	r.lastStatus = f.code
	e.touch(r, false)
	e.note(LevelError, r, f.reason, fmt.Sprintf("Open of %s failed: %s %s", r.spec.Name, f.code, f.message), true)
	if r.confirm && r.up() {
		// It was up, and cannot be controlled any more.
		e.restart(r.c, f.reason, nil)
		return
	}
	// A Failed resource that waits for its next series of restarts has been
	// counted; only an attempt that the policy made counts again.
	attempt := r.state != Failed || (r.verdict == VerdictRestart && r.nextTry.Boot <= e.now.Boot)
	if e.phase == Owner && r.wanted() && attempt {
		e.fail(r, f)
		if r.verdict == VerdictRestart {
			r.openAt = r.nextTry.Boot
		}
	}
}

func (e *Engine) closeReturned(r *resource) {
	r.opened, r.dumps.processes = false, nil
	r.opened = false
	r.forgetArbitration()
	e.closed(r)
}

// closed: no instance of it is left; forget it, or begin again as planned.
func (e *Engine) closed(r *resource) {
	e.journal, e.again = true, true
	switch {
	case r.removed:
		e.resources = slices.DeleteFunc(e.resources, func(x *resource) bool { return x == r })
		e.group = true
		e.link()
	case r.next != nil:
		r.spec, r.next = *r.next, nil
		r.c = e.container(r.spec.Container)
		r.opened, r.resid, r.openAt, r.openBackoff = false, "", 0, 0
		r.resetSeries()
		e.forgetNodeLocal(r)
		e.setState(r, Initializing, ReasonStopped)
		e.touch(r, true)
		e.link()
	}
}
