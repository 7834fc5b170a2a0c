// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"strconv"
	"time"

	"github.com/understudy-dev/understudy/monitor/ownership"
)

// container is one supervised container: init with its guard (Ownership section
// 8), and one resource below it.
type container struct {
	host  *host
	name  string
	up    bool
	lives int
	nonce string
	alive bool // the resource runs

	starting bool // it is about to
	starts   int  // counts the orders to

	guard    ownership.Guard
	maxEpoch int64
	guards   int           // counts the guards set, so that old timers are void
	due      int64         // when init kills: G2, or when it heard of one in the past
	dying    time.Duration // when what lives is dead at the latest, 0 if nobody kills it

	connected bool
	link      int           // counts the connections
	last      time.Duration // when the last message arrives: they keep their order
	broken    time.Duration // until when no connection is made
	hang      time.Duration // until when the resource does not stop by itself
	lost      bool          // the quorum resource was, and the monitor may not have heard
}

func newContainer(h *host, name string) *container {
	c := &container{host: h, name: name}
	c.begin()
	return c
}

func (c *container) begin() {
	c.up, c.guard, c.maxEpoch = true, ownership.Guard{}, 0
	c.emptied()
	c.connect()
}

// end is the end of init, and with it of the whole PID namespace.
func (c *container) end() {
	c.disconnect()
	c.up, c.guards = false, c.guards+1
	c.letGo()
	c.die("its container ends")
}

// emptied begins a new nonce: nothing lives, no guard is set.
func (c *container) emptied() {
	c.lives++
	c.nonce = c.host.name + "-" + c.name + "-" + strconv.Itoa(c.lives)
	c.guard = ownership.Guard{}
	c.guards++
	c.dying = 0
	c.letGo()
}

func (c *container) connect() {
	w := c.host.world
	w.after(w.pick(w.style.local), func() {
		m := c.host.monitor
		if m == nil || !c.up || c.connected {
			return
		}
		if w.now < c.broken {
			w.queue.push(c.broken, c.connect)
			return
		}
		c.connected, c.link, c.last = true, c.link+1, w.now
		c.hello()
	})
}

func (c *container) disconnect() {
	if !c.connected {
		return
	}
	c.connected = false
	if m := c.host.monitor; m != nil {
		m.post(ownership.Event{GuardDown: &ownership.GuardDown{Container: c.name}})
	}
}

// hello tells the monitor which nonce and guard there is. The monitor's edge
// answers with the guard that is in force, but one of the past only if there is
// something that it must end.
func (c *container) hello() {
	up := &ownership.GuardUp{Container: c.name, Nonce: c.nonce, Epoch: c.guard.Epoch, G1: c.guard.G1, G2: c.guard.G2}
	c.tell(func(m *monitor) {
		m.post(ownership.Event{GuardUp: up})
		if g := m.guard; g != nil && (up.G2 != 0 || g.G2 > m.host.clock.read(m.host.world.now).Boot) {
			c.send(func() { c.setGuard(*g) })
		}
		m.engine.hello(c)
		c.sayLost()
	})
}

// send brings a message of the monitor to init, if the connection lasts.
func (c *container) send(f func()) {
	w, link := c.host.world, c.link
	if !c.connected {
		return
	}
	c.last = max(c.last, w.now+w.pick(w.style.local))
	w.queue.push(c.last, func() {
		if c.link == link && c.up {
			f()
		}
	})
}

// tell brings a message of init or provider to the monitor.
func (c *container) tell(f func(*monitor)) {
	w, link, m := c.host.world, c.link, c.host.monitor
	if !c.connected || m == nil {
		return
	}
	w.after(w.pick(w.style.local), func() {
		if c.connected && c.link == link && !m.dead {
			f(m)
		}
	})
}

// setGuard applies a guard and acknowledges it.
func (c *container) setGuard(g ownership.Guard) {
	w := c.host.world
	if g.Epoch < c.maxEpoch {
		return
	}
	c.maxEpoch, c.guard = g.Epoch, g
	c.due = max(g.G2, c.host.clock.read(w.now).Boot)
	c.arm()
	if g.G2 == 0 {
		return
	}
	nonce := c.nonce
	c.tell(func(m *monitor) { m.engine.guarded(c, nonce, g) })
}

// arm sets the timers of the guard.
func (c *container) arm() {
	w, g := c.host.world, c.guard
	c.guards++
	n := c.guards
	if g.G2 == 0 {
		return
	}
	w.after(c.host.clock.until(w.now, g.G1), func() {
		if c.guards == n && c.alive {
			c.terminate(w.pick(w.style.stop), w.now < c.hang)
		}
	})
	w.after(c.host.clock.until(w.now, g.G2), func() {
		if c.guards == n {
			if c.alive {
				w.Coverage.GuardKill++
				w.log("%s: guard of %s kills", c.host.name, c.name)
			}
			c.kill()
		}
	})
}

// kill is the kill of all but init, which takes up to K.
func (c *container) kill() {
	w, n := c.host.world, c.lives
	if !c.up || c.dying != 0 {
		return
	}
	d := w.upTo(w.timing.K)
	if w.style.extreme && w.chance(0.7) {
		d = w.timing.K
	}
	d = c.host.clock.stretch(d)
	c.dying = w.now + d
	w.after(d, func() {
		if c.lives == n && c.up {
			c.die("killed")
			c.emptied()
			c.hello()
		}
	})
}

// terminate is the provider's own stop. It ends a start under way at once.
func (c *container) terminate(d time.Duration, hangs bool) {
	n := c.lives
	c.starting = false
	if hangs || !c.alive {
		c.changed()
		return
	}
	c.host.world.after(d, func() {
		if c.lives == n && c.alive {
			c.die("terminated")
			c.changed()
		}
	})
}

func (c *container) die(how string) {
	c.starting = false
	if c.alive {
		c.host.world.log("%s: %s is dead (%s)", c.host.name, c.name, how)
		c.alive = false
	}
}

// start is what Online does: it comes over a connection to the provider of that
// nonce, or not at all.
func (c *container) start(nonce string, epoch int64) {
	w, n := c.host.world, c.lives
	if c.nonce != nonce || c.alive || c.dying != 0 {
		return
	}
	c.starts++
	c.starting = true
	nth := c.starts
	w.after(w.pick(w.style.start), func() {
		if !c.starting || c.starts != nth || c.lives != n || c.dying != 0 {
			return
		}
		c.starting, c.alive = false, true
		w.log("%s: %s is alive, epoch %d", c.host.name, c.name, epoch)
		w.check.started(w, c, epoch)
		c.changed()
	})
}

// crash ends the resource by itself.
func (c *container) crash() {
	if c.alive {
		c.die("crashed")
		c.changed()
	}
}

// changed reports the state without being asked.
func (c *container) changed() { c.report(-1) }

// report tells the engine what there is. Asked is the number of the question.
func (c *container) report(asked int) {
	nonce, busy := c.nonce, c.alive || c.starting
	c.tell(func(m *monitor) { m.engine.reported(c, nonce, busy, asked) })
}

// letGo ends what its process defended.
func (c *container) letGo() {
	if c.lost = false; c.host.world.arbiter == c {
		c.host.world.arbiter = nil
	}
}
