// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"maps"
	"slices"
	"time"

	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
)

// expect is the client of a provider: it looks for the process of that nonce.
func (m *monitor) expect(container, nonce string) {
	if m.expected[container] == nonce {
		return
	}
	m.expected[container] = nonce
	m.hungUp(container)
	if p := m.host.container(container).provider; p != nil {
		p.came()
	}
}

// found connects to a provider that is there, if it is the one that is expected.
func (m *monitor) found(p *provider) {
	w, name := m.world(), p.c.name
	if m.expected[name] != p.nonce || m.talks[name] == p {
		return
	}
	m.host.node.after(w.pick(w.style.local), func() {
		if m.dead || p.dead || m.expected[name] != p.nonce || m.talks[name] == p {
			return
		}
		m.talks[name] = p
		up := &engine.ProviderUp{Container: name, Nonce: p.nonce, Capabilities: []string{
			"CAPABILITY_RESOURCE_CONTROL", "CAPABILITY_CANCEL",
		}}
		if m.host.group.policy.quorum {
			up.Capabilities = append(up.Capabilities, engine.CapabilityQuorum)
		}
		m.post(core.Input{ProviderUp: up})
	})
}

// lostProvider: the connection to a provider broke.
func (m *monitor) lostProvider(p *provider, why string) {
	name := p.c.name
	if m.talks[name] != p {
		return
	}
	m.hungUp(name)
	m.host.node.after(m.world().pick(m.world().style.local), func() {
		m.post(core.Input{ProviderDown: &engine.ProviderDown{Container: name, Reason: why}})
	})
}

// hungUp ends the connection to the provider of a container, and every call over it.
func (m *monitor) hungUp(container string) {
	p := m.talks[container]
	delete(m.talks, container)
	for _, id := range slices.Sorted(maps.Keys(m.calls)) {
		if m.calls[id].to == p && p != nil {
			m.returned(engine.Returned{Call: id, Outcome: engine.Unavailable})
		}
	}
}

// call carries out a call into a provider, until its deadline.
func (m *monitor) call(c engine.Call) {
	w, p := m.world(), m.talks[c.Container]
	m.host.group.check.sent(m, c)
	m.calls[c.ID] = &pendingCall{call: c, to: p}
	if p == nil || p.nonce != c.Nonce {
		m.returned(engine.Returned{Call: c.ID, Outcome: engine.Unavailable})
		return
	}
	m.host.node.after(w.pick(w.style.local), func() {
		if m.calls[c.ID] != nil && !p.dead {
			p.entry(c, func(r engine.Returned) {
				r.Call = c.ID
				if !m.dead && m.calls[c.ID] != nil {
					m.returned(r)
				}
			})
		}
	})
	if c.Deadline != 0 {
		m.host.node.after(min(m.host.node.clock.until(w.now, c.Deadline), time.Hour), func() {
			if !m.dead && m.calls[c.ID] != nil {
				m.returned(engine.Returned{Call: c.ID, Outcome: engine.DeadlineExceeded})
			}
		})
	}
}

func (m *monitor) returned(r engine.Returned) {
	c := m.calls[r.Call]
	delete(m.calls, r.Call)
	if m.belated && c.call.Op == engine.OpOnline && r.Outcome == engine.Answered {
		m.belated = false
		m.host.node.after(0, func() { c.to.c.childDies("signal: segmentation fault") })
		m.host.node.after(m.world().upTo(2*time.Second), func() { m.execute(core.Input{Returned: &r}) })
		return
	}
	m.execute(core.Input{Returned: &r})
}
