// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core

import (
	"github.com/understudy-dev/understudy/monitor/engine"
	"github.com/understudy-dev/understudy/monitor/instant"
	"github.com/understudy-dev/understudy/monitor/ownership"
)

// hello takes in what an init holds, and gives it what ownership ordered last.
func (c *Core) hello(h Hello) {
	if c.exiting && h.Fresh {
		c.finishLife()
		return
	}
	k := c.container(h.Container)
	k.connected = true
	if h.Fresh {
		h.Epoch, h.G1, h.G2 = 0, 0, 0
	}
	if h.Fresh || k.nonce != "" && k.nonce != h.Nonce {
		c.emptied(h.Container, h.Nonce)
	} else {
		// The process that was known; or, without a journal, one of which nothing
		// is known: what runs there must be looked for, not taken for gone.
		k.nonce = h.Nonce
		c.emit(Effect{Expect: &Expect{Container: h.Container, Nonce: h.Nonce}})
	}
	if h.G2 > c.now.Boot {
		c.confirm(h.Container, h.Epoch)
	}
	c.toOwner(ownership.Event{GuardUp: &ownership.GuardUp{
		Container: h.Container, Nonce: h.Nonce, Epoch: h.Epoch, G1: h.G1, G2: h.G2,
	}})
	c.sendGuard(h.Container)
	if c.exiting {
		c.emit(Effect{Exit: &Exit{Container: h.Container}})
	}
}

// emptied: nothing that ran in the container runs any more, and init holds no
// guard for what comes next, so it gets the one in force again.
func (c *Core) emptied(name, nonce string) {
	k := c.container(name)
	k.nonce, k.guarded = nonce, 0
	c.emit(Effect{Expect: &Expect{Container: name, Nonce: nonce}})
	c.toEngine(engine.Event{Emptied: &engine.Emptied{Container: name, Nonce: nonce}})
	c.sendGuard(name)
}

func (c *Core) initGone(name string) {
	k := c.container(name)
	k.connected = false
	c.toEngine(engine.Event{InitGone: &engine.InitGone{Container: name}})
	c.toOwner(ownership.Event{GuardDown: &ownership.GuardDown{Container: name}})
}

// guarded: only a guard in force lets anything of its container come online.
func (c *Core) guarded(g Guarded) {
	if g.G2 <= c.now.Boot {
		return
	}
	c.confirm(g.Container, g.Epoch)
}

func (c *Core) confirm(name string, epoch int64) {
	k := c.container(name)
	if k.guarded == epoch {
		return
	}
	k.guarded = epoch
	c.toEngine(engine.Event{Guarded: &engine.Guarded{Container: name, Epoch: epoch}})
}

func (c *Core) setGuard(g ownership.Guard) {
	c.guard = g
	for _, name := range c.config.Containers {
		c.sendGuard(name)
	}
}

func (c *Core) sendGuard(name string) {
	if k := c.container(name); !k.connected || c.guard.Epoch == 0 {
		return
	}
	c.emit(Effect{Guard: &Guard{Container: name, Epoch: c.guard.Epoch, G1: c.guard.G1, G2: c.guard.G2}})
}

func (c *Core) killAll(name string) {
	for _, n := range c.config.Containers {
		if name == "" || n == name {
			c.emit(Effect{Kill: &Kill{Container: n, Reason: "ownership"}})
		}
	}
}

// restartContainer passes the engine's order on, unless the process that is meant
// is gone already.
func (c *Core) restartContainer(r engine.Restart) {
	if k := c.container(r.Container); r.Nonce != "" && k.nonce != r.Nonce {
		return
	}
	c.emit(Effect{Kill: &Kill{Container: r.Container, Reason: string(r.Reason)}})
}

func (c *Core) container(name string) *container {
	k := c.containers[name]
	if k == nil {
		k = &container{}
		c.containers[name] = k
	}
	return k
}

// drain begins the hand-over of a host that goes away. There is no way back.
func (c *Core) drain(reason string) {
	if c.draining != (instant.Instant{}) {
		return
	}
	c.draining = c.now
	c.changed = true
	c.toOwner(ownership.Event{Drain: &ownership.Drain{Reason: c.releaseReason(reason, "")}})
}

// rushAt is when an orderly stop has used up its time: what is left of the grace
// period is needed to terminate (Ownership section 8). 0: never.
func (c *Core) rushAt() int64 {
	if c.draining == (instant.Instant{}) || c.rushed || c.config.GraceMilliseconds == 0 {
		return 0
	}
	return c.draining.Boot + int64(ms(c.config.GraceMilliseconds-rushMilliseconds)-c.slowestTerminate())
}

// rushMilliseconds of the grace period are left for the kill and its proof.
const rushMilliseconds = 2000

// leave terminates when the grace period runs out, and lets the containers end
// once nothing is owned and nothing runs.
func (c *Core) leave() {
	if c.draining == (instant.Instant{}) {
		return
	}
	if at := c.rushAt(); at != 0 && at <= c.now.Boot {
		c.rushed = true
		c.toEngine(engine.Event{Revoked: &engine.Revoked{Mode: engine.Emergency, Reason: "GracePeriod"}})
	}
	// A monitor that holds nothing and hears of no container has nothing to wait
	// for: what may run somewhere is bound by its guard, not by this process.
	role := c.owner.Snapshot().Role
	lost := (role == ownership.Starting || role == ownership.Clearing) && !c.anyConnected()
	if !c.exiting && (role == ownership.Observer || lost) {
		c.exiting = true
		for _, name := range c.config.Containers {
			c.emit(Effect{Exit: &Exit{Container: name}})
		}
	}
	if c.exiting && c.terminated && !c.anyConnected() {
		c.finishLife()
	}
}

// finishLife ends this life of the monitor: for good if the pod ends; if only its
// containers did, another life begins with the new ones.
func (c *Core) finishLife() {
	if !c.done {
		c.done = true
		c.emit(Effect{Done: &Done{}})
	}
}

func (c *Core) anyConnected() bool {
	for _, k := range c.containers {
		if k.connected {
			return true
		}
	}
	return false
}
