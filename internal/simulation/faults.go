// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"time"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	"github.com/understudy-dev/understudy/monitor/ownership"
)

// fault is something bad, or just something that happens, to a host.
type fault struct {
	weight int
	strike func(w *World, h *host)
}

// until is a time as far in the future as a fault may last.
func (w *World) until() time.Duration {
	if w.chance(0.5) {
		return w.now + w.upTo(w.timing.D)
	}
	return w.now + w.upTo(3*w.timing.D)
}

// cut cuts the host off from the API server: both ways or one.
func (w *World) cut(h *host) {
	t := w.until()
	way := w.rng.IntN(3)
	if way != 1 {
		h.link.cutOut = max(h.link.cutOut, t)
	}
	if way != 2 {
		h.link.cutIn = max(h.link.cutIn, t)
	}
	w.log("%s: cut (%s) until %.4f", h.name, []string{"both", "in", "out"}[way], t.Seconds())
}

var faults = []fault{
	{10, (*World).cut},
	{6, func(w *World, h *host) { // the cut follows right upon the next commit
		h.link.strike = func() { w.cut(h) }
	}},
	{6, func(w *World, h *host) { // an answer is lost, and soon after all others are
		h.link.loseAnswer = 1 + w.rng.IntN(2)
		d := w.upTo(w.timing.R + 2*w.timing.A)
		h.link.strike = func() { w.after(d, func() { w.cut(h) }) }
	}},
	{4, func(w *World, h *host) { h.link.slow = w.until(); w.log("%s: slow link", h.name) }},
	{3, func(w *World, _ *host) {
		w.manager.apiDown, w.manager.apiErrors = w.until(), w.chance(0.5)
		w.log("API server: down until %.4f", w.manager.apiDown.Seconds())
	}},
	{8, func(w *World, h *host) {
		erased := w.chance(0.1)
		h.stopMonitor()
		if erased {
			h.disk = ownership.Disk{}
		}
		pause := w.upTo(w.timing.D)
		if w.chance(0.7) {
			pause = w.upTo(500 * time.Millisecond)
		}
		w.after(pause, h.startMonitor)
	}},
	{4, func(w *World, h *host) {
		if h.monitor != nil {
			h.monitor.pause(w.upTo(2 * w.timing.D))
		}
	}},
	{4, func(w *World, h *host) {
		if h.monitor != nil {
			h.monitor.pauseAt = 1 + w.rng.IntN(20)
		}
	}},
	{4, func(w *World, h *host) {
		h.crash()
		w.after(w.upTo(4*w.timing.D), h.boot)
	}},
	{2, func(w *World, h *host) { // a person declares a host stopped, which is true
		h.crash()
		w.after(w.timing.D+w.upTo(4*w.timing.D), h.boot)
		w.after(w.upTo(w.timing.D/2), func() { w.fence(h) })
	}},
	{3, func(w *World, h *host) {
		c := h.containers[w.rng.IntN(len(h.containers))]
		if c.up && h.up {
			w.log("%s: container %s ends", h.name, c.name)
			c.end()
			w.after(w.upTo(time.Second), func() {
				if h.up && !c.up {
					c.begin()
				}
			})
		}
	}},
	{3, func(w *World, h *host) {
		c := h.containers[w.rng.IntN(len(h.containers))]
		c.disconnect()
		c.broken = w.now + w.upTo(w.timing.D)
		c.connect()
	}},
	{3, func(w *World, _ *host) { w.store.remove() }},
	{2, func(w *World, _ *host) {
		w.store.edit(func(l *leasev1.Lease) {
			key := []string{leasev1.KeyEpoch, leasev1.KeySeq, leasev1.KeyMembers}[w.rng.IntN(3)]
			l.Annotations[key] = "mistyped, by hand"
		})
		w.after(w.upTo(5*w.timing.D), w.mend)
	}},
	{2, func(w *World, _ *host) { // an edit that means nothing, but makes a version
		w.store.edit(func(l *leasev1.Lease) { l.Annotations["example.com/note"] = "hello" })
	}},
	{4, func(w *World, h *host) {
		if h.monitor != nil && w.now >= h.monitor.engine.hung {
			h.monitor.engine.hungSince, h.monitor.engine.hung = w.now, w.until()
			w.log("%s: engine hangs until %.4f", h.name, h.monitor.engine.hung.Seconds())
		}
	}},
	{5, func(w *World, h *host) { h.containers[w.rng.IntN(len(h.containers))].crash() }},
	{6, func(w *World, h *host) {
		c := h.containers[w.rng.IntN(len(h.containers))]
		c.hang = w.now + w.upTo(4*w.timing.D)
		w.log("%s: %s does not stop until %.4f", h.name, c.name, c.hang.Seconds())
	}},
	{4, func(w *World, h *host) {
		if h.monitor != nil {
			h.release = &ownership.Release{Cause: leasev1.CauseMove, Reason: leasev1.Reason{Reason: "Move"}}
			h.monitor.postWish()
		}
	}},
	{2, func(w *World, h *host) {
		if !h.draining && !h.gone && h.up {
			h.draining = true
			w.log("%s: drains", h.name)
			if h.monitor != nil {
				h.monitor.post(ownership.Event{Drain: &ownership.Drain{Reason: leasev1.Reason{Reason: "Drain"}}})
			}
		}
	}},
	{4, func(w *World, _ *host) {
		if w.arbiter != nil {
			w.arbiter.loseQuorum()
		}
	}},
	{2, func(w *World, h *host) { h.diskFull = w.until() }},
	{3, func(w *World, h *host) { h.watch.lose() }},
	{3, func(w *World, h *host) { w.drift(h) }},
	{1, func(w *World, h *host) { h.clock.wall += int64(w.upTo(2*time.Hour) - time.Hour) }},
	{2, func(w *World, _ *host) { w.manager.down = w.now + w.upTo(5*w.timing.D) }},
	{2, func(w *World, h *host) { h.barred = !h.barred }},
	{2, func(w *World, _ *host) {
		w.setOnline(!w.wantOnline)
		w.after(w.upTo(2*w.timing.D), func() { w.setOnline(true) })
	}},
}

