// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"time"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	"github.com/understudy-dev/understudy/monitor/ownership"
)

// In half of the schedules the first container of each host has a quorum resource: a
// host starts nothing in an epoch before it has won what only one process can have. It
// may lose that to somebody outside, when it asks for it or at any time after it.

// holding is what a host knows that it won: it survives its monitor.
type holding struct {
	epoch int64
	nonce string
}

// arbitrate is the provider's call. It takes nothing away from a process that holds it.
func (c *container) arbitrate(nonce string, epoch int64) {
	w, n := c.host.world, c.lives
	if c.nonce != nonce || c.dying != 0 {
		return
	}
	w.after(w.pick(w.style.start), func() {
		if c.lives != n || c.dying != 0 || !c.up {
			return
		}
		won := w.now >= w.outside && (w.arbiter == nil || w.arbiter == c) && (w.quiet || !w.chance(0.2))
		if won {
			w.arbiter, c.lost = c, false
			w.Coverage.Arbitrated++
			w.check.won(w, c, epoch)
		}
		c.tell(func(m *monitor) { m.engine.arbitrated(nonce, epoch, won) })
	})
}

// loseQuorum: somebody outside took it. The provider says so until a monitor hears it.
func (c *container) loseQuorum() {
	w := c.host.world
	w.arbiter, c.lost = nil, true
	if w.chance(0.5) {
		w.outside = w.until()
	}
	w.log("%s: the quorum resource is lost", c.host.name)
	c.sayLost()
}

func (c *container) sayLost() {
	if nonce := c.nonce; c.lost {
		c.tell(func(m *monitor) { m.engine.quorumLost(nonce) })
	}
}

// mayStart: the arbitration is held under the grant. If it is not, it is asked for.
func (e *engine) mayStart(g *ownership.Grant) bool {
	h, w := e.monitor.host, e.monitor.host.world
	if !w.style.quorum {
		return true
	}
	if e.halting && !e.halted() {
		return false
	}
	q := h.containers[0]
	b := e.beliefs[q]
	if b == nil || !b.known {
		return false
	}
	switch {
	case h.won.epoch == g.Epoch && h.won.nonce == b.nonce:
		return true
	case h.won.epoch == g.Epoch: // the process that held it is gone
		h.won = holding{}
		e.halt()
		return false
	case e.arbitrating == b.nonce, w.now < h.arbitrateAt, b.asked < e.floor, b.ack.Epoch != g.Epoch,
		b.ack.G2 <= h.clock.read(w.now).Boot:
		return false
	}
	nonce := b.nonce
	e.arbitrating = nonce
	q.send(func() { q.arbitrate(nonce, g.Epoch) })
	w.after(w.timing.D/2, func() { // no answer
		e.do(func() {
			if e.arbitrating == nonce {
				e.arbitrating = ""
				e.advance()
			}
		})
	})
	return false
}

func (e *engine) arbitrated(nonce string, epoch int64, won bool) {
	e.do(func() {
		h := e.monitor.host
		if e.arbitrating != nonce {
			return
		}
		e.arbitrating = ""
		switch {
		case e.grant == nil || e.grant.Epoch != epoch:
		case won:
			h.won = holding{epoch: epoch, nonce: nonce}
			if h.release != nil && h.release.Cause == leasev1.CauseArbitration {
				h.release = nil
				e.monitor.postWish()
			}
			e.advance()
		default:
			e.lost("ArbitrationLost")
		}
	})
}

// quorumLost: everything stops at once, whatever ownership says.
func (e *engine) quorumLost(nonce string) {
	e.do(func() {
		h := e.monitor.host
		if h.won.nonce != nonce || e.halting {
			return
		}
		h.world.Coverage.QuorumLost++
		h.world.check.lostBy = h
		e.lost("QuorumLost")
		if e.revoke != nil {
			e.kill = true
			e.pressOn(e.revoke)
			return
		}
		e.halt()
	})
}

// lost asks for the release, and tries again after a pause if that is refused.
func (e *engine) lost(why string) {
	h, w := e.monitor.host, e.monitor.host.world
	h.release = &ownership.Release{Cause: leasev1.CauseArbitration, Reason: leasev1.Reason{Reason: why}}
	h.arbitrateAt = w.now + w.timing.D/8 + w.upTo(w.timing.D/4)
	w.queue.push(h.arbitrateAt, func() { e.do(e.advance) })
	e.monitor.postWish()
}

// halt is the engine's own stop: first in order to terminate, then by killing, until it is
// proven.
func (e *engine) halt() {
	w := e.monitor.host.world
	e.halting, e.floor = true, e.asks+1
	n := e.floor
	var press func(kill bool)
	press = func(kill bool) {
		if !e.halting || e.floor != n {
			return
		}
		for _, c := range e.monitor.host.containers {
			switch {
			case kill && w.now >= c.hang:
				c.send(c.kill)
			case !kill:
				c.send(func() { c.terminate(w.pick(w.style.stop), w.now < c.hang) })
			}
			e.ask(c)
		}
		w.after(500*time.Millisecond, func() { e.do(func() { press(true) }) })
	}
	press(false)
}

// halted: the stop is proven. What was held is held no more.
func (e *engine) halted() bool {
	h := e.monitor.host
	for _, c := range h.containers {
		if b := e.beliefs[c]; c.up && (b == nil || !b.known || b.busy || b.asked < e.floor) {
			return false
		}
	}
	e.halting, h.won = false, holding{}
	return true
}

// won: nothing is online anywhere after a loss, until somebody has won anew.
func (k *checker) won(w *World, c *container, epoch int64) {
	w.log("%s: the arbitration is won in epoch %d", c.host.name, epoch)
	k.arbitrated[epoch] = c.host
	for _, h := range w.hosts {
		if epoch == k.largest && (k.lostBy != nil || h != c.host) && h.alive() {
			k.fail(w, "%s wins the arbitration of epoch %d while %s is alive", c.host.name, epoch, h.name)
		}
	}
	k.lostBy = nil
}
