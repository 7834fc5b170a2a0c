// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"strings"
	"time"
)

// driveOwner renews, grants when it may, and notices when it must stop.
func (m *Machine) driveOwner() {
	t := m.tenure
	if m.endExpired(); m.role != Owner {
		return
	}
	if !m.clean && m.past(t.from, t.timing.N) {
		m.selfStop()
		return
	}
	switch h := m.wantRelease(); {
	case h == nil:
	case !m.clean:
		m.order(Revoke{Mode: Ordered, Reason: RevokeRelease, Cause: h.cause, To: h.to})
		m.role = Offlining
		return
	case m.wish != nil && m.wish.Hold:
		m.followGuard()
		m.renew()
		return
	default:
		m.release(h)
		return
	}
	if !t.granted && !m.past(t.from, t.timing.N) {
		m.grant()
	}
	m.followGuard()
	m.renew()
}

// driveOfflining renews while what runs is stopped in order.
func (m *Machine) driveOfflining() {
	t := m.tenure
	if m.endExpired(); m.role != Offlining {
		return
	}
	switch {
	case m.clean:
		m.role = Owner // which releases, or grants again if that is no longer wanted
	case m.past(t.from, t.timing.N):
		m.selfStop()
	default:
		m.followGuard()
		m.renew()
	}
}

// driveSelfStopping waits for the proof of the stop. Nothing is written before:
// what was asked earlier may still succeed, and then prolongs the ownership
// without aborting the stop. But a stop that has failed must not let the lease
// run out while the API server can be reached: the group would start elsewhere.
func (m *Machine) driveSelfStopping() {
	if m.endExpired(); m.role != SelfStopping {
		return
	}
	switch {
	case m.clean:
		m.role = Owner
		return
	case m.stopFailed:
		m.followGuard()
		m.renew()
	default:
		m.followGuard()
		if m.exchange.mustRead {
			m.get(m.pause())
		}
	}
}

// selfStop begins the emergency stop, so early that it ends before the guard.
func (m *Machine) selfStop() {
	m.fact(FactSelfStop, "no renewal was confirmed in time; everything here stops")
	m.exchange.mustRead = true
	m.revoke(Emergency, RevokeSelfStop)
	m.role = SelfStopping
}

// grant lets things come online, under a guard.
func (m *Machine) grant() {
	t := m.tenure
	t.granted, m.clean = true, false
	m.followGuard()
	m.do(Action{Grant: &Grant{Epoch: t.epoch, ValidFrom: t.from, Cause: t.cause}})
	switch t.cause.Reason {
	case GrantResumed:
		m.fact(FactResumed, "the stop was not needed; online again in the same epoch")
	case GrantReadopted:
		m.fact(FactReadopted, "the monitor restarted; what runs goes on")
	default:
		m.fact(FactAcquired, "reason "+string(t.cause.Reason))
	}
	t.cause = GrantCause{Reason: GrantResumed, PreviousHolder: m.config.PodName, PreviousUID: m.config.PodUID,
		PreviousEpoch: t.epoch, LastHeard: m.now.WallTime(), Detected: m.now}
}

// followGuard keeps the guard where the validity is. It is absolute, on
// CLOCK_BOOTTIME: what is left is counted on the clock that ran faster, and if
// that is the other one, the guard moves closer as we notice.
func (m *Machine) followGuard() {
	t := m.tenure
	if m.clean {
		return
	}
	start := m.now.Boot - int64(m.elapsed())
	// A nanosecond less after each that was taken away: what init still answers to one of
	// those is no answer to this one.
	g := Guard{Epoch: t.epoch, G1: start + int64(t.timing.G1), G2: start + int64(t.timing.G2) - m.disarms}
	if g.Epoch != m.guard.Epoch || m.guard.G2 == 0 || g.G2 > m.guard.G2 || g.G2 < m.guard.G2-int64(time.Millisecond) {
		m.setGuard(g)
	}
}

// renew keeps the lease: Ownership section 6, RENEW. The first write of a series
// needs a tick of the engine since the last confirmed one.
func (m *Machine) renew() {
	t, x := m.tenure, &m.exchange
	if m.busy() {
		return
	}
	if x.mustRead {
		m.get(m.pause())
		return
	}
	// A record that somebody deleted or damaged is written again at once.
	broken := m.view.id.absent || m.view.err != nil
	if t.attempts == 0 {
		if !broken && !m.past(t.from, t.timing.R/2) {
			return
		}
		m.askTick()
		if !broken && !m.past(t.from, t.timing.R) {
			return
		}
		if !t.ticked {
			m.engineSilent()
			return
		}
	}
	switch {
	case m.view.id.absent:
		m.recreate()
	case m.mayWrite():
		m.put(t.record)
	}
}

// engineSilent tells, once, that a renewal waits for the engine.
func (m *Machine) engineSilent() {
	if t := m.tenure; !t.silent && m.past(t.askedAt, t.timing.A) {
		t.silent = true
		m.fact(FactEngineSilent, "the renewal waits for the engine, which does not answer")
	}
}

func (m *Machine) askTick() {
	if t := m.tenure; t.asked == 0 {
		t.asked, t.askedAt, t.ticked = m.id(), m.now, false
		m.do(Action{AskTick: &AskTick{ID: t.asked}})
	}
}

func (m *Machine) onTick(e Event) {
	if t := m.tenure; t != nil && t.asked != 0 && e.Tick.ID == t.asked {
		t.ticked = true
	}
}

// recreate creates the Lease again that somebody deleted, with our own epoch,
// which is allowed within our validity: creation is atomic. The disk forgets the
// old object first, so that a monitor that restarts in between adopts the new.
func (m *Machine) recreate() {
	t := m.tenure
	if !m.stored(m.diskState("")) || !m.mayWrite() {
		return
	}
	m.create(t.record)
}

func stopFailedMessage(left []string) string {
	if len(left) == 0 {
		return "the stop is not proven; the lease is kept"
	}
	return "the stop is not proven; the lease is kept; left: " + strings.Join(left, ", ")
}
