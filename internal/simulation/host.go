// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"strconv"
	"time"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	"github.com/understudy-dev/understudy/monitor/instant"
	"github.com/understudy-dev/understudy/monitor/ownership"
)

// Node is what decides on a host: here the ownership machine alone, with a
// stand-in for the engine beside it.
type Node interface {
	Step(instant.Instant, ownership.Event) []ownership.Action
	Snapshot() ownership.Snapshot
}

// host is one host pod and the node below it.
type host struct {
	world      *World
	name       string
	uid        string
	clock      clock
	link       link
	watch      watching
	containers []*container
	monitor    *monitor // nil while it does not run
	disk       ownership.Disk
	starts     int
	up         bool // false between a crash of the host and its boot
	gone       bool // the pod was deleted, another replaced it
	draining   bool
	barred     bool
	diskFull   time.Duration // until when
	release    *ownership.Release
	won        holding
	// arbitrateAt is when a host that lost tries again.
	arbitrateAt time.Duration
}

func (w *World) addHost(name string) *host {
	w.Coverage.Hosts++
	h := &host{world: w, name: name, uid: "uid-" + strconv.Itoa(w.Coverage.Hosts), up: true}
	h.link.world, h.watch.host = w, h
	h.clock.boot, h.clock.raw = int64(w.upTo(1000*time.Hour)), int64(w.upTo(1000*time.Hour))
	h.clock.since = w.now
	if w.chance(0.5) {
		h.clock.wall = int64(w.upTo(20*time.Second) - 10*time.Second)
	}
	w.drift(h)
	for i := range 2 {
		h.containers = append(h.containers, newContainer(h, "c"+strconv.Itoa(i)))
	}
	w.hosts = append(w.hosts, h)
	return h
}

// alive reports whether anything of a resource lives on the host.
func (h *host) alive() bool {
	for _, c := range h.containers {
		if c.alive {
			return true
		}
	}
	return false
}

// observed brings news of the watch to the monitor.
func (h *host) observed(l *leasev1.Lease) {
	if h.monitor != nil {
		h.monitor.post(ownership.Event{Observed: &ownership.Observed{Lease: l}})
	}
}

// crash ends everything on the host at once.
func (h *host) crash() {
	h.world.log("%s: host crashes", h.name)
	h.stopMonitor()
	for _, c := range h.containers {
		c.end()
	}
	h.up = false
}

// boot starts the host again; its clocks begin anew, its disk is as it was.
func (h *host) boot() {
	if h.up || h.gone {
		return
	}
	h.world.log("%s: host boots", h.name)
	h.up = true
	h.clock.since, h.clock.boot, h.clock.raw = h.world.now, int64(time.Second), int64(time.Second)
	h.startMonitor()
	for _, c := range h.containers {
		c.begin()
	}
}

func (h *host) startMonitor() {
	if h.monitor != nil || !h.up || h.gone {
		return
	}
	h.starts++
	inc := h.uid + "-inc-" + strconv.Itoa(h.starts)
	m := &monitor{host: h, inc: inc}
	m.node = h.world.options.New(ownership.Config{PodName: h.name, PodUID: h.uid, Inc: inc, Timing: h.world.timing},
		h.disk)
	m.engine = newEngine(m)
	h.monitor = m
	h.world.log("%s: monitor starts, disk epoch %d", h.name, h.disk.Epoch)
	m.post(ownership.Event{Started: &ownership.Started{}})
	m.postWish()
	if h.draining {
		m.post(ownership.Event{Drain: &ownership.Drain{Reason: leasev1.Reason{Reason: "Drain"}}})
	}
	if s := h.world.manager.succession; s != nil {
		m.post(ownership.Event{Succession: s})
	}
	h.watch.lose()
	for _, c := range h.containers {
		c.connect()
	}
}

func (h *host) stopMonitor() {
	if m := h.monitor; m != nil {
		h.world.log("%s: monitor ends", h.name)
		m.dead = true
		h.monitor = nil
		for _, c := range h.containers {
			c.disconnect()
		}
	}
}

// monitor runs a Node and carries out its actions, one after the other. A pause
// may fall between any two of them.
type monitor struct {
	host    *host
	node    Node
	inc     string
	engine  *engine
	dead    bool
	paused  time.Duration // until when
	pauseAt int           // pause before the action after that many
	actions []ownership.Action
	inbox   []ownership.Event
	running bool
	timer   uint64
	guard   *ownership.Guard // for containers that connect later
}

func (m *monitor) post(e ownership.Event) {
	if !m.dead {
		m.inbox = append(m.inbox, e)
		m.run()
	}
}

