// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/understudy-dev/understudy/monitor/engine"
)

// provider is one provider process, and what it started.
type provider struct {
	c         *container
	nonce     string
	instances map[string]*instance // by UID
	dead      bool

	hung     time.Duration // until when it answers nothing
	stubborn time.Duration // until when nothing that it started can be stopped by it
	frank    bool          // it says so, instead of trying until then
	lying    time.Duration // until when it says "offline" of what lives

	outbox  []report
	sending bool
}

// instance is one resource in a provider.
type instance struct {
	uid      string
	alive    bool
	state    int32 // as the provider would say, by its number
	epoch    int64
	watched  bool          // its failures are reported
	lost     time.Duration // when it last died
	asked    time.Duration // when it was first asked to stop since it was started, or 0
	refused  bool          // it was said that it does not stop
	op       int           // counts the operations, so that an old one ends
	controls map[int64]*control
}

const (
	online        = engine.ReportedOnline
	offline       = engine.ReportedOffline
	failed        = engine.ReportedFailed
	onlinePending = engine.ReportedOnlinePending
)

// report is a callback that waits for its answer.
type report struct {
	callback engine.Callback
	then     func(engine.Reply)
}

func newProvider(c *container) *provider {
	return &provider{c: c, nonce: c.nonce(), instances: map[string]*instance{}}
}

func has(m map[string]bool, key string) bool { _, ok := m[key]; return ok }

func (p *provider) world() *World { return p.c.world() }

func (p *provider) each(f func(*instance)) {
	for _, uid := range slices.Sorted(maps.Keys(p.instances)) {
		f(p.instances[uid])
	}
}

func (p *provider) alive() bool {
	for _, i := range p.instances {
		if i.alive {
			return true
		}
	}
	return false
}

// came tells the monitor that it is there.
func (p *provider) came() {
	if m := p.c.host.monitor; m != nil {
		m.found(p)
	}
	p.sendNext()
}

// stop is the end of the process. What it started lives until init kills it.
func (p *provider) stop(how string) {
	p.dead = true
	p.each(func(i *instance) { i.op++ })
	if m := p.c.host.monitor; m != nil {
		m.lostProvider(p, "it ended: "+how)
	}
}

// die is the end of everything.
func (p *provider) die(how string) {
	if !p.dead {
		p.stop(how)
	}
	if g := p.c.host.group; g.arbiter == p {
		g.arbiter = nil
	}
	p.each(func(i *instance) { p.ended(i, how) })
}

func (p *provider) ended(i *instance, how string) {
	if i.alive {
		i.alive, i.lost = false, p.world().now
		p.world().log(p.c.host.name, "%s is dead (%s)", i.uid, how)
	}
}

// sigterm: ownership is about to end. Everything is terminated, then the process ends.
func (p *provider) sigterm() {
	last := time.Duration(0)
	w := p.world()
	if w.now < max(p.hung, p.stubborn) {
		return
	}
	p.each(func(i *instance) {
		i.op++
		if d := w.pick(w.style.stop); i.alive {
			last = max(last, d)
			p.later(d, func() { p.ended(i, "terminated at the soft guard") })
		}
	})
	p.later(last, func() { p.c.childDies("ended after SIGTERM") })
}

// later runs f unless the process is gone by then.
func (p *provider) later(d time.Duration, f func()) {
	p.c.host.node.after(d, func() {
		if !p.dead {
			f()
		}
	})
}

