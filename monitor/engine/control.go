// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const (
	// maxControls is how many control calls may be under way in the group.
	maxControls = 16
	// maxFinished is how many outcomes wait for Recorded, and how many ended
	// contexts are remembered.
	maxFinished = 64
	// maxResults is how many outcomes a resource shows.
	maxResults = 4
)

// control is one control call, from Control to Recorded.
type control struct {
	ask      Control
	spec     ControlSpec
	phase    ControlPhase
	r        *resource // nil once its resource is gone
	context  int64
	deadline int64
	c        *container
	nonce    string
	call     *call
	finish   *Finish
}

// endedContext is remembered so that a late EndControlCall gets the right answer.
type endedContext struct {
	context int64
	code    Code
}

// control takes a request: the claim comes before the call, so that it runs at
// most once, whoever dies.
func (e *Engine) control(a Control) {
	if slices.ContainsFunc(e.controls, func(k *control) bool { return k.ask.ID == a.ID }) {
		return
	}
	k := &control{ask: a, phase: ControlClaiming}
	e.controls = append(e.controls, k)
	e.journal = true
	if a.Claimed {
		e.finishControl(k, FinishUnknown, CodeOperationAborted,
			"the monitor was restarted before it was known to have run", nil)
		return
	}
	k.r = e.find(a.Resource)
	if code, why := e.refusal(k); code != CodeSuccess {
		e.finishControl(k, FinishRefused, code, why, nil)
		return
	}
	busy := 0
	for _, x := range e.controls {
		if x.phase != ControlFinished {
			busy++
		}
	}
	if busy > maxControls {
		e.finishControl(k, FinishRefused, CodeGroupBusy, "too many control calls are under way", nil)
		return
	}
	e.out = append(e.out, Action{Claim: &Claim{ID: a.ID}})
}

// refusal says why the call cannot be begun now (RA sections 6.1 to 6.3).
func (e *Engine) refusal(k *control) (Code, string) {
	switch {
	case k.ask.ID == "":
		return CodeInvalidParameter, "no id"
	case k.r == nil || k.r.removed:
		return CodeResourceNotFound, "there is no such resource"
	}
	i := slices.IndexFunc(k.r.spec.Controls, func(s ControlSpec) bool {
		return k.ask.Name != "" && s.Name == k.ask.Name || k.ask.Name == "" && s.Code == k.ask.Code
	})
	if i < 0 {
		return CodeInvalidFunction, fmt.Sprintf("the type %s declares no control code %s, it has: %s",
			k.r.spec.TypeName, cmp.Or(k.ask.Name, strconv.FormatUint(uint64(k.ask.Code), 10)), k.r.spec.controlNames())
	}
	k.spec = k.r.spec.Controls[i]
	switch {
	case k.spec.Access == AccessWrite && k.ask.Read:
		return CodeAccessDenied, "the code " + k.spec.Name + " changes the resource, and the call has access Read: " +
			"create one with access Write"
	case k.spec.Access == AccessWrite && e.phase != Owner:
		return CodeHostNodeNotOwner, "it changes something, and this host does not own the group"
	case !k.r.callable() || k.r.op != nil && k.r.op.op == OpClose:
		return CodeResourceNotAvailable, "its provider is not available"
	}
	return CodeSuccess, ""
}

func (e *Engine) claimed(a Claimed) {
	i := slices.IndexFunc(e.controls, func(k *control) bool { return k.ask.ID == a.ID && k.phase == ControlClaiming })
	if i < 0 {
		return
	}
	k := e.controls[i]
	e.journal = true
	if !a.OK {
		e.controls = slices.Delete(e.controls, i, i+1)
		return
	}
	if code, why := e.refusal(k); code != CodeSuccess {
		e.finishControl(k, FinishRefused, code, why, nil)
		return
	}
	timeout := k.ask.Timeout
	if timeout <= 0 {
		timeout = k.r.spec.DeadlockTimeout
	}
	k.deadline = e.after(timeout)
	k.phase, k.context, k.c, k.nonce = ControlRunning, e.context(), k.r.c, k.r.c.nonce
	k.call = e.begin(k.r, OpBeginResourceControl, k.r.spec.DeadlockTimeout, Call{
		Control: &ControlArgs{Context: k.context, Code: k.spec.Code, Name: k.spec.Name, Input: k.ask.Input},
	})
	k.call.control = k
}

// context makes the name of a call for EndControlCall. Wall time makes it unique even
// if the journal was lost.
func (e *Engine) context() int64 {
	e.lastContext = max(e.lastContext+1, e.now.Wall)
	if e.lastContext <= 0 { // a clock before 1970, or a counter at its end
		e.lastContext = 1
	}
	return e.lastContext
}

