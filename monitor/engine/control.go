// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// maxControls is how many control calls may be under way in the group.
	maxControls = 16
	// maxFinished is how many outcomes wait for Recorded, and how many ended
	// contexts are remembered.
	maxFinished = 64
	// maxResults is how many outcomes a resource, or a type, shows.
	maxResults = 4
	// maxTypeResults is of how many types outcomes are shown.
	maxTypeResults = 64
)

// control is one control call, from Control to Recorded.
type control struct {
	ask      Control
	spec     ControlSpec
	phase    ControlPhase
	r        *resource // of a resource's, nil once that is gone
	context  int64
	deadline int64
	c        *container
	nonce    string
	call     *call
	finish   *Finish
	extension
	// withdrawn: it was deleted, and nobody waits for its outcome.
	withdrawn bool
	// unheard: the monitor was restarted before Begin had returned. Its answer may have
	// been the outcome, or that EndControlCall will follow.
	unheard bool
}

// target is what is called.
func (k *control) target() Target {
	switch {
	case k.ask.Resource != "":
		return TargetResource
	case k.ask.TypeName != "":
		return TargetType
	}
	return TargetGroup
}

// asked is the code as it was asked for.
func (k *control) asked() string { return cmp.Or(k.ask.Name, fmt.Sprintf("0x%08x", k.ask.Code)) }

// endedContext is remembered so that a late EndControlCall gets the right answer.
type endedContext struct {
	context int64
	typed   bool // of a type: the contexts of the two kinds are apart
	code    Code
}

// typeResults are the last outcomes of control calls of one type.
type typeResults struct {
	name    string
	results []ControlResult
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
		e.finishControl(k, Finish{Kind: FinishUnknown, Status: CodeOperationAborted,
			Message: "the monitor was restarted before it was known to have run"})
		return
	}
	k.r = e.find(a.Resource)
	if of := e.resourcesOf(a.TypeName); a.TypeName != "" && len(of) > 0 {
		k.ask.TypeName = of[0].spec.TypeName // in any case, as it was asked for
	}
	if code, why := e.refusal(k); code != CodeSuccess {
		e.refuse(k, code, why)
		return
	}
	busy := 0
	for _, x := range e.controls {
		if x.phase != ControlFinished {
			busy++
		}
	}
	if busy > maxControls {
		e.refuse(k, CodeGroupBusy, "too many control calls are under way")
		return
	}
	e.out = append(e.out, Action{Claim: &Claim{ID: a.ID}})
}

func (e *Engine) refuse(k *control, code Code, why string) {
	e.finishControl(k, Finish{Kind: FinishRefused, Status: code, Message: why})
}

// refusal says why the call cannot be begun now (RA sections 6.1 to 6.3).
func (e *Engine) refusal(k *control) (Code, string) {
	switch target := k.target(); {
	case k.ask.ID == "":
		return CodeInvalidParameter, "no id"
	case target == TargetResource && (k.r == nil || k.r.removed):
		return CodeResourceNotFound, "there is no such resource"
	case target == TargetType && len(e.resourcesOf(k.ask.TypeName)) == 0:
		return CodeTypeNotFound, "the group has no resource of the type " + k.ask.TypeName
	}
	declared, code, why := e.findCode(k)
	switch {
	case code != CodeSuccess:
		return code, why
	case k.spec.Access == AccessWrite && k.ask.Read:
		return CodeAccessDenied, "the code " + k.spec.Name + " changes something, and the call has access Read: " +
			"create one with access Write"
	case k.spec.Access == AccessWrite && e.phase != Owner:
		return CodeHostNodeNotOwner, "the code " + k.spec.Name + " changes something, and this host does not own the group"
	case !declared:
		return CodeSuccess, ""
	}
	c, _ := e.runner(k)
	switch {
	case c == nil:
		return CodeResourceNotAvailable, "its provider is not available"
	case k.ask.User != nil && !c.can(capabilityAsUser):
		return CodeNotImplemented, "the provider in container " + c.name + " cannot act as a user (" + capabilityAsUser +
			"): leave spec.asUser out in another call"
	}
	return CodeSuccess, ""
}

