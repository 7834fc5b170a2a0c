// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"slices"
	"time"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	"github.com/understudy-dev/understudy/monitor/instant"
)

// tenure is an ownership held or sought: Ownership section 5, owner.
type tenure struct {
	epoch  int64
	timing leasev1.Timing
	// record is what our writes say, but for seq, time and the object's version.
	record leasev1.Record
	cause  GrantCause

	// base is the version that the first write replaces.
	base identity
	// confirmed is the last write that is known to be committed, 0 if none is, and
	// from is before the first try of it: the ownership is valid until from + D.
	confirmed int64
	from      instant.Instant
	// pend are the writes not known to have failed, oldest first, the confirmed
	// one included.
	pend []pending
	// attempts counts the writes since the last one that was confirmed.
	attempts int

	granted bool
	asked   int64 // ID of the AskTick since the last confirmed write, 0 if none
	askedAt instant.Instant
	ticked  bool // it was answered
	silent  bool // it was reported as not answered

	release *handover // set once the release is being written
}

// pending is one write: its validity counts from at, not from any answer.
type pending struct {
	seq int64
	at  instant.Instant
}

// confirm takes from a record of ours which write is in the store, and reports
// whether that is news. Its validity counts from its own beginning. Older writes
// can no longer commit: they were over a version that is gone.
func (t *tenure) confirm(seq int64) bool {
	i := slices.IndexFunc(t.pend, func(p pending) bool { return p.seq == seq })
	if i < 0 || seq <= t.confirmed {
		return false
	}
	t.confirmed, t.from, t.pend = seq, t.pend[i].at, t.pend[i:]
	t.attempts, t.asked, t.ticked, t.silent = 0, 0, false, false
	return true
}

// elapsed is how much of D the ownership has used up.
func (m *Machine) elapsed() time.Duration { return m.now.HolderElapsed(m.tenure.from) }

// holding reports whether the role holds the lease under a validity that may run
// out. (Releasing does not need one: its stop is proven.)
func (m *Machine) holding() bool {
	return m.role == Owner || m.role == Offlining || m.role == SelfStopping
}

// endExpired ends an ownership that has run out (NO REVIVAL): a success that
// comes later changes nothing. The same goes for an adoption whose guard has
// expired: what it was to continue is being killed.
func (m *Machine) endExpired() {
	if m.role == Adopting && !m.guarded() {
		m.fact(FactNotReadopted, "the guard expired before the record was renewed")
		m.end(RevokeExpired)
	}
	if m.holding() && m.past(m.tenure.from, m.tenure.timing.D) {
		m.fact(FactExpired, "no renewal was confirmed within the lease duration")
		m.end(RevokeExpired)
	}
}

// end gives up every claim at once, whether the record proves another owner or
// our time is over: hard kill, and nothing more is written with this epoch.
func (m *Machine) end(why RevokeReason) {
	epoch := m.guard.Epoch
	if m.tenure != nil {
		epoch = max(epoch, m.tenure.epoch)
	}
	m.tenure = nil
	m.exchange.mustRead = true
	if m.clean {
		m.role = Observer
		return
	}
	m.role = Clearing
	// Both, because an init whose connection is just being made again hears of
	// the kill only by the guard that it then gets.
	m.setGuard(Guard{Epoch: epoch, G1: m.now.Boot, G2: m.now.Boot})
	m.do(Action{KillAll: &KillAll{}})
	m.revoke(Kill, why)
}

// revoke orders a stop.
func (m *Machine) revoke(mode RevokeMode, why RevokeReason) {
	m.order(Revoke{Mode: mode, Reason: why})
}

// order orders a stop, and names it.
func (m *Machine) order(r Revoke) {
	r.ID = m.id()
	if m.revokes == 0 {
		m.revokes = r.ID
	}
	m.revoked = r.Mode
	if m.tenure != nil {
		m.tenure.granted = false
	}
	m.do(Action{Revoke: &r})
}

// onStopped takes what the engine says about a stop. An answer to a Revoke from
// before the last Grant says nothing about what runs now.
func (m *Machine) onStopped(e Event) {
	s := e.Stopped
	if m.revokes == 0 || s.Revoke < m.revokes {
		return
	}
	if !s.Proven {
		if !m.stopFailed {
			m.fact(FactStopFailed, stopFailedMessage(s.Left))
		}
		m.stopFailed = true
		return
	}
	if m.stopFailed {
		m.fact(FactStopProven, "the stop is proven now")
	}
	m.clean, m.stopFailed, m.revokes, m.revoked = true, false, 0, ""
	m.disarm()
}

func (m *Machine) setGuard(g Guard) {
	m.guard = g
	m.do(Action{Guard: &g})
}

// disarm takes the guard away, which is allowed because the stop is proven. Its
// epoch is the largest that any init here knows: init ignores smaller ones.
func (m *Machine) disarm() {
	g, armed := Guard{Epoch: m.guard.Epoch}, m.guard.G2 != 0
	for c, up := range m.guards {
		g.Epoch, armed = max(g.Epoch, up.Epoch), armed || up.G2 != 0
		up.G2 = 0
		m.guards[c] = up
	}
	if armed {
		m.disarms++
		m.setGuard(g)
	}
}
