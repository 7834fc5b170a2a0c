// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"time"
)

// cancelTimeout bounds Cancel: it is best effort.
const cancelTimeout = 5 * time.Second

// withdrawn: the request was deleted. What has not begun does not begin. For what runs
// on a resource Cancel is called (RA section 2.1), once; it ends as the provider says.
func (e *Engine) withdrawn(id string) {
	i := slices.IndexFunc(e.controls, func(k *control) bool { return k.ask.ID == id })
	if i < 0 {
		return
	}
	k := e.controls[i]
	switch {
	case k.phase != ControlRunning:
		e.controls = slices.Delete(e.controls, i, i+1)
	case k.withdrawn:
		return
	default:
		k.withdrawn = true
		if r := k.r; r != nil && r.callable() && k.c.can(capabilityCancel) {
			e.begin(r, OpCancel, cancelTimeout, Call{})
		}
	}
	e.journal = true
}

// cancelReturned notes what Cancel was answered. Nothing depends on it.
func (e *Engine) cancelReturned(r *resource, a Returned) {
	text := "a control call of " + r.spec.Name + " was deleted while it ran: Cancel was answered " + a.Status.String()
	if a.Status == CodeSuccess {
		text = "a control call of " + r.spec.Name + " was deleted while it ran, and is cancelled"
	}
	e.note(LevelInformation, r, ReasonCancelled, text, false)
}
