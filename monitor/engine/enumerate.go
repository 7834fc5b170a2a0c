// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import "strings"

// enumResources lists the resources of the group, by the filter of RA section 1.16.
// The one that asks is left out. What stops early stops reading the answer.
func (e *Engine) enumResources(cb Callback) {
	ask := cb.EnumResources
	if ask.Self != "" {
		if r := e.find(ask.Self); r == nil || r.c.name != cb.Container {
			e.reply(cb, CodeInvalidHandle, ExitContinue)
			return
		}
	}
	var found []EnumeratedResource
	for _, r := range e.resources {
		if r.removed || r.spec.UID == ask.Self || ask.TypeName != "" && !strings.EqualFold(r.spec.TypeName, ask.TypeName) {
			continue
		}
		found = append(found, EnumeratedResource{Name: r.spec.Name, TypeName: r.spec.TypeName, State: r.state})
	}
	e.out = append(e.out, Action{Reply: &Reply{ID: cb.ID, Resources: found}})
}
