// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"slices"
	"strings"
	"time"

	guardv1 "github.com/understudy-dev/understudy/api/guard/v1"
	"github.com/understudy-dev/understudy/cmd/init/machine"
	"github.com/understudy-dev/understudy/monitor/core"
)

// container is one supervised container: the real machine of init (Ownership section 8),
// and the provider below it.
type container struct {
	host     *host
	name     string
	up       bool
	lives    int // of init
	nonces   int
	init     *machine.Guard
	timers   int
	starts   int       // of the child; more when it died
	provider *provider // nil while none runs

	// killing: init is at it until killed, and reads nothing before it is done.
	killing bool
	killed  time.Duration
	waiting []machine.Event
	// stopped is until when init does nothing.
	stopped time.Duration
	// dying: init is gone, and the kernel has not ended yet what it leaves.
	dying bool

	// guard is what init says is in force, due when it must have killed.
	guard guardv1.Message

	// The connection to the monitor, which counts when it was accepted.
	session  *monitor
	accepted bool
	link     int
	void     int           // what was sent by this connection, or before, is lost
	lastUp   time.Duration // messages keep their order
	lastDown time.Duration

	stuck    bool          // kubelet sees that the monitor waits for its end
	broken   time.Duration // until when no connection is made
	frail    bool          // its provider dies when init has said hello
	deafKill time.Duration // until when no order to kill arrives
}

func (c *container) world() *World { return c.host.group.world }

func (c *container) nonce() string { return fmt.Sprintf("%s-%s-%d", c.host.name, c.name, c.nonces) }

func (c *container) boot() int64 { return c.host.node.read().Boot }

func (c *container) begin() {
	if c.up || c.dying || !c.host.up {
		return
	}
	c.up, c.killing, c.killed, c.stopped, c.waiting = true, false, 0, 0, nil
	c.lives++
	c.nonces++
	c.guard = guardv1.Message{}
	c.init = machine.NewGuard(c.boot(), c.host.node.bootID(), c.nonce())
	c.step(machine.Event{Kind: machine.Tick})
}

// end is the end of init, and with it of the whole PID namespace: its sockets close at once,
// and the rest is gone within K, or when a kill that is under way is done.
func (c *container) end() {
	if !c.up {
		return
	}
	w, life := c.world(), c.lives
	w.log(c.host.name, "the init of container %s ends", c.name)
	c.up, c.dying = false, true
	c.timers++
	c.lose(false)
	d := c.lag()
	if c.killed > w.now { // a kill was under way
		d = min(d, c.killed-w.now)
	}
	c.host.node.after(d, func() {
		if c.lives == life {
			c.ended()
		}
	})
}

// cease is the end of all at once.
func (c *container) cease() {
	c.end()
	c.ended()
}

// ended: nothing of the PID namespace is left.
func (c *container) ended() {
	if !c.dying {
		return
	}
	c.dying = false
	c.die("its container ends")
	c.guard = guardv1.Message{}
	if h := c.host; h.up && !h.draining { // kubelet starts it again
		h.node.after(c.world().pick([2]time.Duration{500 * time.Millisecond, 3 * time.Second}), c.begin)
	}
}

// step gives the machine an event, unless init is killing, or stopped.
func (c *container) step(e machine.Event) {
	if !c.up {
		return
	}
	if c.killing || c.world().now < c.stopped {
		if e.Kind != machine.Tick {
			c.waiting = append(c.waiting, e)
		}
		return
	}
	c.do(e)
	c.arm()
}

// goOn takes up what came in meanwhile.
func (c *container) goOn() {
	for len(c.waiting) > 0 && !c.killing && c.up && c.world().now >= c.stopped {
		e := c.waiting[0]
		c.waiting = c.waiting[1:]
		c.step(e)
	}
}

func (c *container) do(e machine.Event) {
	life := c.lives
	for _, a := range slices.Clone(c.init.Step(c.boot(), e)) {
		if c.lives == life && c.up {
			c.act(a)
		}
	}
}

func (c *container) act(a machine.Action) {
	w := c.world()
	switch a.Kind {
	case machine.KillAll:
		c.kill()
	case machine.SignalChild:
		if p := c.provider; p != nil {
			p.sigterm()
		} else { // it has no handler yet
			c.host.node.after(0, func() { c.step(machine.Event{Kind: machine.ChildDied, Text: "ended by SIGTERM"}) })
		}
	case machine.Start:
		c.starts++
		n := c.starts
		c.host.node.after(w.pick([2]time.Duration{2 * time.Millisecond, 40 * time.Millisecond}), func() {
			if c.up && c.starts == n && !c.killing {
				c.provider = newProvider(c)
				c.provider.came()
			}
		})
	case machine.Dial:
		c.dial()
	case machine.Hangup:
		c.lose(false)
	case machine.Send:
		if a.Message.Type == guardv1.Guarded {
			c.guard = a.Message
			c.host.group.check.disarmed(c)
		}
		c.tell(a.Message)
	case machine.Log:
		w.log(c.host.name, "%s: %s", c.name, a.Text)
		if strings.HasPrefix(a.Text, "hard guard") && c.provider != nil && c.provider.alive() {
			w.Coverage.GuardKill++
		}
	case machine.Exit:
		c.end()
	}
}