// runner is the container that runs the call and the most that Begin may take there;
// nil if none can now. A type's runs in the first one that hosts a resource of it.
func (e *Engine) runner(k *control) (*container, time.Duration) {
	if k.target() == TargetType {
		for _, r := range e.resourcesOf(k.ask.TypeName) {
			if r.c.callable() {
				return r.c, r.spec.DeadlockTimeout
			}
		}
		return nil, 0
	}
	if r := k.r; r != nil && r.callable() && (r.op == nil || r.op.op != OpClose) {
		return r.c, r.spec.DeadlockTimeout
	}
	return nil, 0
}

// resourcesOf are the resources of a type, whose name has any case.
func (e *Engine) resourcesOf(typeName string) []*resource {
	var out []*resource
	for _, r := range e.resources {
		if !r.removed && r.next == nil && strings.EqualFold(r.spec.TypeName, typeName) {
			out = append(out, r)
		}
	}
	return out
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
		e.refuse(k, code, why)
		return
	}
	if e.asksProvider(k) {
		e.beginControl(k)
		return
	}
	e.answer(k)
}

// beginControl calls the provider.
func (e *Engine) beginControl(k *control) {
	c, limit := e.runner(k)
	timeout := k.ask.Timeout
	if timeout <= 0 {
		timeout = limit
	}
	k.deadline = e.after(timeout)
	k.phase, k.context, k.c, k.nonce = ControlRunning, e.context(), c, c.nonce
	a := Call{Control: &ControlArgs{Context: k.context, Code: k.spec.Code, Name: k.spec.Name, Input: k.ask.Input}}
	asUser := k.ask.User != nil && c.can(capabilityAsUser)
	if asUser {
		a.Control.User = k.ask.User
	}
	if k.target() == TargetResource {
		op := OpBeginResourceControl
		if asUser {
			op = OpBeginResourceControlAsUser
		}
		k.call = e.begin(k.r, op, limit, a)
	} else {
		op := OpBeginResourceTypeControl
		if asUser {
			op = OpBeginResourceTypeControlAsUser
		}
		a.TypeName = k.ask.TypeName
		k.call = e.beginIn(c, op, limit, a)
	}
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
func (e *Engine) remember(x endedContext) {
	e.ended = append(e.ended, x)
	e.ended = e.ended[max(0, len(e.ended)-maxFinished):]
}

// late is what the end, or extension, of a context that does not run is answered.
func (e *Engine) late(typed bool, context int64) Code {
	for _, x := range e.ended {
		if x.context == context && x.typed == typed {
			return x.code
		}
	}
	return CodeInvalidParameter
}

// controlReturned: Begin returned, at the end of the work or before it (RA 6.3).
func (e *Engine) controlReturned(k *control, a Returned) {
	if k == nil || k.phase != ControlRunning {
		return
	}
	k.call = nil
	switch {
	case a.Outcome != Answered:
		e.finishControl(k, Finish{
			Kind: FinishUnknown, Status: a.Status, Message: "the provider did not answer: " + a.Message,
		})
	case !a.Async:
		e.provided(k, Finish{Status: a.Status, Message: a.Message, Output: a.Output, BytesReturned: a.BytesReturned})
	}
}

// provided is what the provider answered: what it leaves to the monitor, the monitor
// does (RA section 6.3).
func (e *Engine) provided(k *control, f Finish) {
	if f.Status == CodeInvalidFunction && e.answer(k) {
		return
	}
	if f.Status != CodeMoreData {
		f.BytesReturned = 0
	}
	f.Kind = FinishCompleted
	e.finishControl(k, f)
}

// running finds the call with that context that runs in the container.
func (e *Engine) running(typed bool, context int64, container string) *control {
	i := slices.IndexFunc(e.controls, func(k *control) bool {
		return k.phase == ControlRunning && k.context == context && k.c != nil && k.c.name == container &&
			(k.target() == TargetType) == typed
	})
	if i < 0 {
		return nil
	}
	return e.controls[i]
}

// endControlCall is RA sections 1.5 and 1.6. Its reply waits for the journal: after it
// the provider may forget the result.
func (e *Engine) endControlCall(cb Callback) {
	a := cb.EndControlCall
	if k := e.running(a.Type, a.Context, cb.Container); k != nil {
		e.provided(k, Finish{Status: a.Status, Output: a.Output, BytesReturned: a.BytesReturned})
		e.barrier = true
		e.reply(cb, CodeSuccess, ExitContinue)
		return
	}
	if r := e.settingOf(a.Context, cb.Container); r != nil && !a.Type {
		e.setEndedBy(r, a.Status)
		e.reply(cb, CodeSuccess, ExitContinue)
		return
	}
	e.reply(cb, e.late(a.Type, a.Context), ExitContinue)
}

// finishControl ends it, once.
func (e *Engine) finishControl(k *control, f Finish) {
	f.ID, f.Message = k.ask.ID, clip(f.Message, maxMessage)
	if k.context != 0 {
		x := endedContext{context: k.context, typed: k.target() == TargetType, code: CodeInvalidParameter}
		if f.Kind == FinishTimedOut {
			x.code = CodeCallTimedOut
		}
		e.remember(x)
	}
	result := ControlResult{
		ID: k.ask.ID, Name: cmp.Or(k.spec.Name, k.asked()), Code: k.spec.Code, Kind: f.Kind, Status: f.Status, Time: e.now,
	}
	switch r := k.r; {
	case r != nil:
		r.results = lastResults(append(r.results, result))
		e.touch(r, true)
	case k.target() == TargetType && f.Status != CodeTypeNotFound:
		e.keepTypeResult(k.ask.TypeName, result)
		e.group = true
	}
	k.phase, k.finish, k.call, k.r, k.c = ControlFinished, &f, nil, nil, nil
	k.ask.Input = nil
	e.journal, e.again = true, true
	if k.withdrawn {
		e.controls = slices.DeleteFunc(e.controls, func(x *control) bool { return x == k })
		return
	}
	e.out = append(e.out, Action{Finish: &f})

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

func lastResults(all []ControlResult) []ControlResult {
	return slices.Clone(all[max(0, len(all)-maxResults):])
}

// keepTypeResult keeps what a control call of a type came to.
func (e *Engine) keepTypeResult(name string, r ControlResult) {
	i, found := slices.BinarySearchFunc(e.typeResults, name, func(t typeResults, name string) int {
		return strings.Compare(strings.ToLower(t.name), strings.ToLower(name))
	})
	if !found {
		if len(e.typeResults) >= maxTypeResults {
			return
		}
		e.typeResults = slices.Insert(e.typeResults, i, typeResults{name: name})
	}
	t := &e.typeResults[i]
	t.results = lastResults(append(t.results, r))
}

func (e *Engine) recorded(id string) {
	n := len(e.controls)
	e.controls = slices.DeleteFunc(e.controls, func(k *control) bool {
		return k.ask.ID == id && k.phase == ControlFinished
	})
	e.journal = e.journal || len(e.controls) != n
}

// loseControls: whether what ran in the container has run, nobody knows.
func (e *Engine) loseControls(c *container, why string) {
	for _, k := range slices.Clone(e.controls) {
		if k.phase == ControlRunning && k.c == c {
			e.finishControl(k, Finish{Kind: FinishUnknown, Status: CodeProviderFailed, Message: why})
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
		if k.phase != ControlRunning {
			continue
		}
		if k.deadline <= e.now.Boot {
			f := Finish{Kind: FinishTimedOut, Status: CodeCallTimedOut, Message: "it did not end in its time"}
			if k.unheard {
				f.Kind, f.Message = FinishUnknown, "the monitor was restarted while it ran, and its end was not told"
			}
			e.finishControl(k, f)
		} else if k.unsaved && k.savedAt <= e.now.Boot {
			e.saveExtension(k)
		}
	}
}
