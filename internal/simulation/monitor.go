// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"slices"
	"strings"
	"time"

	guardv1 "github.com/understudy-dev/understudy/api/guard/v1"
	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
	"github.com/understudy-dev/understudy/monitor/ownership"
)

// monitor runs a core and carries out its effects as the loop of monitor.Run does, one
// after the other. A pause, or the end, may fall between any two of them.
type monitor struct {
	host    *host
	core    *core.Core
	inc     string
	started time.Duration
	owner   ownership.Snapshot // after the last step
	dead    bool

	effects []core.Effect
	inbox   []core.Input
	running bool
	blocked bool // a barrier is being stored
	// unstored: what waits for the journal of this step is not begun.
	unstored bool
	paused   time.Duration // until when
	pauseAt  int           // pause before the effect after that many
	killAt   int           // end before the effect after that many
	// belated: the next answer to an Online is on its way for long.
	belated bool
	// hung is until when the executor of provider calls hangs, since when it does.
	hung, hungSince time.Duration

	journal  journal
	armed    int64
	timers   int
	plan     int   // counts the fetches
	ran      int   // the newest plan that it said it runs
	series   int64 // the epoch for which restarts are counted
	changed  bool  // its plan did, which begins the counts anew
	expected map[string]string
	talks    map[string]*provider
	calls    map[uint64]*pendingCall
	asking   map[uint64]func(engine.Reply)
	asked    uint64
	credible map[string]bool // containers whose secrets can be verified
	life     *life
	witness  witness
}

// maxSteps is some 20 times what a schedule needs.
const maxSteps = 200_000

// pendingCall is a call into a provider that was not answered yet.
type pendingCall struct {
	call engine.Call
	to   *provider
}

// life is the recording of one life of a monitor, as monitor replay takes it.
type life struct {
	inc   string
	lines []core.Line
}

func newMonitor(h *host) *monitor {
	w := h.group.world
	config := core.Config{
		Namespace: "ns", Group: h.group.name, PodName: h.name, PodUID: h.uid, PodIP: "10.0.0.1", NodeName: h.node.name,
		Inc: fmt.Sprintf("%s-inc-%d", h.uid, h.lives), BootID: h.node.bootID(), Containers: []string{"c0", "c1"},
		GraceMilliseconds: grace.Milliseconds(),
	}
	m := &monitor{
		host: h, inc: config.Inc, started: w.now, expected: map[string]string{}, talks: map[string]*provider{},
		calls: map[uint64]*pendingCall{}, asking: map[uint64]func(engine.Reply){}, credible: map[string]bool{},
		asked: uint64(h.lives) << 32,
	}
	var state *core.State
	if h.journal == nil {
		h.key++
	} else {
		state = h.journal.load()
		for name := range state.Nonces {
			m.credible[name] = true
		}
	}
	if w.options.Record {
		m.life = &life{inc: config.Inc, lines: []core.Line{{Config: &config, State: state}}}
		w.lives = append(w.lives, m.life)
	}
	m.core = core.New(config, state)
	m.owner = m.core.Ownership()
	h.group.check.restored(m, state)
	epoch := int64(0)
	if state != nil {
		epoch = state.Disk.Epoch
	}
	w.log(h.name, "monitor starts, journal of epoch %d", epoch)
	return m
}

func (m *monitor) world() *World { return m.host.group.world }

func (m *monitor) post(in core.Input) {
	if !m.dead {
		m.inbox = append(m.inbox, in)
		m.run()
	}
}

func (m *monitor) run() {
	if m.running {
		return
	}
	m.running = true
	defer func() { m.running = false }()
	w, h := m.world(), m.host
	for !m.dead && !m.blocked && w.violation == nil {
		if until := max(m.paused, h.node.frozen); w.now < until {
			w.queue.push(until, m.run)
			return
		}
		switch {
		case len(m.effects) > 0:
			if m.struck() {
				continue
			}
			e := m.effects[0]
			m.effects = m.effects[1:]
			m.carryOut(e)
		case len(m.inbox) > 0:
			in := m.inbox[0]
			m.inbox = m.inbox[1:]
			m.step(in)
		default:
			return
		}
	}
}

func (m *monitor) step(in core.Input) {
	w, now := m.world(), m.host.node.read()
	before := m.owner
	if in.Plan != nil {
		m.host.group.check.replanned(m)
	}
	m.effects, m.unstored = m.core.Step(now, in), false
	m.owner = m.core.Ownership()
	if w.Coverage.Steps++; w.Coverage.Steps > maxSteps {
		w.fail("rest", "the monitors never come to rest: %d steps", maxSteps)
	}
	if m.life != nil {
		m.life.lines = append(m.life.lines, core.Line{At: &now, Input: &in, Effects: slices.Clone(m.effects)})
	}
	if in.Emptied != nil {
		m.host.group.check.emptied(m, in.Emptied.Container)
	}
	m.host.group.check.stepped(m, now, in, before, m.effects)
}

