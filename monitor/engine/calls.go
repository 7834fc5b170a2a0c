// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import "time"

// call is a Call that has not returned.
type call struct {
	id       uint64
	op       Op
	r        *resource // nil if it concerns a type
	c        *container
	deadline int64
	began    int64
	verify   bool // IsAlive that verifies a SignalFailure
	control  *control
	epoch    int64 // of Arbitrate
}

// begin issues a call for a resource that is bounded by limit.
func (e *Engine) begin(r *resource, op Op, limit time.Duration, a Call) *call {
	a.Resource, a.TypeName = r.spec.UID, r.spec.TypeName
	if op != OpOpen {
		a.ResourceID = r.resid
	}
	c := e.beginIn(r.c, op, limit, a)
	c.r = r
	return c
}

// beginIn issues a call into a container that is bounded by limit.
func (e *Engine) beginIn(in *container, op Op, limit time.Duration, a Call) *call {
	e.nextCall++
	c := &call{id: e.nextCall, op: op, c: in, began: e.now.Boot, deadline: e.after(limit)}
	e.calls = append(e.calls, c)
	a.ID, a.Op, a.Deadline, a.Container, a.Nonce = c.id, op, c.deadline, in.name, in.nonce
	action := Action{Call: &a}
	if a.Control != nil {
		// What it does may go on after it was answered, and is ended with the ownership.
		in.dirty = true
	}
	if a.Control != nil || op == OpOnline || op == OpArbitrate {
		// None may run and nobody know of it: the journal knows first.
		e.barrier = true
		e.held = append(e.held, action)
	} else {
		e.out = append(e.out, action)
	}
	return c
}

// drop forgets a call: its answer does not matter any more.
func (e *Engine) drop(c *call) {
	for i, x := range e.calls {
		if x == c {
			e.calls = append(e.calls[:i:i], e.calls[i+1:]...)
			return
		}
	}
}

// dropAll forgets all calls into a container.
func (e *Engine) dropAll(c *container) {
	kept := e.calls[:0:0]
	for _, x := range e.calls {
		if x.c != c {
			kept = append(kept, x)
		}
	}
	e.calls = kept
}

// returned handles the answer to a call. Answers to forgotten calls are ignored.
func (e *Engine) returned(a Returned) {
	var c *call
	for _, x := range e.calls {
		if x.id == a.Call {
			c = x
		}
	}
	if c == nil {
		return
	}
	if a.Outcome == DeadlineExceeded {
		e.expired(c)
		return
	}
	e.drop(c)
	if a.Outcome != Answered {
		// The contract's code for a call that went wrong in itself (RA 2.0).
		a.Status, a.Alive, a.Async, a.State = CodeExceptionInCall, false, false, 0
	}
	a.Message = clip(a.Message, maxMessage)
	r := c.r
	switch c.op {
	case OpOpen:
		if r.op == c {
			r.op = nil
			e.openReturned(r, a)
		}
	case OpOnline:
		if r.op == c {
			r.op = nil
			e.onlineReturned(r, a)
		}
	case OpOffline:
		if r.op == c {
			r.op = nil
			e.offlineReturned(r, a)
		}
	case OpClose:
		if r.op == c {
			r.op = nil
			e.closeReturned(r)
		}
	case OpArbitrate, OpRelease:
		if r.op != c {
			break
		}
		if r.op = nil; c.op == OpArbitrate {
			e.arbitrateReturned(c, a)
		} else {
			e.releaseReturned(r, a)
		}
	case OpTerminate:
		if r.term == c {
			r.term = nil
			e.terminateReturned(r, a)
		}
	case OpLooksAlive, OpIsAlive:
		e.healthReturned(c, a)
	case OpBeginResourceControl, OpBeginResourceControlAsUser, OpBeginResourceTypeControl,
		OpBeginResourceTypeControlAsUser:
		if r != nil && r.setting != nil && r.setting.call == c {
			e.setReturned(r, a)
		} else {
			e.controlReturned(c.control, a)
		}
	case OpCancel:
		e.cancelReturned(r, a)
	}
	e.again = true
}

// expired: no answer by the deadline. Terminate is the last thing that a provider
// is asked to do, and the verification of a failure has an answer of its own;
// any other call is a deadlock (RA section 4.5), and the process with it.
func (e *Engine) expired(c *call) {
	e.drop(c)
	switch {
	case c.verify:
		if c.r.verify == c {
			e.healthReturned(c, Returned{Outcome: DeadlineExceeded, Status: CodeCallTimedOut})
		}
	case c.op == OpTerminate:
		e.dumpDeadlock(c.r)
		c.r.lastStatus = CodeCallTimedOut
		e.restart(c.c, ReasonTerminateFailed, c.r)
	case c.op == OpCancel:
		e.cancelReturned(c.r, Returned{Outcome: DeadlineExceeded, Status: CodeCallTimedOut})
	case c.op == OpRelease:
		// It could come late, and undo what was won since.
		e.releaseReturned(c.r, Returned{Status: CodeCallTimedOut, Message: "no answer in time"})
		e.restart(c.c, ReasonReleaseFailed, nil)
	default:
		if c.op == OpArbitrate && c.r.op == c && c.epoch == e.epoch {
			e.arbitrationLost(c.r, ReasonArbitrationLost, CodeCallTimedOut, "no answer in time")
		}
		if c.r != nil {
			e.dumpDeadlock(c.r)
			c.r.lastStatus = CodeCallTimedOut
		}
		e.note(LevelError, c.r, ReasonDeadlock, string(c.op)+" did not return within "+
			time.Duration(c.deadline-c.began).String()+": the provider is killed", true)
		e.restart(c.c, ReasonDeadlock, c.r)
	}
}
