// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"slices"
	"time"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
)

// fault is something bad, or just something that happens, to a host.
type fault struct {
	weight int
	name   string
	// can reports whether it would do anything to the host now.
	can    func(h *host) bool
	strike func(w *World, h *host)
}

func running(h *host) bool    { return h.up }
func staying(h *host) bool    { return h.up && !h.draining }
func monitored(h *host) bool  { return h.monitor != nil }
func recorded(h *host) bool   { return h.group.store.lease != nil }
func arbitrated(h *host) bool { return h.group.arbiter != nil }

// serving: each provider runs, and has opened something.
func serving(h *host) bool {
	for _, c := range h.containers {
		if c.provider == nil || len(c.provider.instances) == 0 {
			return false
		}
	}
	return h.monitor != nil
}

func idleHost(h *host) bool { return serving(h) && idle(h.monitor.owner.Role) }

// called: a call waits for its end.
func called(h *host) bool {
	for _, k := range h.group.store.calls {
		if !k.Finished {
			return true
		}
	}
	return false
}

// until is a time as far in the future as a fault may last.
func (w *World) until(g *group) time.Duration {
	if w.chance(0.5) {
		return w.now + w.upTo(g.timing.D)
	}
	return w.now + w.upTo(3*g.timing.D)
}

// cut cuts the host's node off from the API server: both ways or one.
func (w *World) cut(h *host) {
	if w.quiet {
		return
	}
	t, l := w.until(h.group), &h.node.link
	way := w.rng.IntN(3)
	if way != 1 {
		l.cutOut = max(l.cutOut, t)
	}
	if way != 2 {
		l.cutIn = max(l.cutIn, t)
	}
	w.log(h.node.name, "cut (%s) until %.4f", []string{"both", "in", "out"}[way], t.Seconds())
}

// some returns a container, provider and instance of the host; nil if there is none.
func (w *World) some(h *host) (*container, *provider, *instance) {
	c := h.containers[w.rng.IntN(len(h.containers))]
	if c.provider == nil || len(c.provider.instances) == 0 {
		return c, c.provider, nil
	}
	var all []*instance
	c.provider.each(func(i *instance) { all = append(all, i) })
	return c, c.provider, all[w.rng.IntN(len(all))]
}

