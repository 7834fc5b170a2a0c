// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"time"

	guardv1 "github.com/understudy-dev/understudy/api/guard/v1"
)

const (
	// Unreachable is how long the monitor may be away from a container that was
	// asked to end, before init sees to the end alone.
	Unreachable = 2 * time.Second
	// SoftToHard is the most that the child then has to end by itself.
	SoftToHard = 1500 * time.Millisecond
)

// stop is the request to end the container.
type stop struct {
	// reason is the signal that asked, empty if none did.
	reason string
	// cutAt is when the monitor will have been away for too long, zero while it
	// is there.
	cutAt int64
	// hardAt is when init kills all without having heard from the monitor. Once
	// set it stays: the child was told to end and does.
	hardAt int64
}

// signalled takes any stop signal as a request to hand over: which one comes is
// up to the image, and what it means to the program there is not meant for init.
func (g *Guard) signalled(now int64, name string) {
	if g.stop.reason != "" {
		return
	}
	g.stop.reason = name
	switch {
	case g.link.secret == "":
		g.log("%s before the first child: exiting", name)
		if !g.killing {
			g.kill(sequel{})
		}
		g.then = sequel{exit: true}
	case g.link.welcomed:
		g.log("%s: asked the monitor to hand over", name)
		g.stopWelcomed()
	default:
		g.log("%s: the monitor is away", name)
		g.stopCut(now)
	}
}

// stopCut starts the wait for a monitor that is away.
func (g *Guard) stopCut(now int64) {
	if g.stop.reason != "" && g.stop.hardAt == 0 {
		g.stop.cutAt = now + int64(Unreachable)
	}
}

// stopWelcomed tells the monitor, once for each connection.
func (g *Guard) stopWelcomed() {
	g.stop.cutAt = 0
	if g.stop.reason != "" {
		g.send(guardv1.Message{Type: guardv1.Stopping, Reason: g.stop.reason})
	}
}

// expireStop goes on alone, as at the soft guard, and the hard guard, if there
// is an earlier one, still holds.
func (g *Guard) expireStop(now int64) {
	if !due(now, g.stop.cutAt) {
		return
	}
	g.stop.cutAt, g.stop.hardAt = 0, now+int64(SoftToHard)
	if !g.child {
		g.kill(sequel{})
		g.log("the monitor is away and no child runs: exiting")
		return
	}
	g.term()
	g.log("the monitor has been away for %s: asked the child to end", Unreachable)
}
