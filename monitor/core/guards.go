// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core

import (
	"github.com/understudy-dev/understudy/monitor/engine"
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
	case h.G2 != 0 && (k.unsure || first && k.nonce != "" && (k.nonce != h.Nonce || h.Epoch != c.disk.Epoch)):
		// The journal does not know of this guard, under which something may be online: it
		// is older, or was begun anew by a life that ended before the container was empty.
		// Or the kill for that got lost with the connection.
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
	c.emit(Effect{Kill: &Kill{Container: r.Container, Reason: string(r.Reason), AfterDump: r.AfterDump}})
}

func (c *Core) container(name string) *container {
	k := c.containers[name]
	if k == nil {
		k = &container{}
		c.containers[name] = k
	}
	return k
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