// mend is the person again, who deletes a record that nobody could mend.
func (w *World) mend() {
	if l := w.store.lease; l != nil {
		if _, err := leasev1.Decode(*l); err != nil {
			w.store.remove()
		}
	}
}

// fence declares the holder's host stopped if that is the one that crashed.
func (w *World) fence(h *host) {
	if w.store.lease == nil || h.up {
		return
	}
	if r, err := leasev1.Decode(*w.store.lease); err == nil && r.HolderUID == h.uid {
		if f, ok := leasev1.Fence(r, "someone"); ok {
			w.log("%s: declared stopped", h.name)
			w.store.put(f)
		}
	}
}

func (w *World) setOnline(want bool) {
	w.wantOnline = want
	w.log("spec: online %v", want)
	for _, h := range w.hosts {
		if h.monitor != nil {
			w.after(h.link.delay(), func() {
				if h.monitor != nil {
					h.monitor.postWish()
				}
			})
		}
	}
}

// trouble strikes once, more often than not at the owner, and orders the next.
func (w *World) trouble() {
	if w.quiet {
		return
	}
	w.after(w.upTo(2*w.style.faults), w.trouble)
	h := w.hosts[w.rng.IntN(len(w.hosts))]
	if owner := w.online(); owner != nil && w.chance(0.6) {
		h = owner
	}
	if h.gone {
		return
	}
	sum := 0
	for _, f := range faults {
		sum += f.weight
	}
	n := w.rng.IntN(sum)
	for _, f := range faults {
		if n -= f.weight; n < 0 {
			w.Coverage.Faults++
			f.strike(w, h)
			return
		}
	}
}