// struck carries out what is to happen between two effects.
func (m *monitor) struck() bool {
	w := m.world()
	if m.pauseAt > 0 {
		if m.pauseAt--; m.pauseAt == 0 {
			m.pause(w.upTo(2 * m.host.group.timing.D))
			return true
		}
	}
	if m.killAt > 0 {
		if m.killAt--; m.killAt == 0 {
			m.host.restartMonitor(w.upTo(500 * time.Millisecond))
			return true
		}
	}
	return false
}

// pause stops the monitor's process for a while.
func (m *monitor) pause(d time.Duration) {
	w := m.world()
	w.log(m.host.name, "monitor pauses for %v", d.Round(time.Millisecond))
	m.paused = max(m.paused, w.now+d)
	w.queue.push(m.paused, m.run)
}

func (m *monitor) carryOut(e core.Effect) {
	h := m.host
	if m.unstored && m.unbegun(e) {
		return
	}
	switch {
	case e.Put != nil, e.Create != nil, e.Get != nil:
		m.lease(e)
	case e.Journal != nil:
		m.store(*e.Journal)
	case e.Guard != nil:
		h.container(e.Guard.Container).order(guardv1.Message{
			Type: guardv1.Guard, Epoch: e.Guard.Epoch, G1: e.Guard.G1, G2: e.Guard.G2,
		})
	case e.Kill != nil:
		h.container(e.Kill.Container).order(guardv1.Message{Type: guardv1.Kill, Reason: e.Kill.Reason})
	case e.Exit != nil:
		h.container(e.Exit.Container).order(guardv1.Message{Type: guardv1.Exit})
	case e.Stuck != nil:
		m.stuck(*e.Stuck)
	case e.Expect != nil:
		m.expect(e.Expect.Container, e.Expect.Nonce)
	case e.Call != nil:
		m.call(*e.Call)
	case e.Reply != nil:
		m.reply(*e.Reply)
	case e.Tick != nil:
		m.execute(core.Input{Tick: e.Tick})
	case e.FetchPlan != nil:
		m.plan++
		m.fetch(m.plan, e.FetchPlan.Revision)
	case e.Write != nil:
		m.write(*e.Write)
	case e.Log != nil:
		m.said(*e.Log)
	case e.Arm != nil:
		m.arm(e.Arm.At)
	case e.Done != nil:
		m.world().log(h.name, "monitor is done")
		h.restartMonitor(m.world().upTo(200 * time.Millisecond))
	}
}

func (m *monitor) reply(r engine.Reply) {
	if f := m.asking[r.ID]; f != nil {
		delete(m.asking, r.ID)
		f(r)
	}
}

func (m *monitor) said(l core.Log) {
	w := m.world()
	w.log(m.host.name, "%s %s %s: %s", l.Component, l.Resource, l.Reason, l.Text)
	w.Coverage.said(l)
	m.host.group.check.said(m, l)
}

// arm sets the timer of the core.
func (m *monitor) arm(at int64) {
	m.armed = at
	m.timers++
	if at == 0 {
		return
	}
	n := m.timers
	if d := m.host.node.clock.until(m.world().now, at); d < never {
		m.host.node.after(d, func() {
			if m.timers == n {
				m.armed = 0
				m.post(core.Input{Timer: &core.Timer{}})
			}
		})
	}
}

// execute brings what came of a call, or a tick, through the executor.
func (m *monitor) execute(in core.Input) {
	w := m.world()
	m.host.node.at(max(w.now+w.pick(w.style.local), m.hung), func() {
		if w.now < m.hung {
			m.execute(in)
			return
		}
		m.post(in)
	})
}

// lease carries a request about the Lease to the API server.
func (m *monitor) lease(e core.Effect) {
	s := m.host.group.store
	wrote := func(seq int64, timeout time.Duration, write func() (ownership.Outcome, *ownership.Wrote)) {
		m.ask(request{write: true, lease: true}, timeout, func() (bool, core.Input) {
			outcome, w := write()
			return outcome == ownership.Committed, core.Input{Wrote: w}
		}, core.Input{Wrote: &ownership.Wrote{Seq: seq, Outcome: ownership.Unknown}})
	}
	switch {
	case e.Put != nil:
		wrote(e.Put.Seq, e.Put.Timeout, func() (ownership.Outcome, *ownership.Wrote) {
			outcome, l := s.put(e.Put.Record)
			return outcome, &ownership.Wrote{Seq: e.Put.Seq, Outcome: outcome, Lease: l}
		})
	case e.Create != nil:
		wrote(e.Create.Seq, e.Create.Timeout, func() (ownership.Outcome, *ownership.Wrote) {
			outcome, l := s.create(e.Create.Record)
			return outcome, &ownership.Wrote{Seq: e.Create.Seq, Outcome: outcome, Lease: l}
		})
	case e.Get != nil:
		m.ask(request{lease: true}, e.Get.Timeout, func() (bool, core.Input) {
			return false, core.Input{Observed: &ownership.Observed{Get: e.Get.ID, Lease: s.lease}}
		}, core.Input{Observed: &ownership.Observed{Get: e.Get.ID, Failed: true}})
	}
}

