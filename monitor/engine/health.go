// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

// health is what the polling of a resource knows (RA section 4.3).
type health struct {
	// eventHandle: the provider reports failures by itself (RA section 2.3).
	eventHandle bool
	// When the next polls are due; 0: none is scheduled.
	looksAt, aliveAt int64
	looks, alive     *call
	// verify is the IsAlive that verifies a SignalFailure; signal what it said.
	verify *call
	signal SignalFailure
	// verifyAt is when the next verification may begin: a provider that signals
	// all the time costs one IsAlive per VerifyTimeout.
	verifyAt    int64
	verifyAgain bool
}

// resetHealth forgets what is scheduled and what is under way. The calls go on
// until their deadlines, since a check that hangs is a deadlock at any time; but
// what they answer is of a time that is over.
func (r *resource) resetHealth() {
	h := &r.health
	h.looksAt, h.aliveAt, h.verifyAt, h.verifyAgain = 0, 0, 0, false
	h.looks, h.alive, h.verify = nil, nil, nil
}

// startPolls schedules the first polls. Intervals count from completion.
func (r *resource) startPolls(e *Engine) {
	r.looksAt = e.after(r.spec.LooksAliveInterval)
	r.aliveAt = e.after(r.spec.IsAliveInterval)
}

// polls: no poll but of what is online and can be asked.
func (r *resource) polls() bool { return r.state == Online && r.callable() && !r.terminating }

// dueHealth begins the checks that are due.
func (e *Engine) dueHealth(r *resource) {
	if !r.polls() {
		return
	}
	if r.verifyAgain && r.verify == nil && r.verifyAt <= e.now.Boot {
		e.verify(r)
	}
	if r.alive == nil && r.aliveAt != 0 && r.aliveAt <= e.now.Boot {
		e.isAlive(r)
	}
	if !r.eventHandle && r.looks == nil && r.looksAt != 0 && r.looksAt <= e.now.Boot {
		r.looks, r.looksAt = e.begin(r, OpLooksAlive, r.spec.DeadlockTimeout, Call{}), 0
	}
}

func (e *Engine) isAlive(r *resource) {
	r.alive, r.aliveAt = e.begin(r, OpIsAlive, r.spec.DeadlockTimeout, Call{}), 0
}

// verify asks IsAlive whether a SignalFailure is true, with a short deadline. It
// does not wait for an IsAlive that is under way, which may have looked before.
func (e *Engine) verify(r *resource) {
	r.verifyAgain, r.verifyAt = false, e.after(e.cfg.VerifyTimeout)
	r.verify = e.begin(r, OpIsAlive, min(e.cfg.VerifyTimeout, r.spec.DeadlockTimeout), Call{})
	r.verify.verify = true
}

// healthReturned: LooksAlive false asks IsAlive at once, IsAlive false is a
// failure (RA section 4.4). What a resource that does not have LooksAlive answers
// (1, invalid function) counts as alive.
func (e *Engine) healthReturned(c *call, a Returned) {
	r := c.r
	switch c {
	case r.looks:
		r.looks, r.looksAt = nil, e.after(r.spec.LooksAliveInterval)
		if !a.Alive && a.Status != CodeInvalidFunction && r.alive == nil && r.polls() {
			e.isAlive(r)
		}
	case r.alive:
		r.alive, r.aliveAt = nil, e.after(r.spec.IsAliveInterval)
		if !a.Alive && r.state == Online {
			f := failure{reason: ReasonIsAliveFailed, code: a.Status, message: a.Message, verified: true}
			if f.code == CodeSuccess {
				f.code = CodeResourceFailed
			}
			if f.message == "" {
				f.message = "IsAlive answered no"
			}
			e.fail(r, f)
		}
	case r.verify:
		r.verify = nil
		e.verified(r, a)
	}
}
