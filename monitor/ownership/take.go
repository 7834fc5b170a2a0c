// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"slices"
	"time"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	"github.com/understudy-dev/understudy/monitor/instant"
)

// othersTurn is how long a record that was released to another host is left to
// it before the succession applies: it may have died since.
const othersTurn = time.Second

// notCandidate says why this host would not take the group, or "".
func (m *Machine) notCandidate() string {
	switch {
	case m.drain != nil:
		return "the host is going away"
	case m.wish == nil:
		return "no plan is known yet"
	case !m.wish.WantOnline:
		return "the group is wanted offline"
	case m.wish.Unfit != "":
		return m.wish.Unfit
	case m.succession == nil:
		return "no succession is known yet"
	}
	if why, barred := m.succession.Barred[m.config.PodUID]; barred {
		return "barred: " + why
	}
	if !slices.Contains(m.succession.Line, m.config.PodUID) && !slices.Contains(m.succession.Reserve, m.config.PodUID) {
		return "not in the succession"
	}
	return ""
}

// driveObserver takes the group when the rules allow it: Ownership section 6,
// ACQUIRE.
func (m *Machine) driveObserver() {
	if m.notCandidate() != "" {
		return // and costs the API server nothing
	}
	v, x := &m.view, &m.exchange
	switch {
	case m.exchange.write != nil: // of createUnheld
		m.busy()
		return
	case !v.known() || x.mustRead:
		m.get(pollPeriod)
		return
	case v.id.absent:
		m.createUnheld()
		return
	case v.err != nil:
		return // news of it come by the watch
	}
	ripe, at := m.ripe()
	switch {
	case ripe && x.answered:
		m.seek(m.story())
	case ripe && m.now.ObserverElapsed(x.asked) > m.now.ObserverElapsed(at):
		m.get(0) // the last read left before the time had come
	case ripe || m.waited(v.since, m.config.Timing.R+m.config.Timing.A+leasev1.Stagger):
		m.get(pollPeriod)
	}
}

// ripe reports whether the record in view may be taken now, and since when.
func (m *Machine) ripe() (bool, instant.Instant) {
	v, r := &m.view, &m.view.record
	d := max(r.Duration, m.config.Timing.D) // a hand-edited short duration is harmless
	since, wait := v.since, time.Duration(0)
	switch {
	case r.Free():
		wait = m.turn(r)
	case r.Held() && r.Fenced():
		wait = m.stagger()
	case r.Members.Has(m.config.PodUID):
		wait = leasev1.W(d) + m.stagger()
	default:
		wait = leasev1.W(r.ExtendMax+d) + m.stagger()
	}
	if v.suspect != nil {
		// No fast path after a break in the history: an owner that the store has
		// forgotten may live for as long as one that is silent.
		quarantine := leasev1.W(d)
		if v.maxExtend > 0 {
			quarantine = leasev1.W(v.maxExtend + d)
		}
		overdue := m.now.ObserverElapsed(*v.suspect) - quarantine
		if overdue < m.now.ObserverElapsed(since)-wait {
			return m.waited(*v.suspect, quarantine), v.suspect.Add(quarantine)
		}
	}
	return m.waited(since, wait), since.Add(wait)
}

// turn is how long this host leaves a free record to others.
func (m *Machine) turn(r *leasev1.Record) time.Duration {
	if by, ok := r.ReleasedBy(); ok && by.PodUID == m.config.PodUID && by.Cause != leasev1.CauseOffline {
		places := len(m.succession.Line) + len(m.succession.Reserve)
		return leasev1.W(max(r.Duration, m.config.Timing.D)) + 2*time.Duration(places)*leasev1.Stagger
	}
	switch r.ReleasedTo {
	case m.config.PodUID:
		return 0
	case "":
		return m.stagger()
	}
	return othersTurn + m.stagger()
}

