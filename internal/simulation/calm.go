// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"slices"
	"time"

	"github.com/understudy-dev/understudy/cmd/init/machine"
)

// lone ends all faults of one node, and leaves the others worse than they were: without a way
// to the API server, or from it, or power. That one is enough.
func (w *World) lone(n *node) {
	w.log("", "calm on %s alone from here on", n.name)
	w.quiet = true
	for _, other := range w.nodes {
		if other == n {
			continue
		}
		other.lame = w.now
		if w.style.lame != 1 {
			other.link.cutOut = never
		}
		if w.style.lame != 2 {
			other.link.cutIn = never
		}
		if w.style.lame == 3 {
			other.crash()
		}
	}
	w.mend(n)
}

// calm ends all faults.
func (w *World) calm() {
	w.log("", "calm from here on")
	w.quiet = true
	w.mend(w.nodes...)
}

// mend ends all faults of these nodes, and of what is not on a node.
func (w *World) mend(nodes ...*node) {
	ends := func(until ...*time.Duration) {
		for _, t := range until {
			*t = min(*t, w.now)
		}
	}
	ends(&w.api.down)
	for _, n := range nodes {
		n.lame = 0
		ends(&n.link.cutIn, &n.link.cutOut, &n.link.slow)
		n.link.loseAnswer, n.link.strike = 0, nil
		n.boot()
	}
	for _, g := range w.groups {
		ends(&g.manager.down, &g.outside)
		if !g.wantOnline {
			g.change(func() { g.wantOnline = true })
		}
		g.mend()
		for _, h := range g.hosts {
			if !slices.Contains(nodes, h.node) {
				continue
			}
			ends(&h.diskFull)
			h.barred = false
			for _, c := range h.containers {
				c.frail = false
				ends(&c.broken, &c.deafKill, &c.stopped)
				if p := c.provider; p != nil {
					ends(&p.hung, &p.stubborn, &p.lying)
				}
				c.step(machine.Event{Kind: machine.Tick})
				c.goOn()
			}
			if m := h.monitor; m != nil {
				ends(&m.paused, &m.hung)
				m.pauseAt, m.killAt, m.belated = 0, 0, false
				m.run()
			}
			h.startMonitor()
		}
	}
}