// inside are the faults that the assumptions allow.
var inside = []fault{
	{10, "cut", running, (*World).cut},
	{6, "cut at the next commit", running, func(w *World, h *host) {
		h.node.link.strike = func() { w.cut(h) }
	}},
	{6, "answer lost, then a cut", running, func(w *World, h *host) {
		h.node.link.loseAnswer = 1 + w.rng.IntN(2)
		d := w.upTo(h.group.timing.R + 2*h.group.timing.A)
		h.node.link.strike = func() { w.after(d, func() { w.cut(h) }) }
	}},
	{4, "slow link", running, func(w *World, h *host) { h.node.link.slow = w.until(h.group) }},
	{3, "API server down", running, func(w *World, h *host) {
		w.api.down, w.api.errors = w.until(h.group), w.chance(0.5)
		if w.chance(0.1) {
			w.api.down += w.upTo(6 * h.group.timing.D)
		}
	}},
	{8, "monitor killed", monitored, func(w *World, h *host) {
		if w.chance(0.1) {
			h.journal = nil
		}
		pause := w.upTo(h.group.timing.D)
		if w.chance(0.7) {
			pause = w.upTo(500 * time.Millisecond)
		}
		h.restartMonitor(pause)
	}},
	{5, "monitor killed between two effects", monitored, func(w *World, h *host) {
		if h.monitor != nil {
			h.monitor.killAt = 1 + w.rng.IntN(30)
		}
	}},
	{2, "monitor replaced", monitored, func(_ *World, h *host) { h.post(core.Input{End: &core.End{Reason: "SIGTERM"}}) }},
	{4, "monitor paused", monitored, func(w *World, h *host) {
		if h.monitor != nil {
			h.monitor.pause(w.upTo(2 * h.group.timing.D))
		}
	}},
	{4, "monitor paused between two effects", monitored, func(w *World, h *host) {
		if h.monitor != nil {
			h.monitor.pauseAt = 1 + w.rng.IntN(20)
		}
	}},
	{4, "node crashes", running, func(w *World, h *host) {
		h.node.crash()
		w.after(w.upTo(4*h.group.timing.D), h.node.boot)
	}},
	{2, "node crashes, a person says so", running, func(w *World, h *host) {
		h.node.crash()
		w.after(h.group.timing.D+w.upTo(4*h.group.timing.D), h.node.boot)
		w.after(w.upTo(h.group.timing.D/2), func() {
			if !h.node.up {
				w.fence(h)
			}
		})
	}},
	{3, "container ends", running, func(w *World, h *host) { h.containers[w.rng.IntN(2)].end() }},
	{3, "connection to init breaks", running, func(w *World, h *host) {
		c := h.containers[w.rng.IntN(2)]
		c.hangup(nil)
		c.broken = w.now + w.upTo(h.group.timing.D)
	}},
	{3, "Lease deleted", recorded, func(_ *World, h *host) { h.group.store.remove() }},
	{2, "Lease mistyped", recorded, func(w *World, h *host) {
		h.group.store.edit(func(l *leasev1.Lease) {
			key := []string{leasev1.KeyEpoch, leasev1.KeySeq, leasev1.KeyMembers}[w.rng.IntN(3)]
			l.Annotations[key] = "mistyped, by hand"
		})
		w.after(w.upTo(5*h.group.timing.D), h.group.mend)
	}},
	{3, "Lease made short, and its owner cut off", recorded, func(w *World, h *host) {
		h.node.link.cutOut = w.now + h.group.timing.D
		h.group.store.edit(func(l *leasev1.Lease) {
			second := int32(1)
			l.LeaseDurationSeconds = &second
		})
	}},
	{2, "Lease annotated", recorded, func(_ *World, h *host) { // which means nothing, but makes a version
		h.group.store.edit(func(l *leasev1.Lease) { l.Annotations["example.com/note"] = "hello" })
	}},
	{4, "executor hangs", monitored, func(w *World, h *host) {
		if m := h.monitor; m != nil && w.now >= m.hung {
			m.hungSince, m.hung = w.now, w.until(h.group)
		}
	}},
	{6, "resource crashes", serving, func(w *World, h *host) {
		if _, p, i := w.some(h); i != nil {
			p.crash(i)
		}
	}},
	{3, "provider dies", serving, func(w *World, h *host) {
		c, _, _ := w.some(h)
		c.childDies("signal: segmentation fault")
	}},
	{3, "answer to an Online late, its provider dead", monitored, func(_ *World, h *host) { h.monitor.belated = true }},
	{3, "provider hangs", serving, func(w *World, h *host) {
		if _, p, _ := w.some(h); p != nil {
			p.hung = w.until(h.group)
		}
	}},
	{4, "nothing can be stopped", serving, func(w *World, h *host) {
		c, p, _ := w.some(h)
		until := w.now + w.upTo(4*h.group.timing.D)
		if c.deafKill = until; p != nil {
			p.stubborn, p.frank = until, false
		}
	}},
	{3, "Terminate fails", serving, func(w *World, h *host) {
		if _, p, i := w.some(h); i != nil {
			p.stubborn, p.frank = w.until(h.group), true
			p.report(engine.Callback{Handle: i.uid, SignalFailure: &engine.SignalFailure{Message: "looks bad"}}, nil)
		}
	}},
	{3, "provider lies", serving, func(w *World, h *host) {
		if _, p, _ := w.some(h); p != nil {
			p.lying = w.until(h.group)
		}
	}},
	{2, "monitor killed, a provider dies at init's hello to the next", serving, func(w *World, h *host) {
		h.containers[w.rng.IntN(2)].frail = true
		h.restartMonitor(w.upTo(500 * time.Millisecond))
	}},
	{2, "provider's connection breaks", serving, func(w *World, h *host) {
		if _, p, _ := w.some(h); p != nil && h.monitor != nil {
			h.monitor.lostProvider(p, "the connection was lost")
			h.node.after(w.upTo(500*time.Millisecond), p.came)
		}
	}},
	{2, "false alarm", serving, func(w *World, h *host) {
		if _, p, i := w.some(h); i != nil {
			p.report(engine.Callback{Handle: i.uid, SignalFailure: &engine.SignalFailure{Message: "looks bad"}}, nil)
		}
	}},
	{4, "move", running, func(w *World, h *host) { h.group.ask(w, core.ControlCall{Code: "MOVE"}) }},
	{4, "call that writes", running, func(w *World, h *host) {
		h.group.ask(w, core.ControlCall{Code: codeBackup, ResourceName: []string{db, app, extra}[w.rng.IntN(3)]})
	}},
	{2, "call that reads, on a host", running, func(w *World, h *host) {
		h.group.ask(w, core.ControlCall{Code: codePeek, ResourceName: db, HostName: h.name, Read: true})
	}},
	{1, "call deleted", called, func(w *World, h *host) {
		for name, k := range h.group.store.sortedCalls() {
			if !k.Finished {
				w.log(h.group.name, "call %s is deleted", name)
				h.group.store.removeCall(name)
				return
			}
		}
	}},
	{2, "pod deleted", staying, func(_ *World, h *host) { h.delete() }},
	{4, "quorum resource lost", arbitrated, func(_ *World, h *host) {
		if p := h.group.arbiter; p != nil {
			p.loseQuorum()
		}
	}},
	{2, "disk full", running, func(w *World, h *host) { h.diskFull = w.until(h.group) }},
	{3, "watches break", running, func(w *World, h *host) {
		h.leases.lose()
		h.kinds.lose()
	}},
	{3, "clocks drift", running, func(_ *World, h *host) { h.node.drift() }},
	{1, "wall clock jumps", running, func(w *World, h *host) {
		if !w.options.Outside {
			h.node.clock.wall += int64(w.upTo(2*time.Hour) - time.Hour)
		}
	}},
	{2, "manager down", running, func(w *World, h *host) { h.group.manager.down = w.now + w.upTo(5*h.group.timing.D) }},
	{2, "host barred", running, func(_ *World, h *host) { h.barred = !h.barred }},
	{2, "group wanted offline", running, func(w *World, h *host) {
		g := h.group
		g.change(func() { g.wantOnline = false })
		w.after(w.upTo(2*g.timing.D), func() { g.change(func() { g.wantOnline = true }) })
	}},
	{3, "spec changed", running, func(w *World, h *host) {
		g := h.group
		g.change(func() {
			if w.chance(0.5) {
				g.extra = !g.extra
			}
		})
	}},
}

