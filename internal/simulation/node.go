// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"time"

	"github.com/understudy-dev/understudy/monitor/instant"
)

// node is one machine: a clock, a way to the API server, and host pods.
type node struct {
	world *World
	name  string
	clock clock
	// bootIsOff: of its two clocks it is BOOTTIME that may go faster than A1 allows.
	bootIsOff bool
	link      link
	up        bool // false between a crash and the boot
	boots     int
	// frozen is until when a hypervisor lets nothing run here.
	frozen time.Duration
	hosts  []*host
	lame   time.Duration // since when it is as good as gone, if it is
}

func (w *World) addNode(name string) {
	n := &node{world: w, name: name, up: true}
	n.link.node = n
	n.clock = clock{
		since: w.now, boot: int64(w.upTo(1000 * time.Hour)), raw: int64(w.upTo(1000 * time.Hour)), bootRate: 1, rawRate: 1,
	}
	// Where the store goes back, new epochs are larger by the wall clock alone.
	if w.chance(0.5) && !w.options.Outside {
		n.clock.wall = int64(w.upTo(20*time.Second) - 10*time.Second)
	}
	n.bootIsOff = w.chance(0.5)
	n.drift()
	w.nodes = append(w.nodes, n)
}

// after runs f on the node after d of true time, or as soon as it runs again.
func (n *node) after(d time.Duration, f func()) { n.at(n.world.now+max(d, 0), f) }

func (n *node) at(t time.Duration, f func()) {
	w := n.world
	w.queue.push(t, func() {
		if w.now < n.frozen {
			n.at(n.frozen, f)
			return
		}
		f()
	})
}

func (n *node) read() instant.Instant { return n.clock.read(n.world.now) }

func (n *node) bootID() string { return fmt.Sprintf("%s-boot-%d", n.name, n.boots) }

// crash ends everything on the node at once.
func (n *node) crash() {
	if !n.up {
		return
	}
	n.world.log(n.name, "crashes")
	n.up = false
	for _, h := range n.hosts {
		h.end()
	}
}

// boot starts the node again. Its clocks begin anew. What was on a volume in memory is
// gone; one on a disk is as it was.
func (n *node) boot() {
	w := n.world
	if n.up {
		return
	}
	w.log(n.name, "boots")
	n.up = true
	n.boots++
	n.clock.since, n.clock.boot, n.clock.raw = w.now, int64(time.Second), int64(time.Second)
	for _, h := range n.hosts {
		if w.chance(0.5) {
			h.journal = nil
		}
		h.begin()
	}
}

// drift sets new rates of the clocks. Timers that run follow them.
func (n *node) drift() {
	w := n.world
	rate := func() float64 {
		if w.style.extreme && w.chance(0.8) {
			return []float64{1 - w.options.Drift, 1 + w.options.Drift}[w.rng.IntN(2)]
		}
		return 1 + (2*w.rng.Float64()-1)*w.options.Drift
	}
	boot, raw := rate(), 0.0
	if raw = boot; w.chance(0.4) {
		raw = rate()
	}
	// One of both may be further off: a holder goes by the faster, an observer by the slower,
	// and no guard may be late. It is the same one all the time: what A1 bounds is the time
	// that they agree on, not each at its time.
	far := 4 * w.options.Drift
	switch {
	case !w.chance(0.2):
	case n.bootIsOff:
		boot = 1 + far
	default:
		raw = 1 + []float64{far, -far}[w.rng.IntN(2)]
	}
	n.rates(boot, raw)
}

// rates sets the rates of both clocks; 0 stops them.
func (n *node) rates(boot, raw float64) {
	for _, h := range n.hosts {
		for _, c := range h.containers {
			if (c.killing || c.dying) && boot != 0 && n.clock.bootRate != 0 {
				return // K was drawn on the old rate
			}
		}
	}
	c, i := &n.clock, n.read()
	c.since, c.boot, c.raw = n.world.now, i.Boot, i.Raw
	c.bootRate, c.rawRate = boot, raw
	for _, h := range n.hosts {
		for _, x := range h.containers {
			x.arm()
		}
		if m := h.monitor; m != nil {
			m.arm(m.armed)
		}
	}
}

// freeze lets nothing run for d, and no clock but the wall's go on: what a hypervisor does
// that hides the pause from its guest. Outside of A1 and A2.
func (n *node) freeze(d time.Duration) {
	w := n.world
	w.log(n.name, "frozen for %v, clocks too", d.Round(time.Millisecond))
	n.frozen = max(n.frozen, w.now+d)
	n.stopClocks(d)
}

// stopClocks has the clocks stand still for d while everything goes on. Outside of A1.
func (n *node) stopClocks(d time.Duration) {
	w := n.world
	w.log(n.name, "clocks stand still for %v", d.Round(time.Millisecond))
	n.rates(0, 0)
	w.after(d, func() {
		n.rates(1, 1)
		n.drift()
	})
}
