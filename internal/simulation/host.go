// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"maps"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/cmd/init/machine"
	"github.com/understudy-dev/understudy/monitor/core"
)

// grace is what kubelet gives a pod that is to end.
const grace = 20 * time.Second

// host is one host pod: a monitor, and containers with an init and a provider each.
type host struct {
	group      *group
	node       *node
	name, uid  string
	leases     watching
	kinds      watching
	containers []*container
	monitor    *monitor // nil while it does not run
	up         bool     // the pod runs
	draining   bool     // the pod is being deleted
	gone       bool     // it is, and another took its place
	barred     bool
	diskFull   time.Duration // until when
	lives      int           // of the monitor
	// The version of the group that the client of its monitor has, and its owner.
	seen      int
	seenOwner *v1alpha1.GroupOwnerStatus

	// byHand are the programs that a person started beside ours, by resource; true: Open has
	// found it.
	byHand map[string]bool

	// What is on the pod-local volume: the journal, and which key secrets are of.
	journal *saved
	key     int
}

// alive reports whether anything of a resource lives on the host.
func (h *host) alive() bool {
	for _, c := range h.containers {
		if c.provider != nil && c.provider.alive() {
			return true
		}
	}
	return false
}

// instance is the resource as the provider of the host has it, nil if it has none.
func (h *host) instance(uid string) *instance {
	for _, c := range h.containers {
		if c.provider != nil && c.provider.instances[uid] != nil {
			return c.provider.instances[uid]
		}
	}
	return nil
}

// stray is a program that a person started and that was found, and still runs.
func (h *host) stray() string {
	for _, uid := range slices.Sorted(maps.Keys(h.byHand)) {
		if h.byHand[uid] {
			return uid
		}
	}
	return ""
}

func (h *host) post(in core.Input) {
	if h.monitor != nil {
		if in.Group != nil {
			h.seen, _ = strconv.Atoi(in.Group.ResourceVersion)
			h.seenOwner = in.Group.Status.Owner
		}
		h.monitor.post(in)
	}
}

// begin starts the pod.
func (h *host) begin() {
	if h.up || h.gone || h.draining || !h.node.up {
		return
	}
	h.up = true
	h.startMonitor()
	for _, c := range h.containers {
		c.begin()
	}
}

// end ends everything in the pod at once.
func (h *host) end() {
	if !h.up {
		return
	}
	h.up, h.byHand = false, nil
	h.stopMonitor()
	for _, c := range h.containers {
		c.cease()
	}
}

// delete is what kubelet does with a pod that is to go: signals, and after the grace
// period kills.
func (h *host) delete() {
	if h.draining || h.gone {
		return
	}
	h.draining = true
	h.group.world.log(h.name, "is being deleted")
	h.node.after(0, func() {
		for _, c := range h.containers {
			c.step(machine.Event{Kind: machine.Signalled, Signal: syscall.SIGTERM, Text: "SIGTERM"})
		}
	})
	asked := h.group.world.now
	h.node.after(grace, func() {
		if !h.gone {
			h.group.check.left(h, asked)
			h.end()
		}
	})
}

// deleted reports whether nothing of a pod that is to go is left.
func (h *host) deleted() bool {
	for _, c := range h.containers {
		if c.up || c.dying {
			return false
		}
	}
	return h.draining
}

func (h *host) startMonitor() {
	if h.monitor != nil || !h.up || h.gone {
		return
	}
	h.lives++
	h.monitor = newMonitor(h)
	h.monitor.post(core.Input{Started: &core.Started{}})
	h.leases.lose()
	h.kinds.lose()
	for _, c := range h.containers {
		if c.provider != nil {
			c.provider.sendNext()
		}
	}
}

// stopMonitor is kill -9 of the monitor. What it began goes on without it.
func (h *host) stopMonitor() {
	m := h.monitor
	if m == nil {
		return
	}
	h.group.world.log(h.name, "monitor ends")
	m.dead = true
	h.monitor = nil
	h.leases.broken, h.kinds.broken = true, true
	for _, c := range h.containers {
		c.hangup(m)
	}
}

// restartMonitor has init start it again, soon.
func (h *host) restartMonitor(pause time.Duration) {
	h.stopMonitor()
	h.node.after(pause, h.startMonitor)
}