// remember keeps what a late EndControlCall of the context is answered.
func (e *Engine) remember(context int64, code Code) {
	e.ended = append(e.ended, endedContext{context, code})
	e.ended = e.ended[max(0, len(e.ended)-maxFinished):]
}

// controlReturned: Begin returned, at the end of the work or before it (RA 6.3).
func (e *Engine) controlReturned(k *control, a Returned) {
	if k == nil || k.phase != ControlRunning {
		return
	}
	k.call = nil
	switch {
	case a.Outcome != Answered:
		e.finishControl(k, FinishUnknown, a.Status, "the provider did not answer: "+a.Message, nil)
	case !a.Async:
		e.finishControl(k, FinishCompleted, a.Status, a.Message, a.Output)
	}
}

// endControlCall is RA section 1.5. Its reply waits for the journal: after it the
// provider may forget the result.
func (e *Engine) endControlCall(cb Callback) {
	a := cb.EndControlCall
	if a.Type {
		e.reply(cb, CodeInvalidParameter, ExitContinue)
		return
	}
	for _, k := range e.controls {
		if k.phase == ControlRunning && k.context == a.Context && k.c != nil && k.c.name == cb.Container {
			e.finishControl(k, FinishCompleted, a.Status, "", a.Output)
			e.barrier = true
			e.reply(cb, CodeSuccess, ExitContinue)
			return
		}
	}
	if r := e.settingOf(a.Context, cb.Container); r != nil {
		e.setEndedBy(r, a.Status)
		e.reply(cb, CodeSuccess, ExitContinue)
		return
	}
	for _, x := range e.ended {
		if x.context == a.Context {
			e.reply(cb, x.code, ExitContinue)
			return
		}
	}
	e.reply(cb, CodeInvalidParameter, ExitContinue)
}

// finishControl ends it, once.
func (e *Engine) finishControl(k *control, kind FinishKind, status Code, message string, output []byte) {
	f := &Finish{ID: k.ask.ID, Kind: kind, Status: status, Message: clip(message, maxMessage), Output: output}
	if k.context != 0 {
		code := CodeInvalidParameter
		if kind == FinishTimedOut {
			code = CodeCallTimedOut
		}
		e.remember(k.context, code)
	}
	if r := k.r; r != nil {
		r.results = append(r.results, ControlResult{ID: k.ask.ID, Name: k.spec.Name, Code: k.spec.Code,
			Kind: kind, Status: status, Time: e.now})
		r.results = slices.Clone(r.results[max(0, len(r.results)-maxResults):])
		e.touch(r, true)
	}
	k.phase, k.finish, k.call, k.r, k.c = ControlFinished, f, nil, nil, nil
	k.ask.Input = nil
	e.journal, e.again = true, true
	e.out = append(e.out, Action{Finish: f})

	finished := 0
	for _, x := range e.controls {
		if x.phase == ControlFinished {
			finished++
		}
	}
	e.controls = slices.DeleteFunc(e.controls, func(x *control) bool { // the oldest go first
		over := x.phase == ControlFinished && finished > maxFinished
		if over {
			finished--
		}
		return over
	})
}

func (e *Engine) recorded(id string) {
	n := len(e.controls)
	e.controls = slices.DeleteFunc(e.controls, func(k *control) bool {
		return k.ask.ID == id && k.phase == ControlFinished
	})
	e.journal = e.journal || len(e.controls) != n
}

// loseControls: whether what ran in the container has run, nobody knows.
func (e *Engine) loseControls(c *container) {
	for _, k := range slices.Clone(e.controls) {
		if k.phase == ControlRunning && k.c == c {
			e.finishControl(k, FinishUnknown, CodeProviderFailed, "the provider was lost while it ran", nil)
		}
	}
}

// hasControls: a control call of the resource is running. Close waits for it.
func (e *Engine) hasControls(r *resource) bool {
	running := func(k *control) bool { return k.phase == ControlRunning && k.r == r }
	return r.setting != nil || slices.ContainsFunc(e.controls, running)
}

// dueControls ends those whose time is over; what they left running in the
// provider is its affair, and a Begin that hangs is a deadlock as ever.
func (e *Engine) dueControls() {
	for _, k := range slices.Clone(e.controls) {
		if k.phase == ControlRunning && k.deadline <= e.now.Boot {
			e.finishControl(k, FinishTimedOut, CodeCallTimedOut, "it did not end in its time", nil)
		}
	}
}

// controlNames are the names of the control codes, for people.
func (s *Resource) controlNames() string {
	names := make([]string, 0, len(s.Controls))
	for _, c := range s.Controls {
		names = append(names, c.Name)
	}
	return cmp.Or(strings.Join(names, ", "), "none")
}
