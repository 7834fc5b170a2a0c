// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"github.com/understudy-dev/understudy/monitor/instant"
)

// maxTransitions is the size of the ring of transitions.
const maxTransitions = 16

// resource is what the engine knows of one resource.
type resource struct {
	spec Resource
	// next is the spec that replaces spec once the instance is closed, because
	// it lives in another container or has another type.
	next    *Resource
	removed bool
	c       *container
	// terms and dependents are the edges of the graph (RA section 7).
	terms      []term
	dependents []*resource

	state       State
	since       instant.Instant
	transitions []Transition

	opened      bool
	resid       string
	openAt      int64 // not before, after Open failed
	openBackoff int64
	// confirm: the state comes from the journal, Open has yet to say if it is so.
	confirm bool
	// reported is the latest report that came while Open was recovering.
	reported *SetResourceStatus
	// run: something of it may be running here.
	run bool
	// recovering: it goes down for an embedded failure, and has failed then.
	recovering bool
	// startedEpoch and runningGeneration belong to the last Online.
	startedEpoch      int64
	runningGeneration int64

	// At most one state-changing call, and beside it at most one Terminate.
	op   *call
	term *call
	// kill: Terminate is to be called as soon as it can be.
	kill bool
	// terminating: from Terminate to the stop, which is due by stopBy.
	terminating bool
	stopBy      int64
	// overlap: Terminate was called while Online was in flight.
	overlap bool
	// doomed: it must go down before it may come up again; since doomedAt.
	doomed   bool
	doomedAt int64
	keep     bool // computed: it is up and may stay up

	// pendingBy is when the next checkpoint is due, 0 if nothing is pending.
	pendingBy   int64
	checkPoint  uint32
	checked     bool // a checkpoint was reported in this operation
	appCode     uint32
	statusFlags uint32
	lastStatus  Code
	information uint64
	unexpected  bool
	noted       bool // a bad report was noted in this state

	health
	policy
	logs
	properties
	applicationStates
	nodeLocal
	dumps dumps
	lock
	arbitration

	waiting   Reason
	waitingOn []string
	waitSince int64 // since when it cannot be started for want of its provider
	results   []ControlResult
	touched   bool
}

// up: online or on the way.
func (r *resource) up() bool { return r.state == Online || r.state == OnlinePending }

// down: nothing of it is running or being started or stopped.
func (r *resource) down() bool {
	return !r.run && !r.terminating && !r.up() && r.state != OfflinePending
}

// callable: its provider can be called for it.
func (r *resource) callable() bool { return r.opened && r.c.callable() }

// wanted: the plan wants it online.
func (r *resource) wanted() bool {
	return !r.removed && r.next == nil && r.spec.DesiredState != DesiredOffline
}

// setState enters a state, with what follows from it for polls and pendings.
func (e *Engine) setState(r *resource, s State, why Reason) {
	if r.state == s {
		return
	}
	if r.state != OnlinePending || s != Online {
		r.reports = nil
	}
	r.state, r.since = s, e.now
	r.transitions = append(r.transitions, Transition{State: s, Time: e.now, Reason: why})
	if n := len(r.transitions); n > maxTransitions {
		r.transitions = append([]Transition(nil), r.transitions[n-maxTransitions:]...)
	}
	r.pendingBy, r.noted = 0, false
	r.resetHealth()
	e.forgetSetting(r)
	switch s {
	case OnlinePending, OfflinePending:
		r.checkPoint, r.checked = 0, false
		if s == OnlinePending {
			r.information, r.recovering = 0, false
		}
	case Online:
		r.startPolls(e)
		e.recovered(r)
	case Offline, Failed, Initializing:
		r.information, r.recovering = 0, false
	}
	if s != Online {
		e.unlock(r)
	}
	e.touch(r, true)
	e.again = true
}

// touch marks the resource for the status, and for the journal if it is urgent:
// a checkpoint alone is worth no fsync, since Open tells it again.
func (e *Engine) touch(r *resource, urgent bool) {
	r.touched = true
	if urgent {
		e.urgent, e.journal = true, true
	}
}

// find returns the resource with that UID.
func (e *Engine) find(uid string) *resource {
	for _, r := range e.resources {
		if r.spec.UID == uid {
			return r
		}
	}
	return nil
}

// groupState is RA section 3.5's, over the resources of the plan. A resource
// that was never opened counts as pending where one is wanted online.
func (e *Engine) groupState() GroupState {
	var online, pending, failed, n int
	for _, r := range e.resources {
		if r.removed {
			continue
		}
		n++
		switch r.state {
		case Online:
			online++
		case OnlinePending, OfflinePending:
			pending++
		case Initializing:
			if e.phase == Owner && r.wanted() {
				pending++
			}
		case Failed:
			failed++
		}
	}
	switch {
	case failed > 0:
		return GroupFailed
	case pending > 0:
		return GroupPending
	case online == 0:
		return GroupOffline
	case online == n:
		return GroupOnline
	}
	return GroupPartialOnline
}