// stagger is the head start of the hosts before this one. The one whose turn just
// ended does not count, nor do those that are barred; who failed the group
// lately comes after all others.
func (m *Machine) stagger() time.Duration {
	before, after := 0, 0
	met := false
	for _, uid := range slices.Concat(m.succession.Line, m.succession.Reserve) {
		_, barred := m.succession.Barred[uid]
		switch {
		case uid == m.config.PodUID:
			met = true
		case barred || uid == m.outgoing():
		case !met:
			before++
		default:
			after++
		}
	}
	if m.failedHere(m.config.PodUID) || m.outgoing() == m.config.PodUID {
		before += after
	}
	return time.Duration(before) * leasev1.Stagger
}

// outgoing is the host that owned the group last, by the record in view.
func (m *Machine) outgoing() string {
	r := m.view.record
	if by, ok := r.ReleasedBy(); ok {
		return by.PodUID
	}
	return r.HolderUID
}

// story is what the next owner will tell about the record in view.
func (m *Machine) story() GrantCause {
	r := m.view.record
	c := GrantCause{
		Reason: GrantSilent, PreviousHolder: r.HolderName, PreviousUID: r.HolderUID, PreviousEpoch: r.Epoch,
		LastHeard: r.RenewTime, Detected: m.view.since,
	}
	switch {
	case r.Free():
		c.Reason, c.Release = GrantReleased, leasev1.DecodeReason(r.ReleaseReason)
		if by, ok := r.ReleasedBy(); ok {
			c.PreviousUID, c.Cause = by.PodUID, by.Cause
		}
	case r.Fenced():
		c.Reason, c.FencedBy = GrantFenced, r.FencedBy
	}
	return c
}

// seek begins to take the record in view. The epoch is above all that is known.
func (m *Machine) seek(c GrantCause) {
	r := m.view.record
	known := []int64{r.Epoch, m.view.maxEpoch, m.disk.Epoch, m.succession.OwnerEpoch}
	t := &tenure{
		epoch:  leasev1.NextEpoch(m.now.WallTime(), known...),
		timing: m.config.Timing, cause: c, base: m.view.id,
	}
	t.record = leasev1.Record{
		HolderName: m.config.PodName, HolderUID: m.config.PodUID, Duration: t.timing.D, Epoch: t.epoch,
		Members: leasev1.Members{leasev1.AnyMember}, Failovers: r.Failovers,
		Transitions: r.Transitions + 1, AcquireTime: m.now.WallTime(),
	}
	m.tenure, m.role = t, Acquiring
}

// driveAcquiring writes the record over the version that the time was waited for,
// and no other, until an answer decides.
func (m *Machine) driveAcquiring() {
	t, x := m.tenure, &m.exchange
	switch {
	case len(t.pend) == 0 && m.notCandidate() != "":
		m.tenure, m.role = nil, Observer
	case m.busy():
	case x.mustRead:
		m.get(m.pause())
	case m.stored(m.diskState(t.base.uid)) && m.mayWrite():
		m.put(t.record)
	}
}

// createUnheld creates the record of a Lease that somebody deleted. It names no
// owner, since the one before may live: everybody then watches it for W. But a
// living owner creates the Lease itself and goes on, so that it comes first: it
// knows of the deletion by its next renewal at the latest.
func (m *Machine) createUnheld() {
	known := max(m.view.maxEpoch, m.disk.Epoch, m.succession.OwnerEpoch)
	head := m.config.Timing.R + m.config.Timing.A
	if m.waited(m.view.since, head+m.stagger()) && m.mayWrite() {
		m.create(leasev1.Unheld(known, m.config.Timing.D))
	}
}

// failedHere reports whether the host gave the group up by failover lately.
func (m *Machine) failedHere(podUID string) bool {
	return m.wish != nil && m.view.record.FailoversSince(m.periodStart(), podUID) > 0
}

// periodStart is the beginning of the failover period. It compares wall clocks of
// several hosts, which is good enough for hours, and for nothing but manners.
func (m *Machine) periodStart() time.Time {
	return m.now.WallTime().Add(-m.wish.FailoverPeriod)
}