func (m *monitor) run() {
	if m.running {
		return
	}
	m.running = true
	defer func() { m.running = false }()
	w, h := m.host.world, m.host
	for !m.dead && w.now >= m.paused {
		switch {
		case len(m.actions) > 0:
			if m.pauseAt > 0 {
				if m.pauseAt--; m.pauseAt == 0 {
					m.pause(w.upTo(2 * w.timing.D))
					continue
				}
			}
			a := m.actions[0]
			m.actions = m.actions[1:]
			m.carryOut(a)
		case len(m.inbox) > 0:
			e := m.inbox[0]
			m.inbox = m.inbox[1:]
			now := h.clock.read(w.now)
			before := m.node.Snapshot()
			m.actions = m.node.Step(now, e)
			w.check.stepped(w, m, now, before, e, m.actions)
		default:
			return
		}
	}
}

// pause stops the monitor's process for a while.
func (m *monitor) pause(d time.Duration) {
	w := m.host.world
	w.log("%s: monitor pauses for %v", m.host.name, d.Round(time.Millisecond))
	m.paused = max(m.paused, w.now+d)
	w.queue.push(m.paused, m.run)
}

func (m *monitor) carryOut(a ownership.Action) {
	h, w := m.host, m.host.world
	switch {
	case a.Put != nil:
		p := a.Put
		m.call(true, p.Timeout, func() answer { return w.store.put(p.Record) }, func(r answer) {
			m.post(ownership.Event{Wrote: &ownership.Wrote{Seq: p.Seq, Outcome: r.outcome, Lease: r.lease}})
		})
	case a.Create != nil:
		p := a.Create
		m.call(true, p.Timeout, func() answer { return w.store.create(p.Record) }, func(r answer) {
			m.post(ownership.Event{Wrote: &ownership.Wrote{Seq: p.Seq, Outcome: r.outcome, Lease: r.lease}})
		})
	case a.Get != nil:
		g := a.Get
		m.call(false, g.Timeout, w.store.get, func(r answer) {
			m.post(ownership.Event{Observed: &ownership.Observed{Get: g.ID, Failed: r.outcome == ownership.Unknown,
				Lease: r.lease}})
		})
	case a.Persist != nil:
		m.persist(a.Persist)
	case a.Guard != nil:
		m.guard = a.Guard
		for _, c := range h.containers {
			c.send(func() { c.setGuard(*m.guard) })
		}
	case a.KillAll != nil:
		for _, c := range h.containers {
			if a.KillAll.Container == "" || a.KillAll.Container == c.name {
				c.send(c.kill)
			}
		}
	case a.Grant != nil:
		m.engine.granted(a.Grant)
	case a.Revoke != nil:
		m.engine.revoked(a.Revoke)
	case a.AskTick != nil:
		m.engine.asked(a.AskTick.ID)
	case a.Arm != nil:
		m.timer++
		n := m.timer
		w.after(h.clock.until(w.now, a.Arm.At), func() {
			if m.timer == n {
				m.post(ownership.Event{Timer: &ownership.Timer{}})
			}
		})
	case a.Fact != nil:
		w.log("%s: %s epoch %d: %s", h.name, a.Fact.Kind, a.Fact.Epoch, a.Fact.Message)
		w.Coverage.fact(a.Fact)
		if a.Fact.Kind == ownership.FactReleased {
			h.release = nil
			m.postWish()
		}
	}
}

// call is a request with its time-out, which runs on this host's clock.
func (m *monitor) call(write bool, timeout time.Duration, execute func() answer, answered func(answer)) {
	done := false
	once := func(a answer) {
		if !done && !m.dead {
			done = true
			answered(a)
		}
	}
	m.host.link.call(write, execute, once)
	m.host.world.after(m.host.clock.stretch(timeout), func() { once(answer{outcome: ownership.Unknown}) })
}

func (m *monitor) persist(p *ownership.Persist) {
	h, w := m.host, m.host.world
	w.after(w.pick(w.style.local), func() {
		e := ownership.Persisted{ID: p.ID}
		switch {
		case m.dead:
			return
		case w.now < h.diskFull:
			e.Error = "no space left on device"
		default:
			h.disk = p.Disk
		}
		w.after(w.pick(w.style.local), func() { m.post(ownership.Event{Persisted: &e}) })
	})
}

// postWish tells the machine what is wanted.
func (m *monitor) postWish() {
	m.post(ownership.Event{Wish: &ownership.Wish{
		WantOnline: m.host.world.wantOnline, Release: m.host.release,
		FailoverThreshold: -1, FailoverPeriod: time.Hour,
	}})
}
