// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
)

// In some groups db is a quorum resource: a host starts nothing in an epoch before it has
// won what only one process can have. It may lose that to somebody outside, when it asks
// for it or at any time after it.

func engineCallback(cb engine.Callback) core.Input { return core.Input{Callback: &cb} }

// arbitrate takes nothing away from a process that holds it.
func (p *provider) arbitrate(epoch int64, answer func(engine.Returned)) {
	w, h := p.world(), p.c.host
	p.later(w.pick(w.style.start), func() {
		g := h.group
		if w.now < g.outside || g.arbiter != nil && g.arbiter != p || !w.quiet && w.chance(0.15) {
			answer(engine.Returned{Status: engine.CodeResourceNotAvailable, Message: "it is another's"})
			return
		}
		g.arbiter = p
		w.Coverage.Arbitrated++
		g.check.won(h, epoch)
		answer(engine.Returned{})
	})
}

// letGo ends the defence.
func (p *provider) letGo() {
	if g := p.c.host.group; g.arbiter == p {
		g.arbiter = nil
	}
}

// loseQuorum: somebody outside took it. The provider says so until a monitor hears it.
func (p *provider) loseQuorum() {
	g, w := p.c.host.group, p.world()
	g.arbiter = nil
	if w.chance(0.5) {
		g.outside = w.until(g)
	}
	w.log(p.c.host.name, "the quorum resource is lost")
	p.report(engine.Callback{Handle: "uid-" + db, QuorumResourceLost: &engine.QuorumResourceLost{}}, func(r engine.Reply) {
		if r.Code == engine.CodeSuccess { // else its process is taken for lost already
			w.Coverage.QuorumLost++
			g.check.lostBy = p.c.host
		}
	})
}
