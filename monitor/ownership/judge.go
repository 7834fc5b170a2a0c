// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"errors"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
)

// judge is what a change of the view means to the role. Roles that claim nothing
// only look at it in their own time.
func (m *Machine) judge(rewound bool) {
	switch m.role {
	case Acquiring:
		m.judgeAcquiring()
	case Adopting:
		r := m.view.record
		if m.view.readable() && m.mine(r) && !r.Fenced() && m.tenure.confirm(r.Seq) {
			m.role = Owner
		}
	case Owner, Offlining, SelfStopping:
		m.judgeHeld(rewound)
	case Releasing:
		m.judgeReleasing()
	}
}

// raceLost is why a try to take the group came to nothing.
func (m *Machine) raceLost(r leasev1.Record) string {
	switch {
	case !m.view.readable():
		return "the record is gone or cannot be read"
	case m.mine(r) && r.Fenced():
		return "this host was declared stopped by " + r.FencedBy
	}
	return "holder is " + r.HolderName
}

// judgeAcquiring: the record carries a write of ours (won), or something else
// came (lost), which a person's word that this host is stopped is too. The same
// version as before decides nothing.
func (m *Machine) judgeAcquiring() {
	t := m.tenure
	r := m.view.record
	if !m.view.readable() || !m.mine(r) || r.Fenced() || !t.confirm(r.Seq) {
		m.fact(FactRaceLost, m.raceLost(r))
		m.tenure, m.role = nil, Observer
		return
	}
	switch why := m.notCandidate(); {
	case why != "":
		// Nothing ever ran under this epoch: it is given up as it is.
		h, _ := m.handover()
		if h == nil {
			h = &handover{cause: leasev1.CauseDeclined, to: m.next(),
				reason: leasev1.Reason{Reason: string(leasev1.CauseDeclined)}}
		}
		m.release(h)
	case m.past(t.from, t.timing.N):
		// Won, but the answer took so long that it is no use. For the same reason
		// the next epoch may follow at once.
		m.seek(t.cause)
	default:
		m.role = Owner
	}
}

// judgeHeld: the record is ours, and may confirm a write; or it proves that our
// epoch is over.
func (m *Machine) judgeHeld(rewound bool) {
	t, v := m.tenure, &m.view
	switch {
	case v.id.absent:
		return // recreate, as long as we are valid
	case m.damaged():
		return // somebody's edit: we are valid, so nobody took it; renew writes over it
	case v.err != nil || !m.mine(v.record):
		m.lost("the record names " + v.record.HolderName + " or cannot be read")
		return
	case v.record.Fenced():
		m.lost("this host was declared stopped by " + v.record.FencedBy)
		return
	}
	fresh := t.confirm(v.record.Seq)
	if rewound && !fresh {
		m.lost("the Lease is older than one seen before, or another one")
		return
	}
	if fresh && m.disk.LeaseUID != v.id.uid {
		m.fact(FactRecreated, "the Lease was created again")
		m.stored(m.diskState(v.id.uid)) // without waiting: an empty UID on the disk fits too
	}
}

// lost: the record proves that our epoch is over.
func (m *Machine) lost(why string) {
	m.fact(FactLost, why)
	m.end(RevokeLost)
}

// judgeReleasing: released, or still ours under another version (then write
// again), or beyond us.
func (m *Machine) judgeReleasing() {
	t, v := m.tenure, &m.view
	r := v.record
	switch {
	case m.damaged(), v.readable() && m.mine(r) && !r.Fenced():
		return
	case v.readable() && !r.Held() && r.Inc == m.config.Inc && r.ReleasedEpoch == t.epoch:
		m.do(Action{Fact: &Fact{Kind: FactReleased, Epoch: t.epoch, Cause: t.release.cause, Message: "to " + r.ReleasedTo}})
	default:
		m.fact(FactLost, "the record changed before it was released; nothing ran any more")
	}
	m.tenure, m.role = nil, Clearing
}

// damaged reports whether the record still names this host but breaks the format.
func (m *Machine) damaged() bool {
	return m.view.holder == m.config.PodUID && errors.Is(m.view.err, leasev1.ErrMalformed)
}
