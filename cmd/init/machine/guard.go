// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"fmt"
	"syscall"

	guardv1 "github.com/understudy-dev/understudy/api/guard/v1"
)

// Guard is the machine of a guarded container. It holds the one thing that a
// hung, stopped or dead monitor must not be able to hold up: the deadline at
// which everything in the container dies.
//
// Whatever ends a child, its own death, the guard or an order, goes the same
// way: kill all, prove the container empty, take a new nonce, tell the monitor,
// start the next child. The first child is no exception. If the proof fails
// init exits, because with PID 1 the kernel kills the whole PID namespace.
type Guard struct {
	out []Action

	bootID string
	nonce  string
	link   link

	// highest is the highest epoch seen, and the epoch of the guard in force.
	highest int64
	// g1 and g2 are the guard in force, both zero if there is none. softened
	// says that g1 was acted upon.
	g1, g2   int64
	softened bool

	child    bool
	started  int64
	startAt  int64
	restarts restarts

	// killing is set from KillAll to Emptied. then says what follows.
	killing bool
	then    sequel

	stop stop
	dump dump
}

// sequel is what follows a kill.
type sequel struct {
	pause int64
	exit  bool
	code  int
}

// NewGuard returns a Guard that dials at the first Tick, at now.
func NewGuard(now int64, bootID, nonce string) *Guard {
	return &Guard{out: make([]Action, 0, 16), bootID: bootID, nonce: nonce, link: link{dialAt: now}}
}

// Deadline implements Machine.
func (g *Guard) Deadline() int64 {
	soft := g.g1
	if g.softened {
		soft = 0
	}
	return earliest(g.g2, soft, g.startAt, g.link.dialAt, g.stop.cutAt, g.stop.hardAt, g.dump.killAt)
}

// Step implements Machine. Deadlines come before the event, so that no message
// can revive what is due, and after it, because it may have set one in the past.
func (g *Guard) Step(now int64, e Event) []Action {
	g.out = g.out[:0]
	g.expire(now)
	switch e.Kind {
	case Connected:
		g.connected(now)
	case DialFailed:
		if g.link.pause == 0 {
			g.log("no monitor yet, trying for as long as it takes: %s", e.Text)
		}
		g.link.retry(now, dialMax)
	case Disconnected:
		g.log("the connection to the monitor ended: %s", e.Text)
		g.disconnected(now, dialMax)
	case Received:
		g.received(now, e.Message)
	case Signalled:
		g.signalled(now, e.Text)
	case ChildDied:
		g.childDied(now, "the child "+e.Text)
	case StartFailed:
		g.startFailed(now, e)
	case Emptied:
		g.emptied(now, e)
	case Dumped:
		g.dumped(e.Message)
	}
	g.expire(now)
	return g.out
}

// expire acts on every deadline that has passed, the hardest first.
func (g *Guard) expire(now int64) {
	switch {
	case g.killing:
		// Whatever else is due is settled by Emptied.
		return
	case due(now, g.g2):
		g.kill(sequel{pause: int64(RestartMin)})
		g.log("hard guard of epoch %d reached: killed all", g.highest)
		return
	case due(now, g.stop.hardAt):
		g.kill(sequel{})
		g.log("the monitor did not come back in time: killed all")
		return
	case due(now, g.dump.killAt):
		g.ordered()
		return
	}
	if due(now, g.g1) && !g.softened {
		g.softened = true
		g.term()
		g.log("soft guard of epoch %d reached: asked the child to end", g.highest)
	}
	g.expireStop(now)
	if due(now, g.startAt) && !g.killing {
		g.startAt, g.child, g.started = 0, true, now
		g.do(Action{Kind: Start})
	}
	if due(now, g.link.dialAt) {
		g.link.dialAt = 0
		g.do(Action{Kind: Dial})
	}
}

func due(now, at int64) bool { return at != 0 && now >= at }

// kill begins the way that every child ends. A stop that goes on without the
// monitor ends in an exit, whatever the reason for the kill.
func (g *Guard) kill(then sequel) {
	if g.stop.hardAt != 0 {
		then.exit = true
	}
	g.killing, g.then, g.startAt, g.dump.killAt = true, then, 0, 0
	g.do(Action{Kind: KillAll})
}

// emptied ends it. The guard ends, too: nothing runs under it any more.
func (g *Guard) emptied(now int64, e Event) {
	g.child = false
	if !e.Proven {
		g.log("cannot prove that the container is empty (%s): exiting, so that the kernel kills what is left", e.Text)
		g.do(Action{Kind: Exit, Code: 1})
		return
	}
	g.nonce, g.g1, g.g2, g.softened = e.Nonce, 0, 0, false
	g.send(guardv1.Message{Type: guardv1.Empty})
	if g.then.exit {
		g.do(Action{Kind: Exit, Code: g.then.code})
		return
	}
	// Only here: one that exits stays killing, so that nothing follows.
	g.killing = false
	g.startAt = now + g.then.pause
}

func (g *Guard) childDied(now int64, what string) {
	g.child = false
	if g.killing {
		return
	}
	if g.softened || g.stop.hardAt != 0 {
		// It was asked to end.
		g.kill(sequel{pause: int64(RestartMin)})
		g.log("%s, as it was asked to: killed all", what)
		return
	}
	pause, tooMany := g.restarts.died(now, g.started)
	if tooMany {
		g.kill(sequel{exit: true, code: 1})
		g.log("%s: killed all; that was death %d within %s, so the container ends", what, DeathLimit, DeathWindow)
		return
	}
	g.kill(sequel{pause: pause})
	g.log("%s: killed all, starting it again", what)
}

func (g *Guard) startFailed(now int64, e Event) {
	if e.Status != 0 {
		g.child = false
		g.kill(sequel{exit: true, code: e.Status})
		g.log("cannot start the child: %s", e.Text)
		return
	}
	g.childDied(now, "the child could not be started ("+e.Text+")")
}

// setGuard applies a Guard message.
func (g *Guard) setGuard(now int64, m guardv1.Message) {
	switch {
	case g.killing:
		// Too late: the one in force has just run out.
		return
	case m.Epoch < g.highest:
		g.log("ignored a guard of epoch %d: epoch %d was seen before", m.Epoch, g.highest)
		return
	}
	g.highest = m.Epoch
	switch {
	case m.G2 == 0:
		g.g1, g.g2, g.softened = 0, 0, false
	case g.g2 == 0 && due(now, m.G2):
		// None was acknowledged since the container was proven empty, so that nothing is
		// online. It ran out on its way, most often while init was killing: one kill each
		// would keep init from ever catching up.
		g.log("ignored a guard of epoch %d that had run out already: nothing is guarded here", m.Epoch)
		return
	default:
		g.g1, g.g2 = m.G1, m.G2
		if g.g1 <= 0 || g.g1 > g.g2 {
			g.g1 = g.g2
		}
		// A soft guard that was acted upon stays so until there is a new one:
		// a late message must not signal twice.
		g.softened = g.softened && due(now, g.g1)
		if due(now, g.g2) {
			return // expire kills; Empty is the answer.
		}
	}
	g.send(guardv1.Message{Type: guardv1.Guarded, Epoch: g.highest, G1: g.g1, G2: g.g2})
}

// term asks the child to end.
func (g *Guard) term() {
	if g.child {
		g.do(Action{Kind: SignalChild, Signal: syscall.SIGTERM})
	}
}

func (g *Guard) do(a Action) { g.out = append(g.out, a) }

func (g *Guard) log(format string, args ...any) {
	g.do(Action{Kind: Log, Text: fmt.Sprintf(format, args...)})
}
