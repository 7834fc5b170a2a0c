// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"fmt"
	"slices"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
)

// handover is a release that is allowed now.
type handover struct {
	cause  leasev1.Cause
	to     string
	reason leasev1.Reason
}

// wantRelease is the release that the owner is to carry out, if any: see
// Ownership section 6, RELEASE. A refusal is told once.
func (m *Machine) wantRelease() *handover {
	h, refusal := m.handover()
	if refusal != m.notReleased && refusal != "" {
		m.fact(FactNotReleased, refusal)
	}
	m.notReleased = refusal
	return h
}

// handover is the release that is due, or nil and why a wished one is refused:
// giving up what nobody may take would only make the outage longer.
func (m *Machine) handover() (*handover, string) {
	if m.drain != nil {
		return &handover{cause: leasev1.CauseDrain, to: m.next(), reason: m.drain.Reason}, ""
	}
	if m.wish == nil {
		return nil, ""
	}
	if !m.wish.WantOnline {
		return &handover{cause: leasev1.CauseOffline, reason: leasev1.Reason{Reason: string(leasev1.CauseOffline)}}, ""
	}
	want := m.wish.Release
	if want == nil {
		return nil, ""
	}
	if want.Cause == leasev1.CauseFailover && m.wish.FailoverThreshold >= 0 {
		if n := m.tenure.record.FailoversSince(m.periodStart(), ""); n >= m.wish.FailoverThreshold {
			return nil, fmt.Sprintf("failover threshold reached: %d within %v, %d allowed", n, m.wish.FailoverPeriod,
				m.wish.FailoverThreshold)
		}
	}
	to := want.To
	if to != "" && !m.canTake(to) {
		if want.Cause == leasev1.CauseMove {
			return nil, "the host that was asked for is not ready, barred or not in the succession"
		}
		to = ""
	}
	if to == "" {
		to = m.next()
	}
	if to == "" {
		return nil, "no other host is ready and not barred"
	}
	return &handover{cause: want.Cause, to: to, reason: want.Reason}, ""
}

// canTake reports whether another host could take the group over.
func (m *Machine) canTake(uid string) bool {
	s := m.succession
	if s == nil || uid == m.config.PodUID || !slices.Contains(s.Ready, uid) {
		return false
	}
	_, barred := s.Barred[uid]
	return !barred && (slices.Contains(s.Line, uid) || slices.Contains(s.Reserve, uid))
}

// next is the host that should take after this one: the first that can, but one
// that failed the group lately only if there is no other. Empty if there is none.
func (m *Machine) next() string {
	if m.succession == nil {
		return ""
	}
	second := ""
	for _, uid := range slices.Concat(m.succession.Line, m.succession.Reserve) {
		switch {
		case !m.canTake(uid):
		case !m.failedHere(uid):
			return uid
		case second == "":
			second = uid
		}
	}
	return second
}

// release begins to give up the lease: the stop is proven.
func (m *Machine) release(h *handover) {
	h.reason.OfflineTime = m.now.WallTime()
	m.tenure.release, m.role = h, Releasing
}

// driveReleasing writes that the lease is given up. The write is repeated
// until its outcome is known, also beyond our validity: it only ever replaces a
// record of ours.
func (m *Machine) driveReleasing() {
	switch x := &m.exchange; {
	case m.busy():
	case x.mustRead:
		m.get(m.pause())
	case m.view.id.absent:
		// A free record created now might hide another owner's; others watch the
		// unheld one for W.
		m.tenure, m.role = nil, Clearing
	case !m.clean: // a container that was taken for dead is not
	case m.mayWrite():
		m.put(m.releaseRecord())
	}
}

// releaseRecord is the record that gives the group up.
func (m *Machine) releaseRecord() leasev1.Record {
	t := m.tenure
	h, r := t.release, t.record
	r.HolderName, r.HolderUID = "", ""
	r.ReleasedEpoch, r.ReleasedTo, r.ReleaseReason = t.epoch, h.to, h.reason.Encode()
	r.Failovers = leasev1.WithFailover(r.Failovers, leasev1.Failover{
		Epoch: t.epoch, PodUID: m.config.PodUID, Cause: h.cause, Reason: h.reason.Reason, Time: h.reason.OfflineTime,
	})
	return r
}
