// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"time"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	"github.com/understudy-dev/understudy/monitor/ownership"
)

// engine stands in for the real one: it starts what may run once its guard is
// acknowledged, stops what may not, and proves stops by asking again.
type engine struct {
	monitor         *monitor
	grant           *ownership.Grant
	revoke          *ownership.Revoke
	beliefs         map[*container]*belief
	asks            int  // numbers the questions
	floor           int  // the first question after the last Revoke
	kill            bool // terminating took too long
	said            bool // that the stop is not proven
	hung, hungSince time.Duration
	waiting         []func()
	halting         bool   // its own stop, because a quorum resource was lost
	arbitrating     string // the nonce of the process that was asked
}

// belief is what the engine knows of a container.
type belief struct {
	nonce string
	busy  bool
	asked int // answers that question
	known bool
	ack   ownership.Guard // acknowledged under that nonce
}

func newEngine(m *monitor) *engine {
	return &engine{monitor: m, beliefs: map[*container]*belief{}}
}

// do runs f when the engine gets to it.
func (e *engine) do(f func()) {
	w := e.monitor.host.world
	switch {
	case e.monitor.dead:
	case len(e.waiting) > 0 || w.now < e.hung || w.now < e.monitor.paused:
		if e.waiting = append(e.waiting, f); len(e.waiting) == 1 {
			e.resume()
		}
	default:
		f()
	}
}

func (e *engine) resume() {
	e.monitor.host.world.queue.push(max(e.hung, e.monitor.paused), func() {
		if w := e.monitor.host.world; w.now < e.hung || w.now < e.monitor.paused {
			e.resume()
			return
		}
		all := e.waiting
		e.waiting = nil
		for _, f := range all {
			e.do(f)
		}
	})
}

func (e *engine) asked(id int64) {
	w := e.monitor.host.world
	e.do(func() {
		w.after(w.pick(w.style.local), func() {
			e.do(func() { e.monitor.post(ownership.Event{Tick: &ownership.Tick{ID: id}}) })
		})
	})
}

func (e *engine) granted(g *ownership.Grant) {
	e.do(func() {
		e.grant, e.revoke = g, nil
		w := e.monitor.host.world
		w.ownerEpoch = max(w.ownerEpoch, g.Epoch)
		e.advance()
	})
}

func (e *engine) revoked(r *ownership.Revoke) {
	e.do(func() {
		w, limit := e.monitor.host.world, e.monitor.host.world.timing.G2-e.monitor.host.world.timing.N
		e.grant, e.revoke, e.floor = nil, r, e.asks+1
		e.kill, e.said = r.Mode == ownership.Kill || e.halting, false // a stop never gets softer
		e.halting, e.arbitrating = false, ""
		if r.Mode == ownership.Ordered {
			limit = w.pick([2]time.Duration{limit, 2 * w.timing.D})
		}
		w.after(limit, func() {
			e.do(func() {
				if e.revoke == r {
					e.kill = true
					e.pressOn(r)
				}
			})
		})
		w.after(limit+2*w.timing.K+100*time.Millisecond, func() {
			e.do(func() {
				if e.revoke == r && !e.said {
					e.said = true
					e.monitor.post(ownership.Event{Stopped: &ownership.Stopped{Revoke: r.ID}})
				}
			})
		})
		e.press()
		e.advance()
	})
}

// press orders the stop of every container that can be reached, and asks.
func (e *engine) press() {
	h := e.monitor.host
	for _, c := range h.containers {
		switch {
		case e.kill && h.world.now >= c.hang:
			c.send(c.kill)
		case !e.kill:
			d := h.world.pick(h.world.style.stop)
			if e.revoke.Mode == ownership.Ordered && h.world.chance(0.2) {
				d = h.world.upTo(2 * h.world.timing.D)
			}
			c.send(func() { c.terminate(d, h.world.now < c.hang) })
		}
		e.ask(c)
	}
}

// pressOn presses again and again until the stop is proven.
func (e *engine) pressOn(r *ownership.Revoke) {
	if e.revoke == r {
		e.press()
		e.monitor.host.world.after(500*time.Millisecond, func() { e.do(func() { e.pressOn(r) }) })
	}
}

func (e *engine) ask(c *container) {
	e.asks++
	n := e.asks
	c.send(func() { c.report(n) })
}

func (e *engine) hello(c *container) {
	e.do(func() {
		e.beliefs[c] = &belief{}
		if e.revoke != nil {
			e.press()
		} else {
			e.ask(c)
		}
	})
}

func (e *engine) guarded(c *container, nonce string, g ownership.Guard) {
	e.do(func() {
		if b := e.beliefs[c]; b != nil {
			if b.nonce != nonce {
				*b = belief{nonce: nonce}
				e.ask(c)
			}
			b.ack = g
			e.advance()
		}
	})
}

func (e *engine) reported(c *container, nonce string, busy bool, asked int) {
	e.do(func() {
		b := e.beliefs[c]
		if b == nil {
			return
		}
		if b.nonce != nonce {
			*b = belief{nonce: nonce}
		}
		if asked == -1 { // no answer to a question: ask
			e.ask(c)
			return
		}
		if asked < b.asked {
			return
		}
		fell := b.known && b.busy && !busy
		b.busy, b.asked, b.known = busy, asked, true
		h := e.monitor.host
		if fell && e.grant != nil && !h.world.quiet && h.world.chance(0.3) {
			h.release = &ownership.Release{Cause: leasev1.CauseFailover, Reason: leasev1.Reason{Reason: "ResourceFailed",
				Resource: c.name}}
			e.monitor.postWish()
		}
		e.advance()
	})
}

// advance starts what may start and says what is proven.
func (e *engine) advance() {
	m := e.monitor
	h, w := m.host, m.host.world
	if g := e.grant; g != nil {
		if !e.mayStart(g) {
			return
		}
		boot := h.clock.read(w.now).Boot
		for _, c := range h.containers {
			b := e.beliefs[c]
			if b == nil || !b.known || b.busy || b.ack.Epoch != g.Epoch || b.ack.G2 <= boot || b.asked < e.floor {
				continue
			}
			b.busy, b.asked = true, e.asks+1
			nonce := b.nonce
			c.send(func() { c.start(nonce, g.Epoch) })
			e.ask(c)
		}
		return
	}
	if e.revoke == nil {
		return
	}
	for _, c := range h.containers {
		b := e.beliefs[c]
		if c.up && (b == nil || !b.known || b.busy || b.asked < e.floor) {
			return
		}
	}
	// The proof empties the containers, and what they defended is let go.
	h.containers[0].letGo()
	h.won = holding{}
	r := e.revoke
	e.revoke = nil
	m.post(ownership.Event{Stopped: &ownership.Stopped{Revoke: r.ID, Proven: true}})
}
