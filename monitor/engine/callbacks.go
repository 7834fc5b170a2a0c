// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"strings"
	"time"
)

// callback serves the callback functions of RA section 1.
func (e *Engine) callback(cb Callback) {
	if cb.kinds() != 1 {
		e.reply(cb, CodeInvalidParameter, ExitContinue)
		return
	}
	switch {
	case cb.EndControlCall != nil:
		e.endControlCall(cb)
	case cb.ExtendControlCall != nil:
		e.extendControlCall(cb)
	case cb.EnumResources != nil:
		e.enumResources(cb)
	case cb.TypeName != "":
		e.typeCallback(cb)
	default:
		e.resourceCallback(cb)
	}
}

// kinds counts the fields that are set.
func (cb Callback) kinds() int {
	n := 0
	for _, set := range []bool{
		cb.SetResourceStatus != nil, cb.SignalFailure != nil, cb.LogEvent != nil, cb.QuorumResourceLost != nil,
		cb.SetLockedMode != nil, cb.SetNodeLocalProperties != nil, cb.SetInternalState != nil, cb.RequestDump != nil,
		cb.ChangeProcessForDumps != nil, cb.RaiseNotification != nil, cb.EndControlCall != nil,
		cb.ExtendControlCall != nil, cb.EnumResources != nil,
	} {
		if set {
			n++
		}
	}
	return n
}

// resourceCallback serves what concerns one resource.
func (e *Engine) resourceCallback(cb Callback) {
	r := e.find(cb.Handle)
	if r == nil || r.c.name != cb.Container {
		// The workers of such a handle have nothing to do here.
		e.reply(cb, CodeInvalidHandle, ExitTerminate)
		return
	}
	code, exit := CodeSuccess, ExitContinue
	switch {
	case cb.SetResourceStatus != nil:
		code, exit = e.status(r, *cb.SetResourceStatus)
	case cb.SignalFailure != nil:
		code = e.signalled(r, *cb.SignalFailure)
	case cb.LogEvent != nil:
		e.logEvent(r, *cb.LogEvent)
	case cb.QuorumResourceLost != nil:
		code = e.quorumResourceLost(r)
	case cb.SetLockedMode != nil:
		code = e.setLockedMode(r, *cb.SetLockedMode)
	case cb.SetNodeLocalProperties != nil:
		code = e.setNodeLocalProperties(r, *cb.SetNodeLocalProperties)
	case cb.SetInternalState != nil:
		code = e.setInternalState(r, *cb.SetInternalState)
	case cb.RequestDump != nil:
		code = e.requestDump(r, *cb.RequestDump)
	case cb.ChangeProcessForDumps != nil:
		code = e.changeProcessForDumps(r, *cb.ChangeProcessForDumps)
	default:
		code = CodeInvalidParameter // it concerns a type, and none is named
	}
	e.reply(cb, code, exit)
}

// typeCallback serves what concerns a type. Its name is that of a resource of the
// container: a provider speaks for no other.
func (e *Engine) typeCallback(cb Callback) {
	name := ""
	for _, r := range e.resources {
		if r.c.name == cb.Container && strings.EqualFold(r.spec.TypeName, cb.TypeName) {
			name = r.spec.TypeName
		}
	}
	code := CodeInvalidParameter
	switch {
	case name == "":
		code = CodeTypeNotFound
	case cb.RaiseNotification != nil:
		code = e.raiseNotification(name, *cb.RaiseNotification)
	case cb.ChangeProcessForDumps != nil:
		code = e.changeTypeProcessForDumps(name, cb.Container, *cb.ChangeProcessForDumps)
	}
	e.reply(cb, code, ExitContinue)
}

// reply answers a callback: after the journal, if what it did set a barrier, because
// the provider may forget it then. Of what the journal does not take the provider is told
// to say it again; the end of a control call has no such answer.
func (e *Engine) reply(cb Callback, code Code, exit ExitState) {
	answer := &Reply{ID: cb.ID, Code: code, ExitState: exit}
	if !e.barrier {
		e.out = append(e.out, Action{Reply: answer})
		return
	}
	if cb.EndControlCall == nil {
		answer.Otherwise = CodeResourcesLacking
	}
	e.held = append(e.held, Action{Reply: answer})
}

// status is SetResourceStatus(Ex): RA sections 1.1, 1.2 and 4.2.
func (e *Engine) status(r *resource, s SetResourceStatus) (Code, ExitState) {
	s.Message = clip(s.Message, maxMessage)
	if r.op != nil && r.op.op == OpOpen && r.recoverable() {
		r.reported = &s // Open is finding out what is going on; this is part of it
		return CodeSuccess, ExitContinue
	}
	if r.terminating || r.kill {
		return CodeSuccess, ExitTerminate
	}
	if !known(s.State) {
		e.noteReport(r, ReasonBadReport, s)
		return CodeInvalidParameter, ExitContinue
	}
	switch r.state {
	case OnlinePending:
		e.keepReport(r, s)
		return CodeSuccess, e.reportStarting(r, s)
	case OfflinePending:
		e.keepReport(r, s)
		return CodeSuccess, e.reportStopping(r, s)
	case Online:
		if r.op != nil && s.State == ReportedOnline {
			return CodeSuccess, ExitContinue // the final report twice, before Online returned
		}
		e.noteReport(r, ReasonUnexpectedReport, s)
		return CodeInvalidState, ExitContinue
	}
	e.noteReport(r, ReasonUnexpectedReport, s)
	return CodeInvalidState, ExitTerminate
}