// outside are those that break an assumption: A1, A2 or A3.
var outside = []fault{
	{10, "virtual machine paused", running, func(w *World, h *host) { h.node.freeze(w.upTo(4 * h.group.timing.D)) }},
	{10, "clocks stopped", running, func(w *World, h *host) { h.node.stopClocks(w.upTo(4 * h.group.timing.D)) }},
	{5, "store rewound", running, func(_ *World, h *host) { h.group.store.rewind(false) }},
	{5, "store rewound to a release", running, func(_ *World, h *host) { h.group.store.rewind(true) }},
	{5, "init stopped", serving, func(w *World, h *host) {
		h.containers[w.rng.IntN(2)].stop(w.upTo(4 * h.group.timing.D))
	}},
	{10, "a program started by hand, and found", idleHost, func(w *World, h *host) {
		if c, _, i := w.some(h); i != nil && !i.alive {
			if h.byHand == nil {
				h.byHand = map[string]bool{}
			}
			h.byHand[i.uid] = false
			c.childDies("signal: segmentation fault") // the next one looks
		}
	}},
	{5, "declared stopped, and lives", running, (*World).fence},
	{5, "declared stopped, and lives, while its monitor restarts", running, func(w *World, h *host) {
		h.restartMonitor(w.upTo(500 * time.Millisecond))
		w.fence(h)
	}},
}

// ask makes a ControlCall.
func (g *group) ask(w *World, k core.ControlCall) {
	g.asked++
	k.Name = fmt.Sprintf("call-%03d", g.asked)
	k.UID, k.TimeoutMilliseconds = "uid-"+k.Name, 5000
	if k.ResourceName != "" {
		k.Input = []byte(`{"call":"` + k.Name + `"}`)
	}
	if w.chance(0.3) {
		k.StartBy = time.Unix(0, epochZero+int64(w.now+w.upTo(g.timing.D))).UTC()
	}
	w.log(g.name, "%s: %s of %q on %q", k.Name, k.Code, k.ResourceName, k.HostName)
	g.store.setCall(&k)
}

// mend is a person who deletes a record that nobody could mend.
func (g *group) mend() {
	if l := g.store.lease; l != nil {
		if _, err := leasev1.Decode(*l); err != nil {
			g.store.remove()
		}
	}
}

// fence declares the host stopped if it is the holder's.
func (w *World) fence(h *host) {
	s := h.group.store
	if s.lease == nil {
		return
	}
	if r, err := leasev1.Decode(*s.lease); err == nil && r.HolderUID == h.uid {
		if f, ok := leasev1.Fence(r, "someone"); ok {
			w.log(h.name, "declared stopped")
			s.put(f)
		}
	}
}

// trouble strikes once, more often than not at the owner, and orders the next.
func (w *World) trouble() {
	if w.quiet {
		return
	}
	// Whether one is spared moves none of the others in time, nor what they draw; but whom they
	// meet depends on what was.
	n, world := w.tries, w.rng
	defer func() { w.rng = world }()
	w.rng = random(w.seed, uint64(n)+1)
	w.tries++
	w.after(w.upTo(2*w.style.faults), w.trouble)
	g := w.groups[w.rng.IntN(len(w.groups))]
	live := slices.DeleteFunc(slices.Clone(g.hosts), func(h *host) bool { return h.gone })
	h := live[w.rng.IntN(len(live))]
	if owner := g.online(); owner != nil && w.chance(0.6) {
		h = owner
	}
	f, ok := w.draw(h)
	if !ok {
		return
	}
	w.struck++
	if w.options.spares(n) {
		return
	}
	w.Coverage.Faults++
	w.log(h.name, "fault %d: %s", n, f.name)
	f.strike(w, h)
}

// draw is a fault that would do something to the host; few can be done to one that is down.
func (w *World) draw(h *host) (f fault, ok bool) {
	for range 8 {
		if f = w.drawAny(); f.can(h) {
			return f, true
		}
	}
	return f, false
}

func (w *World) drawAny() fault {
	faults := inside
	if w.options.Outside && w.chance(0.15) {
		faults = outside
	}
	sum := 0
	for _, f := range faults {
		sum += f.weight
	}
	n := w.rng.IntN(sum)
	for _, f := range faults {
		if n -= f.weight; n < 0 {
			return f
		}
	}
	panic("unreachable")
}