// ask is a request with its time-out, which runs on this node's clock and counts as an
// answer that says nothing.
func (m *monitor) ask(
	r request, timeout time.Duration, execute func() (committed bool, answer core.Input), failed core.Input,
) {
	done := false
	once := func(in core.Input) {
		if !done && !m.dead {
			done = true
			m.post(in)
		}
	}
	r.execute = func() (bool, func()) {
		committed, in := execute()
		return committed, func() { once(in) }
	}
	r.failed = func() { once(failed) }
	m.host.node.link.call(r)
	m.host.node.after(m.host.node.clock.stretch(timeout), func() { once(failed) })
}

// write stores a document.
func (m *monitor) write(d core.Write) {
	h, s := m.host, m.host.group.store
	base := s.base(h, d)
	if d.Host != nil {
		m.host.group.check.runsPlan(m, d.Host.Host.PlanRevision)
	}
	answer := func(outcome core.WriteOutcome) core.Input {
		return core.Input{Written: &core.Written{Key: d.Key, Seq: d.Seq, Outcome: outcome}}
	}
	m.ask(request{write: true}, 5*time.Second, func() (bool, core.Input) {
		outcome := s.write(h, d, base)
		if outcome == core.WriteStale && d.Group != nil {
			h.kinds.changed(s.groupInput())
		}
		return outcome == core.WriteDone, answer(outcome)
	}, answer(core.WriteFailed))
}

// fetch reads a plan until that works, or another is asked for.
func (m *monitor) fetch(n int, revision string) {
	if revision == "" || m.dead {
		return
	}
	answered := false
	m.host.node.link.call(request{execute: func() (bool, func()) {
		return false, func() {
			answered = true
			m.post(core.Input{Plan: &core.Plan{Revision: revision, Plan: m.host.group.plans[revision]}})
		}
	}})
	m.host.node.after(time.Second, func() {
		if !answered && m.plan == n {
			m.fetch(n, revision)
		}
	})
}

// stuck is kubelet's liveness probe.
func (m *monitor) stuck(s core.Stuck) {
	c, w := m.host.container(s.Container), m.world()
	if c.stuck = s.Stuck; !s.Stuck {
		return
	}
	life := c.lives
	m.host.node.after(w.pick([2]time.Duration{5 * time.Second, 30 * time.Second}), func() {
		if c.stuck && c.lives == life {
			w.log(m.host.name, "kubelet ends container %s", c.name)
			c.end()
		}
	})
}

func (h *host) container(name string) *container {
	i := slices.IndexFunc(h.containers, func(c *container) bool { return c.name == name })
	return h.containers[i]
}

// heard is the server of the guard protocol.
func (m *monitor) heard(c *container, g guardv1.Message) {
	switch g.Type {
	case guardv1.Hello:
		m.hello(c, g)
	case guardv1.Guarded:
		m.post(core.Input{Guarded: &core.Guarded{Container: c.name, Nonce: g.Nonce, Epoch: g.Epoch, G2: g.G2}})
	case guardv1.Empty:
		m.credible[c.name] = true
		m.post(core.Input{Emptied: &core.Emptied{Container: c.name, Nonce: g.Nonce}})
	case guardv1.Stopping:
		m.post(core.Input{Stopping: &core.Stopping{Container: c.name, Reason: g.Reason}})
	}
}

// hello judges an init as the server does: a new one has no secret, one that is known has
// one of ours.
func (m *monitor) hello(c *container, g guardv1.Message) {
	key, _, _ := strings.Cut(g.Secret, "/")
	fresh, mine := g.Secret == "", key == fmt.Sprint(m.host.key)
	if !fresh && !mine && m.credible[c.name] {
		c.order(guardv1.Message{Type: guardv1.Refuse, Reason: "wrong secret"})
		return
	}
	secret := g.Secret
	if !mine {
		secret = fmt.Sprintf("%d/%d", m.host.key, c.lives)
	}
	c.accepted = true
	c.order(guardv1.Message{Type: guardv1.Welcome, Version: guardv1.Version, Secret: secret})
	m.post(core.Input{Hello: &core.Hello{
		Container: c.name, Nonce: g.Nonce, Fresh: fresh, Epoch: g.Epoch, G1: g.G1, G2: g.G2,
	}})
}