// known: a value that RESOURCE_STATUS may have (RA section 3.1).
func known(state int32) bool {
	switch state {
	case ReportedOnline, ReportedOffline, ReportedFailed, ReportedOnlinePending, ReportedOfflinePending,
		ReportedCannotComeOnlineOnAnyNode, ReportedCannotComeOnlineOnThisNode:
		return true
	}
	return false
}

// keepReport keeps what was said beside the state; a new checkpoint restarts the
// PendingTimeout.
func (e *Engine) keepReport(r *resource, s SetResourceStatus) {
	if !r.checked || s.CheckPoint != r.checkPoint {
		r.pendingBy = e.after(r.spec.PendingTimeout)
		r.checkPoint, r.checked = s.CheckPoint, true
		e.touch(r, false)
	}
	if s.Ex && s.Flags&^r.statusFlags&FlagDumpNow != 0 {
		e.dumpAsked(r)
	}
	if s.Ex && (s.ApplicationErrorCode != r.appCode || s.Flags != r.statusFlags) {
		r.appCode, r.statusFlags = s.ApplicationErrorCode, s.Flags
		e.touch(r, false)
	}
	r.eventHandle = r.eventHandle || s.EventHandle
}

func (e *Engine) reportStarting(r *resource, s SetResourceStatus) ExitState {
	f := failure{code: CodeResourceFailed, message: s.Message, appCode: s.ApplicationErrorCode, verified: true,
		noDump: s.Ex && s.Flags&FlagNoReport != 0}
	switch s.State {
	case ReportedOnlinePending:
		return ExitContinue
	case ReportedOnline:
		e.setState(r, Online, ReasonStarted)
		return ExitContinue
	case ReportedFailed:
		f.reason = ReasonReportedFailed
	case ReportedCannotComeOnlineOnThisNode:
		f.reason, f.code = ReasonCannotOnThis, CodeCannotHostResource
	case ReportedCannotComeOnlineOnAnyNode:
		f.reason, f.code = ReasonCannotOnAny, CodeCannotHostResource
	default:
		f.reason, f.message = ReasonWrongDirection, fmt.Sprintf("state %d was reported while it was coming online", s.State)
	}
	if f.message == "" {
		f.message = "the provider reported it"
	}
	f.lack(s)
	e.fail(r, f)
	r.information |= f.information
	return ExitTerminate
}

func (e *Engine) reportStopping(r *resource, s SetResourceStatus) ExitState {
	switch s.State {
	case ReportedOfflinePending:
		return ExitContinue
	case ReportedOffline:
		e.stopped(r)
		return ExitContinue
	}
	f := failure{
		reason: ReasonForcedOffline, code: CodeResourceFailed, message: s.Message, appCode: s.ApplicationErrorCode,
	}
	if s.State != ReportedFailed {
		f.reason, f.message = ReasonWrongDirection, fmt.Sprintf("state %d was reported while it was going offline", s.State)
	}
	f.lack(s)
	e.forced(r, f)
	r.information |= f.information
	return ExitTerminate
}

// noteReport notes a report that is out of place, once in each state.
func (e *Engine) noteReport(r *resource, why Reason, s SetResourceStatus) {
	if r.noted {
		return
	}
	r.noted = true
	e.note(LevelWarning, r, why, fmt.Sprintf("%s reported state %d while it is %s", r.spec.Name, s.State, r.state), false)
}

// The bounds of LogEvent: RA section 1.4 has the size, the rate is ours. It holds for
// what the engine notes of a resource as well, but apart: neither drowns the other.
const (
	maxLogLine   = 500
	maxLogRate   = 50
	logRateEvery = time.Second
)

// logs bounds the lines of the log that are about a resource: those of its provider,
// and those that its provider gives the engine reason for.
type logs struct{ words, notes lines }

// lines is so many lines since a time.
type lines struct {
	since   int64
	n       int
	dropped int
}

// admit says whether one more may be logged, and how many were dropped before it.
func (l *lines) admit(now int64) (ok bool, dropped int) {
	if l.since == 0 || add(l.since, logRateEvery) <= now {
		dropped = l.dropped
		*l = lines{since: now}
	}
	if l.n >= maxLogRate {
		l.dropped++
		return false, dropped
	}
	l.n++
	return true, dropped
}

// logEvent passes on a line of a provider, type and name before it.
func (e *Engine) logEvent(r *resource, l LogEvent) {
	if e.admit(r, &r.words) {
		level := min(l.Level, LevelSevere)
		e.say(level, r, ReasonLog, r.spec.TypeName+" "+r.spec.Name+": "+clip(l.Text, maxLogLine), level >= LevelError)
	}
}

// admit says whether one more line about a resource may be logged. It tells of those
// that were dropped before.
func (e *Engine) admit(r *resource, l *lines) bool {
	ok, dropped := l.admit(e.now.Boot)
	if dropped > 0 {
		e.say(LevelWarning, r, ReasonLogDropped, fmt.Sprintf("%d lines of %s were dropped", dropped, r.spec.Name), false)
	}
	return ok
}
