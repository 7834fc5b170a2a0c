// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"

	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
)

// Without is a plan without some of its resources: what a deletion can do while
// the specs as they are now make no plan. It is false if there is nothing to
// leave out, or if what stays depends on it. The hosts stay as they are, so that
// a deletion in a broken group moves nothing.
func Without(p planv1.Plan, gone func(uid string) bool) (planv1.Plan, bool) {
	without := p
	without.Resources = []planv1.Resource{}
	for _, r := range p.Resources {
		if !gone(r.UID) {
			without.Resources = append(without.Resources, r)
		}
	}
	if len(without.Resources) == len(p.Resources) {
		return p, false
	}
	for _, r := range p.Resources {
		if gone(r.UID) && len(Dependents(without, r.UID)) > 0 {
			return p, false
		}
	}
	without.Types = slices.DeleteFunc(slices.Clone(p.Types), func(t planv1.Type) bool {
		return !slices.ContainsFunc(without.Resources, func(r planv1.Resource) bool { return r.Type == t.Name })
	})
	return without, true
}

// Dependents are the names of the resources of a plan that depend on one, alone
// or beside others.
func Dependents(p planv1.Plan, uid string) []string {
	var names []string
	for _, r := range p.Resources {
		if slices.ContainsFunc(r.Dependencies, func(term []string) bool { return slices.Contains(term, uid) }) {
			names = append(names, r.Name)
		}
	}
	return names
}
