// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import "slices"

// term is one OR of the dependencies: any of its resources is enough.
type term struct {
	of []*resource
	// ready: to begin on it, one must be online and say that its application is ready.
	ready bool
}

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
		for i, uids := range spec.Dependencies {
			t := term{ready: slices.Contains(spec.ReadyTerms, i)}
			for _, uid := range uids {
				if d := e.find(uid); d != nil && d != r && !slices.Contains(t.of, d) {
					t.of = append(t.of, d)
				}
			}
			if len(t.of) == 0 {
				continue
			}
			r.terms = append(r.terms, t)
			for _, d := range t.of {
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
		for _, t := range r.terms {
			for _, d := range t.of {
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

// satisfied: nothing takes away what it stands on. Readiness is asked for once, before
// it begins: what is up stays up when its dependency is not ready any more (as the start
// order of WSFC's group sets; for resources it is our reading).
func satisfied(r *resource) bool {
	for _, t := range r.terms {
		if !slices.ContainsFunc(t.of, stands) {
			return false
		}
	}
	return true
}

// stands: others may stand on it.
func stands(r *resource) bool { return r.state == Online && r.keep }

// lacks says what of its dependencies keeps it from beginning, "" if nothing does.
func (e *Engine) lacks(r *resource) (Reason, []string) {
	if missing := e.missing(r); len(missing) > 0 {
		return ReasonWaitingDependency, missing
	}
	if unready := e.unready(r); len(unready) > 0 {
		return ReasonWaitingReady, unready
	}
	return "", nil
}

// missing lists the members of the terms that are not satisfied.
func (e *Engine) missing(r *resource) []string {
	var uids []string
	for _, t := range r.terms {
		if slices.ContainsFunc(t.of, stands) {
			continue
		}
		for _, d := range t.of {
			if !slices.Contains(uids, d.spec.UID) {
				uids = append(uids, d.spec.UID)
			}
		}
	}
	return uids
}

// unready lists the members of the terms that wait for readiness which are online and
// have not said that they are ready.
func (e *Engine) unready(r *resource) []string {
	var uids []string
	for _, t := range r.terms {
		if !t.ready || slices.ContainsFunc(t.of, func(d *resource) bool { return stands(d) && d.ready() }) {
			continue
		}
		for _, d := range t.of {
			if stands(d) && !slices.Contains(uids, d.spec.UID) {
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
		if d.doomedAt < 0 { // restored: nobody has waited yet
			d.doomedAt = e.now.Boot
		}
		if end := add(d.doomedAt, d.spec.PendingTimeout); end > e.now.Boot {
			uids = append(uids, d.spec.UID)
			until = max(until, end)
		}
	}
	return uids, until
}
