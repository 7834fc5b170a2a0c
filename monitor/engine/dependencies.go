// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import "slices"

// link rebuilds the graph and sorts the resources: dependencies before
// dependents, otherwise in the order of the plan. An edge to nothing (a resource
// that was removed long ago, wanted by another that is being removed) is left
// out; an accepted plan has neither those nor cycles.
func (e *Engine) link() {
	for _, r := range e.resources {
		r.terms, r.dependents = nil, nil
	}
	for _, r := range e.resources {
		spec := &r.spec
		if r.next != nil {
			spec = r.next
		}
		for _, uids := range spec.Dependencies {
			var term []*resource
			for _, uid := range uids {
				if d := e.find(uid); d != nil && d != r && !slices.Contains(term, d) {
					term = append(term, d)
				}
			}
			if len(term) == 0 {
				continue
			}
			r.terms = append(r.terms, term)
			for _, d := range term {
				if !slices.Contains(d.dependents, r) {
					d.dependents = append(d.dependents, r)
				}
			}
		}
	}
	var sorted []*resource
	var visit func(r *resource)
	seen := map[*resource]bool{}
	visit = func(r *resource) {
		if seen[r] {
			return
		}
		seen[r] = true
		for _, term := range r.terms {
			for _, d := range term {
				visit(d)
			}
		}
		sorted = append(sorted, r)
	}
	for _, r := range e.resources {
		visit(r)
	}
	e.resources = sorted
}

// keeps computes for each resource whether it is up and may stay up: it is
// wanted, and each of its terms has a member that is online and stays so (RA
// section 7.2). What was once doomed goes down before it comes up again, so that
// no dependent lives through the failure of what it stands on.
func (e *Engine) keeps() {
	mayStay := e.phase == Owner && !e.undefended()
	for _, r := range e.resources {
		r.keep = r.up() && !r.doomed && !r.recovering && mayStay && (r.wanted() || r.held) && satisfied(r)
	}
}

func satisfied(r *resource) bool {
	for _, term := range r.terms {
		if !slices.ContainsFunc(term, stands) {
			return false
		}
	}
	return true
}

// stands: others may stand on it.
func stands(r *resource) bool { return r.state == Online && r.keep }

// missing lists the members of the terms that are not satisfied.
func (e *Engine) missing(r *resource) []string {
	var uids []string
	for _, term := range r.terms {
		if slices.ContainsFunc(term, stands) {
			continue
		}
		for _, d := range term {
			if !slices.Contains(uids, d.spec.UID) {
				uids = append(uids, d.spec.UID)
			}
		}
	}
	return uids
}

// staying lists the dependents that have to go down before r may: those that are
// not down and do not stay up without it. A dependent whose container cannot be
// emptied is not waited for: it would hold everything for ever.
func (e *Engine) staying(r *resource) []string {
	var uids []string
	for _, d := range r.dependents {
		if !d.down() && !d.keep && !d.c.stopFailed {
			uids = append(uids, d.spec.UID)
		}
	}
	return uids
}

// lingering lists the dependents that lost r and are not down yet. r is not
// brought online under them: a data base must not find the new file system under
// its old process. But one that hangs holds r back for its own PendingTimeout at
// most, counted from the loss; the second result is when that is over.
func (e *Engine) lingering(r *resource) (uids []string, until int64) {
	for _, d := range r.dependents {
		if d.down() || d.keep || !d.doomed {
			continue
		}
		if end := add(d.doomedAt, d.spec.PendingTimeout); end > e.now.Boot {
			uids = append(uids, d.spec.UID)
			until = max(until, end)
		}
	}
	return uids, until
}
