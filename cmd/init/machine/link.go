// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"time"

	guardv1 "github.com/understudy-dev/understudy/api/guard/v1"
)

const (
	// dialMin is the pause before the first new try to connect. dialMax bounds
	// it while the monitor is away, refusedMax while it does not want us.
	dialMin    = 10 * time.Millisecond
	dialMax    = 100 * time.Millisecond
	refusedMax = time.Second
)

// link is the connection to the monitor.
type link struct {
	up       bool
	welcomed bool
	// introduced is the nonce of the hello.
	introduced string
	// secret is what the monitor handed out, empty before the first welcome: no
	// child runs before that.
	secret string
	dialAt int64
	pause  int64
	// refusal is the last reason for one: each is worth one line.
	refusal string
}

// retry plans the next Dial.
func (l *link) retry(now int64, most time.Duration) {
	l.pause = max(int64(dialMin), min(2*l.pause, int64(most)))
	l.dialAt = now + l.pause
}

func (g *Guard) connected(now int64) {
	g.link.up, g.link.dialAt, g.link.introduced = true, 0, g.nonce
	g.do(Action{Kind: Send, Message: guardv1.Message{
		Type: guardv1.Hello, Version: guardv1.Version, Nonce: g.nonce, BootID: g.bootID, BoottimeNanos: now,
		Secret: g.link.secret, Epoch: g.highest, G1: g.g1, G2: g.g2,
	}})
}

// disconnected takes note that the connection is gone. Nothing else changes:
// the child lives on and the guard counts on.
func (g *Guard) disconnected(now int64, most time.Duration) {
	if g.link.welcomed {
		g.stopCut(now)
	}
	g.link.up, g.link.welcomed = false, false
	g.link.retry(now, most)
}

// hangup ends the connection from this side.
func (g *Guard) hangup(now int64) {
	g.do(Action{Kind: Hangup})
	g.disconnected(now, refusedMax)
}

func (g *Guard) received(now int64, m guardv1.Message) {
	switch {
	case !g.link.up:
		return
	case m.Type == guardv1.Refuse:
		if m.Reason != g.link.refusal {
			g.log("the monitor refused the connection, trying again: %s", m.Reason)
		}
		g.link.refusal = m.Reason
		g.hangup(now)
	case m.Type == guardv1.Welcome && !g.link.welcomed:
		g.welcomed(now, m)
	case !g.link.welcomed:
		g.log("the monitor sent %q before a welcome: connecting again", m.Type)
		g.hangup(now)
	case m.Type == guardv1.Guard:
		g.setGuard(now, m)
	case m.Type == guardv1.Kill:
		g.killOrdered(now, m)
	case m.Type == guardv1.Dump:
		g.dumpOrdered(m)
	case m.Type == guardv1.Exit:
		if !g.killing {
			g.kill(sequel{})
		}
		g.then = sequel{exit: true}
		g.log("the monitor ordered it: killed all, exiting")
	default:
		g.log("ignored a message of unknown type %q", m.Type)
	}
}

func (g *Guard) welcomed(now int64, m guardv1.Message) {
	switch {
	case m.Version < guardv1.Oldest || m.Version > guardv1.Version:
		g.log("the monitor chose version %d of the guard's format, init speaks %d to %d: "+
			"use releases that are no more than one apart", m.Version, guardv1.Oldest, guardv1.Version)
		g.hangup(now)
		return
	case m.Secret == "" && g.link.secret == "":
		g.log("the monitor's first welcome has no secret: connecting again")
		g.hangup(now)
		return
	}
	first := g.link.secret == ""
	g.link.welcomed, g.link.pause, g.link.refusal = true, 0, ""
	if m.Secret != "" {
		g.link.secret = m.Secret
	}
	g.stopWelcomed()
	switch {
	case g.killing: // what is to be told follows
	case first:
		// The empty that follows tells the monitor that the secret arrived.
		g.kill(sequel{})
	case g.nonce != g.link.introduced:
		// The child of the hello died before the welcome, when nothing could be sent.
		g.send(guardv1.Message{Type: guardv1.Empty})
	}
}

// send sends m under the current nonce, if anybody listens.
func (g *Guard) send(m guardv1.Message) {
	if g.link.welcomed {
		m.Nonce = g.nonce
		g.do(Action{Kind: Send, Message: m})
	}
}
