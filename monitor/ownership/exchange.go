// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"time"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	"github.com/understudy-dev/understudy/monitor/instant"
)

const (
	// pollPeriod is how often an observer reads near the expiry of a record, and
	// the longest pause between attempts.
	pollPeriod = 500 * time.Millisecond
	// firstPause is the part of A that must lie between the beginnings of two
	// attempts, so that an API server that refuses quickly is not hammered. It
	// doubles up to pollPeriod.
	firstPause = 10
)

// exchange is the traffic with the API server: at most one request at a time.
type exchange struct {
	write, read  *request
	wrote, asked instant.Instant // when the last write, the last read left
	fails        int             // requests without an answer since the last one with
	mustRead     bool            // only a quorum read tells what the record is
	answered     bool            // in this Step, a quorum read confirmed the view
}

// request is a Put, Create or Get under way.
type request struct {
	id    int64 // Seq or ID
	at    instant.Instant
	asked identity // what was believed when it left
}

// busy reports whether a request is under way. One whose answer the edge owes
// for too long counts as unanswered, so that no bug there holds up a renewal.
func (m *Machine) busy() bool {
	x, late := &m.exchange, m.timing().A*3/2
	if x.write != nil && m.past(x.write.at, late) {
		m.writeUnknown()
	}
	if x.read != nil && m.past(x.read.at, late) {
		x.read = nil
		x.fails++
	}
	return x.write != nil || x.read != nil
}

// timing is that of the epoch held or sought, else of the next one.
func (m *Machine) timing() leasev1.Timing {
	if m.tenure != nil {
		return m.tenure.timing
	}
	return m.config.Timing
}

// pause is the least time between the beginnings of two attempts: none after an
// answer.
func (m *Machine) pause() time.Duration {
	if m.exchange.fails == 0 {
		return 0
	}
	return min(pollPeriod, m.timing().A/firstPause<<min(m.exchange.fails-1, 6))
}

// get orders a quorum read if none began within the pause.
func (m *Machine) get(pause time.Duration) {
	x := &m.exchange
	if m.busy() || x.asked != (instant.Instant{}) && !m.past(x.asked, pause) {
		return
	}
	x.asked = m.now
	x.read = &request{id: m.id(), at: m.now, asked: m.view.id}
	m.do(Action{Get: &Get{ID: x.read.id, Quorum: true, Timeout: m.timing().A}})
	m.busy() // look again if no answer comes
}

// mayWrite reports whether a write may leave now.
func (m *Machine) mayWrite() bool {
	x := &m.exchange
	return !m.busy() && (x.wrote == (instant.Instant{}) || m.past(x.wrote, m.pause()))
}

// put orders a write over the version in view, as this incarnation's next one,
// and notes its beginning: from there its validity counts.
func (m *Machine) put(r leasev1.Record) {
	r = m.stamp(r)
	r.UID, r.ResourceVersion = m.view.id.uid, m.view.id.version
	m.do(Action{Put: &Put{Seq: r.Seq, Record: r, Timeout: m.timing().A}})
}

// create is put for a Lease that does not exist.
func (m *Machine) create(r leasev1.Record) {
	r = m.stamp(r)
	r.UID, r.ResourceVersion = "", ""
	m.do(Action{Create: &Create{Seq: m.nextSeq, Record: r, Timeout: m.timing().A}})
}

func (m *Machine) stamp(r leasev1.Record) leasev1.Record {
	m.nextSeq++
	x := &m.exchange
	x.wrote = m.now
	x.write = &request{id: m.nextSeq, at: m.now, asked: m.view.id}
	m.busy() // look again if no answer comes
	if t := m.tenure; t != nil {
		t.pend = append(t.pend, pending{seq: m.nextSeq, at: m.now})
		t.attempts++
		r.Inc, r.Seq, r.Protocol = m.config.Inc, m.nextSeq, leasev1.Protocol
		r.RenewTime = m.now.WallTime()
	}
	return r
}

// onWrote takes the answer to a write. One that comes after the write was given
// up for unknown still proves a commit, and nothing else.
func (m *Machine) onWrote(e Event) {
	w, x := e.Wrote, &m.exchange
	var asked identity
	current := x.write != nil && x.write.id == w.Seq
	if current {
		asked = x.write.asked
	}
	switch {
	case w.Outcome == Committed && w.Lease != nil:
		if current {
			x.write, x.fails = nil, 0
		}
		m.learn(w.Lease, reply, asked)
	case !current:
	case w.Outcome == Conflict:
		// 409 proves neither loss nor possession: a write of ours whose outcome
		// was unknown may be what it met.
		x.write, x.fails, x.mustRead = nil, 0, true
	case w.Outcome == NotFound:
		x.write, x.fails = nil, 0
		m.learn(nil, reply, asked)
	default:
		m.writeUnknown()
	}
}

// writeUnknown: only an answer decides. An owner in time does better than to
// ask: it writes again over the same version (if the first write commits after
// all, this one meets 409).
func (m *Machine) writeUnknown() {
	x := &m.exchange
	x.write = nil
	x.fails++
	switch m.role {
	case Owner, Offlining, Releasing, Adopting:
	default:
		x.mustRead = true
	}
}

// onObserved takes the answer to a read, or the news of a watch.
func (m *Machine) onObserved(e Event) {
	o, x := e.Observed, &m.exchange
	if o.Get == 0 {
		if !o.Failed {
			m.learn(o.Lease, watch, identity{})
		}
		return
	}
	if x.read == nil || x.read.id != o.Get {
		return // given up before
	}
	asked := x.read.asked
	x.read = nil
	if o.Failed {
		x.fails++
		return
	}
	x.fails = 0
	n := m.learn(o.Lease, read, asked)
	x.answered = n.believed
	x.mustRead = !n.believed
}

// learn brings news into the view and lets the role judge what changed.
func (m *Machine) learn(l *leasev1.Lease, from source, asked identity) news {
	n := m.view.take(m.now, l, from, asked)
	if n.doubt {
		m.exchange.mustRead = true
	}
	if n.changed {
		switch {
		case n.rewound && !m.mine(m.view.record):
			m.fact(FactRewound,
				"the Lease is another one, or older than one seen before; nothing is taken before it was watched")
		case m.view.id.absent:
			m.fact(FactDeleted, "the Lease is gone")
		case m.view.err != nil:
			m.fact(FactUnreadable,
				m.view.err.Error()+"; only its living owner writes over it, so mend or delete the Lease if there is none")
		}
		m.judge(n.rewound)
	}
	return n
}
