// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core

import (
	"slices"

	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/engine"
)

// applications are the application states by their numbers, with their conditions and
// what these say.
var applications = []struct {
	state     engine.ApplicationState
	name      v1alpha1.ApplicationStateType
	condition string
	yes, no   string
}{
	{engine.ApplicationOSHeartBeat, v1alpha1.ApplicationOSHeartBeat, v1alpha1.ConditionOSHeartBeat,
		"The operating system inside gives signs of life", "The operating system inside gives no signs of life"},
	{engine.ApplicationReady, v1alpha1.ApplicationReady, v1alpha1.ConditionApplicationReady,
		"The application inside is ready", "The application inside is not ready"},
}

// applicationStates is what the provider said of the application inside.
func applicationStates(r engine.ResourceSnapshot) []v1alpha1.ApplicationStatus {
	var out []v1alpha1.ApplicationStatus
	for _, a := range applications {
		for _, x := range r.ApplicationStates {
			if x.State == a.state {
				out = append(out, v1alpha1.ApplicationStatus{Type: a.name, Active: x.Active, Time: micro(x.Time)})
			}
		}
	}
	return out
}

// applicationConditions is the same as conditions: absent unless the provider said something.
func applicationConditions(states []v1alpha1.ApplicationStatus) []Condition {
	var out []Condition
	for _, a := range applications {
		i := slices.IndexFunc(states, func(x v1alpha1.ApplicationStatus) bool { return x.Type == a.name })
		if i < 0 {
			out = append(out, Condition{Type: a.condition, Absent: true})
			continue
		}
		c := Condition{Type: a.condition, Status: states[i].Active, Reason: v1alpha1.ReasonReported, Message: a.no}
		if c.Status {
			c.Message = a.yes
		}
		out = append(out, c)
	}
	return out
}
