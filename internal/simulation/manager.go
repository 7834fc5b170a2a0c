// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"time"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	"github.com/understudy-dev/understudy/monitor/ownership"
)

// manager stands in for the real one: it creates the record, publishes the
// succession, late or not at all, and puts new pods in the place of lost ones.
// The API server's health is kept here too.
type manager struct {
	world      *World
	succession *ownership.Succession
	down       time.Duration // until when
	apiDown    time.Duration // until when the API server does not answer
	apiErrors  bool          // or answers with errors
	seen       string        // the version that it watches before the first release
	seenAt     time.Duration
	released   bool
}

// run is one round of the manager, and orders the next.
func (g *manager) run() {
	w := g.world
	w.after(300*time.Millisecond+w.upTo(700*time.Millisecond), g.run)
	if w.now < g.down || w.now < g.apiDown {
		return
	}
	g.record()
	g.publish()
	for _, h := range w.hosts {
		// A pod that has drained is deleted, and another takes its place.
		if h.draining && !h.gone && !h.alive() && (h.monitor == nil || h.monitor.node.Snapshot().Role == ownership.Observer) {
			h.crash()
			h.gone = true
			w.log("%s: pod is gone", h.name)
			n := w.addHost(h.name + "'")
			n.startMonitor()
		}
	}
}

// record creates the record at once, and releases it after it was watched for W
// (GROUP CREATED).
func (g *manager) record() {
	w := g.world
	if g.released {
		return
	}
	l := w.store.lease
	if l == nil {
		if g.seen == "" {
			w.store.create(leasev1.Unheld(0, w.timing.D))
		}
		return
	}
	r, err := leasev1.Decode(*l)
	if err != nil || r.Held() {
		g.released = true
		return
	}
	if g.seen != r.ResourceVersion {
		g.seen, g.seenAt = r.ResourceVersion, w.now
		return
	}
	if w.now-g.seenAt >= leasev1.W(w.timing.D)+w.timing.D/50 {
		if free, ok := leasev1.ReleaseInitial(r); ok {
			w.store.put(free)
		}
		g.released = true
	}
}

// publish computes the succession and sends it to every monitor.
func (g *manager) publish() {
	w := g.world
	s := &ownership.Succession{Barred: map[string]string{}, OwnerEpoch: w.ownerEpoch}
	for _, h := range w.hosts {
		if h.gone {
			continue
		}
		if w.chance(0.1) && !w.quiet {
			s.Reserve = append(s.Reserve, h.uid)
		} else {
			s.Line = append(s.Line, h.uid)
		}
		if h.barred {
			s.Barred[h.uid] = "NodeNotReady"
		}
		if h.up && h.monitor != nil && !h.draining {
			s.Ready = append(s.Ready, h.uid)
		}
	}
	g.succession = s
	for _, h := range w.hosts {
		if m := h.monitor; m != nil && w.now >= max(h.link.cutIn, h.link.cutOut) {
			w.after(h.link.delay(), func() { m.post(ownership.Event{Succession: s}) })
		}
	}
}