// kill is the kill of all but init, which takes up to K.
func (c *container) kill() {
	w, d := c.world(), c.lag()
	c.killing, c.killed = true, w.now+d
	life := c.lives
	if w.chance(0.03) { // some process of another user is left
		d = w.upTo(d)
		c.host.node.after(d, func() {
			if c.lives == life && c.up {
				c.emptied(machine.Event{Kind: machine.Emptied, Text: "1 process is left"})
			}
		})
		return
	}
	c.host.node.after(d, func() {
		if c.lives != life || !c.up {
			return
		}
		c.die("killed")
		c.guard = guardv1.Message{}
		c.nonces++
		c.emptied(machine.Event{Kind: machine.Emptied, Proven: true, Nonce: c.nonce()})
	})
}

// emptied is the first that init learns after a kill, however much has come in since.
func (c *container) emptied(e machine.Event) {
	c.killing = false
	c.waiting = slices.Insert(c.waiting, 0, e)
	c.goOn()
}

// stop is SIGSTOP for init, which then neither keeps a deadline nor reads. Outside of A2.
func (c *container) stop(d time.Duration) {
	c.stopped = max(c.stopped, c.world().now+d)
	c.host.node.at(c.stopped, func() {
		c.step(machine.Event{Kind: machine.Tick})
		c.goOn()
	})
}

// lag is how long the kernel takes to end what it was told to.
func (c *container) lag() time.Duration {
	w := c.world()
	d := w.upTo(c.host.group.timing.K)
	if w.style.extreme && w.chance(0.3) {
		d = c.host.group.timing.K
	}
	return c.host.node.clock.stretch(d)
}

// die ends the provider and what it started.
func (c *container) die(how string) {
	c.starts++
	if p := c.provider; p != nil {
		c.provider = nil
		p.die(how)
	}
}

// childDies is the end of the provider by itself.
func (c *container) childDies(how string) {
	p := c.provider
	if p == nil || p.dead {
		return
	}
	// What it started lives until init has killed it.
	p.stop(how)
	if c.killing {
		return // it is one of those that are found dead
	}
	c.step(machine.Event{Kind: machine.ChildDied, Text: how})
}

// arm sets the timer of the machine.
func (c *container) arm() {
	c.timers++
	if !c.up || c.killing {
		return
	}
	n, at := c.timers, c.init.Deadline()
	if at == 0 {
		return
	}
	if d := c.host.node.clock.until(c.world().now, at); d < never {
		c.host.node.after(d, func() {
			if c.timers == n {
				c.step(machine.Event{Kind: machine.Tick})
			}
		})
	}
}

// dial connects to the monitor, if there is one.
func (c *container) dial() {
	w, life := c.world(), c.lives
	c.host.node.after(w.pick(w.style.local), func() {
		switch m := c.host.monitor; {
		case c.lives != life || !c.up:
		case m == nil || w.now < c.broken:
			c.step(machine.Event{Kind: machine.DialFailed, Text: "connection refused"})
		default:
			c.session, c.accepted, c.lastUp, c.lastDown = m, false, max(c.lastUp, w.now), w.now
			c.link++
			c.step(machine.Event{Kind: machine.Connected})
			if c.frail {
				c.frail = false
				c.childDies("signal: segmentation fault")
			}
		}
	})
}

// lose ends the connection. Cut: the monitor's side did, and what was on its way is lost; else
// that arrives before the end.
func (c *container) lose(cut bool) {
	m, accepted := c.session, c.accepted
	c.session, c.accepted = nil, false
	at := max(c.world().now, c.lastUp)
	if cut {
		at, c.void = c.world().now, c.link
	}
	c.link++
	if m != nil && accepted && !m.dead {
		c.host.node.at(at, func() { m.post(core.Input{InitGone: &core.InitGone{Container: c.name, Cut: cut}}) })
	}
}

// hangup is the end of a connection that init did not bring about.
func (c *container) hangup(m *monitor) {
	if c.session == nil || m != nil && c.session != m {
		return
	}
	c.lose(true)
	life := c.lives
	c.host.node.after(c.world().pick(c.world().style.local), func() {
		if c.lives == life {
			c.step(machine.Event{Kind: machine.Disconnected, Text: "the connection was reset"})
		}
	})
}

// tell brings a message of init to the monitor.
func (c *container) tell(message guardv1.Message) {
	w, m, link := c.world(), c.session, c.link
	if m == nil {
		return
	}
	c.lastUp = max(c.lastUp, w.now+w.pick(w.style.local))
	c.host.node.at(c.lastUp, func() {
		// A hello counts while its connection lasts only: nobody would hear of its end.
		if (c.link == link || link > c.void && message.Type != guardv1.Hello) && !m.dead {
			m.heard(c, message)
		}
	})
}

// order brings a message of the monitor to init.
func (c *container) order(message guardv1.Message) {
	w, link := c.world(), c.link
	if c.session == nil || message.Type == guardv1.Kill && w.now < c.deafKill {
		return
	}
	c.lastDown = max(c.lastDown, w.now+w.pick(w.style.local))
	c.host.node.at(c.lastDown, func() {
		if c.link == link && c.up {
			c.step(machine.Event{Kind: machine.Received, Message: message})
		}
	})
}
