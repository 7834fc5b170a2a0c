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
	returned, first := k.gone, !k.seen
	k.connected, k.gone, k.seen = true, false, true
	if h.Fresh {
		h.Epoch, h.G1, h.G2 = 0, 0, 0
	}
	switch {
	case h.G2 != 0 && (k.unsure || first && k.nonce != "" && k.nonce != h.Nonce):
		// The journal is older than this guard, under which something may be online; or
		// the kill for that got lost with the connection.
		k.unsure = true
		c.emit(Effect{Kill: &Kill{Container: h.Container, Reason: "UnknownLife"}})
	case h.Fresh || k.nonce != "" && k.nonce != h.Nonce:
		k.unsure = false // without a guard, or in another life, nothing is online
		c.empty(h.Container, h.Nonce)
	case k.nonce == "":
		// Without a journal nothing is known of what runs there: it is looked for,
		// not taken for gone. Under a guard it was online.
		k.nonce = h.Nonce
		c.emit(Effect{Expect: &Expect{Container: h.Container, Nonce: h.Nonce}})
		if h.G2 != 0 {
			k.unsure = true
			c.emit(Effect{Kill: &Kill{Container: h.Container, Reason: "UnknownLife"}})
		}
	case returned:
		// Its end was taken for granted, and with it the end of all that it
		// guards. Neither is so: now it is made so.
		c.emit(Effect{Expect: &Expect{Container: h.Container, Nonce: h.Nonce}})
		c.toEngine(engine.Event{ProviderUp: &engine.ProviderUp{Container: h.Container, Nonce: h.Nonce}})
		c.emit(Effect{Kill: &Kill{Container: h.Container, Reason: "InitReturned"}})
	default:
		c.emit(Effect{Expect: &Expect{Container: h.Container, Nonce: h.Nonce}})
	}
	c.toOwner(ownership.Event{GuardUp: &ownership.GuardUp{
		Container: h.Container, Nonce: h.Nonce, Epoch: h.Epoch, G1: h.G1, G2: h.G2,
	}})
	c.resendGuard(h.Container, h.G2 != 0)
	if c.exiting {
		c.emit(Effect{Exit: &Exit{Container: h.Container}})
	}
}

// emptied: nothing that ran in the container runs any more, and init holds no
// guard for what comes next, so it gets the one in force again.
func (c *Core) emptied(name, nonce string) {
	c.container(name).unsure = false
	c.empty(name, nonce)
	c.resendGuard(name, false)
}

// empty begins the period of a new nonce in a container.
func (c *Core) empty(name, nonce string) {
	k := c.container(name)
	k.nonce, k.guarded = nonce, 0
	c.emit(Effect{Expect: &Expect{Container: name, Nonce: nonce}})
	c.toEngine(engine.Event{Emptied: &engine.Emptied{Container: name, Nonce: nonce}})
}

// initGone: if init ended the connection, the kernel kills what it guarded, and
// that counts as proof after a while. If this side did, because init did not
// read any more, nothing is proven: all goes on as long as its guard lasts.
func (c *Core) initGone(g InitGone) {
	k := c.container(g.Container)
	k.connected = false
	if g.Cut {
		c.confirm(g.Container, 0)
	} else {
		k.gone, k.guarded = true, 0
		c.toEngine(engine.Event{InitGone: &engine.InitGone{Container: g.Container}})
	}
	c.toOwner(ownership.Event{GuardDown: &ownership.GuardDown{Container: g.Container}})
}

// guarded: only the guard that was ordered last, in force for the process that
// is there now, lets anything of its container come online.
func (c *Core) guarded(g Guarded) {
	if g.Epoch != c.guard.Epoch || g.G2 != c.guard.G2 || g.G2 <= c.now.Boot || g.Nonce != c.container(g.Container).nonce {
		return
	}
	c.confirm(g.Container, g.Epoch)
}

// confirm tells the engine for which epoch a guard is in force; 0: none is.
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
		if g.G2 <= c.now.Boot {
			c.confirm(name, 0)
		}
		c.sendGuard(name)
	}
}

// resendGuard gives a container that just came, or is just empty, the guard in
// force. One of the past would kill again what is new there: it goes only to an
// init that still holds one. And no guard is taken away by the way.
func (c *Core) resendGuard(name string, armed bool) {
	if c.guard.G2 > c.now.Boot || armed && c.guard.G2 != 0 {
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
	// Kubelet has counted since the first request; but if that time is over and the pod
	// lives, it was not the pod that was to end.
	if c.drained != (instant.Instant{}) && c.now.Boot-c.drained.Boot < int64(ms(c.config.GraceMilliseconds)) {
		c.draining = c.drained
	}
	c.changed = true
	c.emit(Effect{Journal: &Journal{}})
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

func (c *Core) anyUnsure() bool {
	for _, k := range c.containers {
		if k.unsure {
			return true
		}
	}
	return false
}
