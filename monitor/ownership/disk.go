// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"slices"

	"github.com/understudy-dev/understudy/monitor/instant"
)

// diskState is what the disk must say about the ownership held or sought.
func (m *Machine) diskState(leaseUID string) Disk {
	t := m.tenure
	return Disk{LeaseUID: leaseUID, Epoch: t.epoch, Members: t.record.Members, ExtendMax: int64(t.record.ExtendMax),
		Timing: t.timing}
}

// stored reports whether this state is on the disk; if not, it sees to it. The
// write that it is to precede waits.
func (m *Machine) stored(d Disk) bool {
	if m.storing != nil {
		return false
	}
	if same(m.disk, d) {
		return true
	}
	if m.diskFailed != (instant.Instant{}) && !m.past(m.diskFailed, pollPeriod) {
		return false
	}
	m.storing = &Persist{ID: m.id(), Disk: d}
	m.do(Action{Persist: m.storing})
	return false
}

func (m *Machine) onPersisted(e Event) {
	p := e.Persisted
	if m.storing == nil || p.ID != m.storing.ID {
		return
	}
	if p.Error == "" {
		m.disk, m.diskFailed = m.storing.Disk, instant.Instant{}
	} else {
		m.diskFailed = m.now
		m.fact(FactDiskFailed, p.Error)
	}
	m.storing = nil
}

func same(a, b Disk) bool {
	return a.LeaseUID == b.LeaseUID && a.Epoch == b.Epoch && a.ExtendMax == b.ExtendMax &&
		a.Timing == b.Timing && slices.Equal(a.Members, b.Members)
}
