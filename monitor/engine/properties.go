// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// setPrivateProperties is CLUSCTL_RESOURCE_SET_PRIVATE_PROPERTIES (RA section 6.4),
// as a ControlArgs has it.
const (
	setPrivateProperties     uint32 = 0x01400086
	setPrivatePropertiesName        = "SET_PRIVATE_PROPERTIES"
)

// properties is what is known of the private properties of what runs.
type properties struct {
	// given are those that it works with: of the last Online, or taken over since.
	given json.RawMessage
	// asked is the latest attempt to have it take over others; nil if there was
	// none since it was given what it has. It is kept from before the call on, so that
	// a monitor that died meanwhile knows that the provider may have others.
	asked *AskedProperties
	// setting is the call under way.
	setting *setting
	// stale names what differs between those given and those planned, and due says
	// whether the provider is to be asked.
	stale []string
	due   bool
}

// setting is a call that sets properties. It ends with its answer, or, if that says
// so, with EndControlCall; deadline bounds the latter.
type setting struct {
	call       *call // nil once Begin has returned
	early      *Code // EndControlCall came before that
	context    int64
	deadline   int64
	generation int64
}

// give: what is brought online gets what is planned.
func (r *resource) give() {
	r.given, r.asked = r.spec.Properties, nil
	r.compare()
}

// compare finds out what is to be done about properties. Only a change that the type
// declares live is: everything else waits for the next Online.
func (r *resource) compare() {
	r.stale = changed(r.given, r.spec.Properties)
	latest, known := r.given, true
	if r.asked != nil {
		latest, known = r.asked.Properties, r.asked.Answered
	}
	live := !slices.ContainsFunc(r.stale, func(name string) bool { return !slices.Contains(r.spec.Live, name) })
	r.due = live && (!known || len(changed(latest, r.spec.Properties)) > 0)
}

// changed names the top-level properties that differ, sorted.
func changed(a, b json.RawMessage) []string {
	if bytes.Equal(a, b) {
		return nil
	}
	x, y := topLevel(a), topLevel(b)
	names := map[string]bool{}
	for name, v := range x {
		if w, ok := y[name]; !ok || !bytes.Equal(v, w) {
			names[name] = true
		}
	}
	for name := range y {
		if _, ok := x[name]; !ok {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// topLevel splits an object. The plan has nothing else; what is none has one name
// that no type can declare live.
func topLevel(object json.RawMessage) map[string]json.RawMessage {
	if len(object) == 0 {
		return nil
	}
	var m map[string]json.RawMessage
	if json.Unmarshal(object, &m) != nil {
		return map[string]json.RawMessage{"": object}
	}
	return m
}

// setProperties is the part of settle that has a running resource take over live
// properties: one call at a time, and none while it is on its way down.
func (e *Engine) setProperties(r *resource) {
	if !r.due || r.setting != nil || r.state != Online || !r.keep || r.op != nil || !r.polls() {
		return
	}
	s := &setting{context: e.context(), deadline: e.after(r.spec.DeadlockTimeout), generation: r.spec.Generation}
	input := r.spec.Properties
	if len(input) == 0 {
		input = json.RawMessage("{}")
	}
	r.setting, r.asked = s, &AskedProperties{Properties: r.spec.Properties}
	s.call = e.begin(r, OpBeginResourceControl, r.spec.DeadlockTimeout, Call{Control: &ControlArgs{
		Context: s.context, Code: setPrivateProperties, Name: setPrivatePropertiesName, Input: bytes.Clone(input),
	}})
	r.due = false
	e.touch(r, true)
}

// setReturned: BeginResourceControl returned, at the end of the work or before it.
func (e *Engine) setReturned(r *resource, a Returned) {
	s := r.setting
	s.call = nil
	switch {
	case s.early != nil:
		e.setEnded(r, *s.early)
	case a.Outcome == Answered && a.Async && r.state == Online:
		// EndControlCall will follow.
	default:
		e.setEnded(r, a.Status)
	}
}

// setEndedBy is EndControlCall of a setting. One that overtakes the answer of Begin
// ends nothing yet: a call is under way until it has returned.
func (e *Engine) setEndedBy(r *resource, code Code) {
	switch s := r.setting; {
	case s.call == nil:
		e.setEnded(r, code)
	case s.early == nil:
		s.early = &code
	}
}

// setEnded is the outcome. What it is for a resource that is on its way down does
// not matter: its next Online gets what is planned.
func (e *Engine) setEnded(r *resource, code Code) {
	s := r.setting
	r.setting = nil
	e.remember(endedContext{context: s.context, code: CodeInvalidParameter})
	e.touch(r, true)
	e.again = true
	if r.state != Online {
		e.opEnded(r)
		return
	}
	r.asked.Answered, r.asked.Status = true, code
	names := cmp.Or(strings.Join(changed(r.given, r.asked.Properties), ", "), "those of before")
	switch code {
	case CodeSuccess:
		e.note(LevelInformation, r, ReasonApplied, r.spec.Name+" took over its new properties: "+names, false)
		r.given, r.asked, r.runningGeneration = r.asked.Properties, nil, s.generation
	case CodePropertiesStored, CodeInvalidFunction:
	default:
		e.note(LevelWarning, r, ReasonPropertiesRefused,
			r.spec.Name+" did not take over its new properties: "+names+": "+code.String(), true)
	}
	r.compare()
}

// forgetSetting: it is not online any more, and whatever the provider still does of
// its own accord is undone by its stop. A call that has not returned goes on.
func (e *Engine) forgetSetting(r *resource) {
	if s := r.setting; s != nil && s.call == nil {
		r.setting = nil
		e.remember(endedContext{context: s.context, code: CodeInvalidParameter})
	}
}

// settingOf finds the setting that was answered with "later".
func (e *Engine) settingOf(context int64, container string) *resource {
	i := slices.IndexFunc(e.resources, func(r *resource) bool {
		return r.setting != nil && r.setting.context == context && r.c.name == container
	})
	if i < 0 {
		return nil
	}
	return e.resources[i]
}

// propertiesSnapshot tells it, nil if all is as planned, or nothing runs. What is on its
// way down still does: after a restart of the monitor it may be found online.
func (r *resource) propertiesSnapshot() *PropertiesSnapshot {
	if !r.up() && r.state != OfflinePending || len(r.stale) == 0 && r.asked == nil {
		return nil
	}
	s := &PropertiesSnapshot{Running: r.given, Stale: slices.Clone(r.stale), Reason: ReasonNextOnline}
	if a := r.asked; a != nil {
		c := *a
		s.Asked = &c
	}
	switch {
	case r.setting != nil || r.due:
		s.Reason = ReasonUpdating
	case len(r.stale) == 0:
		s.Reason = ReasonApplied
	case r.asked != nil && len(changed(r.asked.Properties, r.spec.Properties)) == 0:
		if c := r.asked.Status; c != CodePropertiesStored && c != CodeInvalidFunction {
			s.Reason = ReasonPropertiesRefused
		}
	}
	return s
}

// restoreProperties takes them from a snapshot: one without is of a resource that has
// what is planned.
func (r *resource) restoreProperties(s *PropertiesSnapshot) {
	r.give()
	if s == nil {
		return
	}
	r.given = bytes.Clone(s.Running)
	if s.Asked != nil {
		a := *s.Asked
		r.asked = &a
	}
	r.compare()
}
