// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package machine

import guardv1 "github.com/understudy-dev/understudy/api/guard/v1"

// dump is the dump that is being collected. It holds nothing up but the kill that
// the monitor sent with AfterDump, and that for a bounded time.
type dump struct {
	// running is set from Dump to Dumped, which may never come.
	running bool
	// killAt is when an ordered kill waits no longer, zero if none does.
	killAt int64
}

// dumpOrdered begins a dump. There is one at a time: one that blocks leaves one
// thread behind, and no second.
func (g *Guard) dumpOrdered(m guardv1.Message) {
	why := ""
	switch {
	case m.Dump == nil:
		why = "the order does not say what to dump"
	case g.dump.running:
		why = "another dump of this container is still being collected"
	case g.killing || !g.child:
		why = "no process runs in the container"
	}
	if why != "" {
		g.send(guardv1.Message{Type: guardv1.Dumped, ID: m.ID, Reason: why})
		return
	}
	g.dump.running = true
	g.do(Action{Kind: Dump, Message: m})
}

func (g *Guard) dumped(m guardv1.Message) {
	g.dump.running = false
	g.send(m)
	if g.dump.killAt != 0 {
		g.ordered()
	}
}

// killOrdered handles a Kill. Only one that says so waits for a dump, and a second
// one does not lengthen the wait.
func (g *Guard) killOrdered(now int64, m guardv1.Message) {
	switch {
	case g.killing:
	case m.AfterDump && g.dump.running:
		if g.dump.killAt == 0 {
			g.dump.killAt = now + guardv1.DumpWaitNanos
		}
	default:
		g.ordered()
	}
}

// ordered kills as the monitor wants it.
func (g *Guard) ordered() {
	g.kill(sequel{pause: int64(RestartMin)})
	g.log("the monitor ordered it: killed all")
}
