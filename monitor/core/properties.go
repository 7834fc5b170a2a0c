// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"strings"

	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/engine"
)

// maxNames is how many properties a message names.
const maxNames = 16

// propertiesApplied says whether what runs has the properties of the plan. Nothing is
// to be said of what does not run.
func propertiesApplied(r engine.ResourceSnapshot) Condition {
	c := Condition{Type: v1alpha1.ConditionPropertiesApplied, Status: true, Reason: v1alpha1.ReasonApplied}
	p := r.Properties
	switch {
	case r.State != engine.Online:
		return Condition{Type: c.Type, Absent: true}
	case p == nil || p.Reason == engine.ReasonApplied:
		return c
	}
	c.Status = false
	names := strings.Join(p.Stale[:min(len(p.Stale), maxNames)], ", ")
	if more := len(p.Stale) - maxNames; more > 0 {
		names += fmt.Sprintf(" and %d more", more)
	}
	const restart = "set desiredState to Offline and then to Online, or move the group"
	switch p.Reason {
	case engine.ReasonUpdating:
		c.Reason, c.Message = v1alpha1.ReasonUpdating, "The provider is being given new properties"
	case engine.ReasonPropertiesRefused:
		c.Reason = v1alpha1.ReasonRefused
		was := "did not take over"
		goesOn := "What runs goes on with what it had"
		if s := p.Asked.Status; s == engine.CodeCallTimedOut || s == engine.CodeExceptionInCall {
			// No answer, or none that says how far it came.
			was, goesOn = "did not say that it took over", "Nobody knows with which of them it runs"
		}
		c.Message = fmt.Sprintf("The provider %s %s: %s. %s; its next Online is given the new ones: correct them, or %s",
			was, names, p.Asked.Status, goesOn, restart)
	default:
		c.Reason = v1alpha1.ReasonNextOnline
		c.Message = fmt.Sprintf("Changes of %s wait for the next Online: to make them effective, %s", names, restart)
	}
	return c
}