// entry is a call of an entry point.
func (p *provider) entry(c engine.Call, answer func(engine.Returned)) {
	w := p.world()
	if w.now < p.hung {
		p.later(p.hung-w.now, func() { p.entry(c, answer) })
		return
	}
	i := p.instances[c.Resource]
	if i == nil {
		i = &instance{uid: c.Resource, state: offline, controls: map[int64]*control{}}
		if c.Op != engine.OpOpen {
			answer(engine.Returned{Status: engine.CodeResourceNotFound})
			return
		}
		p.instances[c.Resource] = i
	}
	switch c.Op {
	case engine.OpOpen:
		state := i.state
		if h := p.c.host; !i.alive && has(h.byHand, i.uid) {
			w.log(h.name, "%s is found, started by hand", i.uid)
			h.byHand[i.uid], state = true, online
			w.Coverage.Strays++
		}
		answer(engine.Returned{ResourceID: i.uid, State: state})
	case engine.OpClose:
		delete(p.instances, c.Resource)
		p.ended(i, "closed")
		answer(engine.Returned{})
	case engine.OpOnline:
		p.online(i, c, answer)
	case engine.OpOffline, engine.OpTerminate:
		p.c.host.group.check.stopping(p.c.host, i, c.Op)
		p.terminate(i, answer)
	case engine.OpLooksAlive, engine.OpIsAlive:
		answer(engine.Returned{Alive: i.alive})
	case engine.OpArbitrate:
		p.arbitrate(c.Epoch, answer)
	case engine.OpRelease:
		p.letGo()
		answer(engine.Returned{})
	case engine.OpCancel:
		for _, k := range slices.Sorted(maps.Keys(i.controls)) {
			i.controls[k].cancel()
		}
		answer(engine.Returned{})
	case engine.OpBeginResourceControl:
		p.control(i, c, answer)
	default:
		answer(engine.Returned{Status: engine.CodeInvalidFunction})
	}
}

// online starts a resource: at once, or as a pending operation that is reported.
func (p *provider) online(i *instance, c engine.Call, answer func(engine.Returned)) {
	w, h := p.world(), p.c.host
	h.group.check.beginning(h, i, c)
	switch {
	case i.alive && i.epoch == c.Epoch && i.state == online:
		answer(engine.Returned{EventHandle: i.watched})
		return
	case i.alive:
		answer(engine.Returned{Status: engine.CodeInvalidState})
		return
	}
	i.op++
	op := i.op
	i.asked = 0
	i.epoch, i.watched = c.Epoch, w.chance(0.5)
	fails := !w.quiet && w.chance(0.04)
	end := func(state int32, r engine.Returned) {
		i.state = state
		if w.style.pending {
			p.status(i, op, state)
			return
		}
		answer(r)
	}
	i.state = onlinePending
	if w.style.pending {
		i.watched = true
		answer(engine.Returned{Status: engine.CodeIOPending, EventHandle: true})
	}
	d := w.pick(w.style.start)
	if w.style.pending {
		d += 3 * w.style.local[1] // no report overtakes the answer
	}
	if !w.quiet && w.chance(0.02) { // it takes too long, or never ends
		d += []time.Duration{20 * time.Second, never}[w.rng.IntN(2)]
	}
	p.later(d, func() {
		switch {
		case i.op != op:
			if i.state == onlinePending {
				i.state = offline
			}
			if !w.style.pending {
				answer(engine.Returned{Status: engine.CodeOperationAborted})
			}
		case fails:
			end(failed, engine.Returned{Status: engine.CodeResourceFailed})
		default:
			i.alive = true
			delete(h.byHand, i.uid) // it is the provider's from now on
			w.log(h.name, "%s is alive, epoch %d", i.uid, i.epoch)
			h.group.check.started(h, p, i)
			end(online, engine.Returned{EventHandle: i.watched})
		}
	})
}

// terminate stops a resource, and whatever was about to start it.
func (p *provider) terminate(i *instance, answer func(engine.Returned)) {
	w := p.world()
	i.op++
	if i.asked == 0 {
		i.asked = w.now
	}
	op := i.op
	switch {
	case w.now < p.lying && i.alive:
		w.log(p.c.host.name, "%s is said to be offline, which is a lie", i.uid)
		i.state = offline
		answer(engine.Returned{})
		return
	case w.now < p.stubborn && (i.alive || has(p.c.host.byHand, i.uid)) && p.frank:
		i.refused = true
		answer(engine.Returned{Status: engine.CodeResourceFailed, Message: "it does not stop"})
		return
	case w.now < p.stubborn && (i.alive || has(p.c.host.byHand, i.uid)):
		p.later(p.stubborn-w.now, func() {
			if i.op == op {
				p.terminate(i, answer)
			}
		})
		return
	}
	d := w.pick(w.style.stop)
	if !i.alive {
		d = 0
	}
	p.later(d, func() {
		p.ended(i, "terminated")
		delete(p.c.host.byHand, i.uid)
		i.state, i.refused = offline, false
		answer(engine.Returned{})
	})
}

// crash ends a resource by itself.
func (p *provider) crash(i *instance) {
	if !i.alive {
		return
	}
	i.op++
	i.state = failed
	p.ended(i, "crashed")
	if i.watched {
		exited := &engine.SignalFailure{Exited: true, Message: "exit status 1"}
		p.report(engine.Callback{Handle: i.uid, SignalFailure: exited}, nil)
	}
}

// status reports the end of a pending operation.
func (p *provider) status(i *instance, op int, state int32) {
	p.report(engine.Callback{Handle: i.uid, SetResourceStatus: &engine.SetResourceStatus{
		Ex: true, State: state, CheckPoint: 1, EventHandle: state == online,
	}}, func(r engine.Reply) {
		if r.ExitState == engine.ExitTerminate && i.op == op && !i.alive {
			i.op++
		}
	})
}

// report makes a callback, after those before it, until a monitor answers.
func (p *provider) report(cb engine.Callback, then func(engine.Reply)) {
	cb.Container = p.c.name
	p.outbox = append(p.outbox, report{cb, then})
	p.sendNext()
}

func (p *provider) sendNext() {
	m := p.c.host.monitor
	if p.dead || p.sending || len(p.outbox) == 0 || m == nil {
		return
	}
	p.sending = true
	retry := func() { p.sending = false; p.sendNext() }
	p.later(p.world().pick(p.world().style.local), func() {
		if m.dead {
			retry()
			return
		}
		m.asked++
		cb := p.outbox[0].callback
		cb.ID = m.asked
		answered := false
		m.asking[cb.ID] = func(r engine.Reply) {
			answered = true
			then := p.outbox[0].then
			p.outbox, p.sending = p.outbox[1:], false
			if then != nil {
				then(r)
			}
			p.sendNext()
		}
		m.post(engineCallback(cb))
		if !answered { // the monitor may end before it answers
			p.later(2*time.Second, func() {
				if !answered && m.asking[cb.ID] != nil {
					delete(m.asking, cb.ID)
					retry()
				}
			})
		}
	})
}

// setProperties is the engine's own code, which no journal needs to know of.
const setProperties = "SET_PRIVATE_PROPERTIES"

// control is a control call that runs.
type control struct{ cancel func() }

// backup is the input of the calls that people make here: who asks.
type backup struct {
	Call string `json:"call"`
}

func (p *provider) control(i *instance, c engine.Call, answer func(engine.Returned)) {
	w, k := p.world(), c.Control
	if k.Name == setProperties {
		answer(engine.Returned{Status: engine.CodePropertiesStored})
		return
	}
	var in backup
	if json.Unmarshal(k.Input, &in) != nil || in.Call == "" {
		answer(engine.Returned{Status: engine.CodeInvalidData})
		return
	}
	check := p.c.host.group.check
	check.ran(p.c.host, in.Call)
	async, done := w.chance(0.5), false
	end := func(status engine.Code) {
		if done || p.dead {
			return
		}
		done = true
		delete(i.controls, k.Context)
		check.ended(in.Call, status)
		if async {
			p.report(engine.Callback{EndControlCall: &engine.EndControlCall{Context: k.Context, Status: status}}, nil)
			return
		}
		answer(engine.Returned{Status: status})
	}
	i.controls[k.Context] = &control{cancel: func() { end(engine.CodeOperationAborted) }}
	if async {
		answer(engine.Returned{Async: true})
	}
	p.later(w.upTo(3*time.Second), func() { end(engine.CodeSuccess) })
}
