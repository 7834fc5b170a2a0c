// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package ownership

// driveStarting decides whether the monitor goes on with the ownership of the one
// before it: Ownership section 6, MONITOR RESTART. That takes a disk state, an
// unexpired guard and a record that agree. Until all are known nothing is
// touched: what runs has its guard.
func (m *Machine) driveStarting() {
	if m.disk.Epoch == 0 {
		m.disown("") // nothing was ever owned here, or the disk was erased
		return
	}
	// A guard from before the start cannot last longer than that.
	late := m.past(m.began, m.disk.Timing.D)
	switch v := &m.view; {
	case v.quorum && !m.adoptable():
		m.disown("the record does not continue the epoch on the disk")
	case v.quorum && m.guarded():
		m.adopt()
	case late:
		m.disown("no guard of that epoch was found, or the API server did not answer")
	default:
		if !v.quorum {
			m.get(pollPeriod)
		}
	}
}

// adoptable reports whether the record in view is the one that the monitor before
// this one held.
func (m *Machine) adoptable() bool {
	v, r, d := &m.view, &m.view.record, &m.disk
	return v.readable() && r.HolderUID == m.config.PodUID && r.Epoch == d.Epoch && !r.Fenced() &&
		(d.LeaseUID == "" || d.LeaseUID == v.id.uid) && r.Duration == d.Timing.D
}

// guarded reports whether a provider still holds an unexpired guard of the epoch
// on the disk.
func (m *Machine) guarded() bool {
	for _, g := range m.guards {
		if g.Epoch == m.disk.Epoch && g.G2 > m.now.Boot {
			return true
		}
	}
	return false
}

// adopt begins to continue the ownership under the new incarnation.
func (m *Machine) adopt() {
	r := m.view.record
	t := &tenure{epoch: m.disk.Epoch, timing: m.disk.Timing, record: r, base: m.view.id}
	t.record.HolderName = m.config.PodName
	t.cause = GrantCause{
		Reason: GrantReadopted, PreviousHolder: r.HolderName, PreviousUID: r.HolderUID, PreviousEpoch: r.Epoch,
		LastHeard: r.RenewTime, Detected: m.view.since,
	}
	m.tenure, m.role = t, Adopting
}

// driveAdopting writes the record with the new incarnation before anything is
// extended: the write proves that nobody else took it. A write of the monitor
// before may have changed it in between.
func (m *Machine) driveAdopting() {
	if m.endExpired(); m.role != Adopting {
		return
	}
	for _, g := range m.guards {
		if g.Epoch == m.disk.Epoch && g.G2 > m.now.Boot {
			m.lookAt(g.G2)
		}
	}
	switch x := &m.exchange; {
	case m.busy():
	case x.mustRead:
		m.get(m.pause())
	case !m.adoptable():
		m.fact(FactNotReadopted, "the record changed")
		m.end(RevokeNotOwner)
	case m.mayWrite():
		m.put(m.tenure.record)
	}
}

// disown: whatever the record says, this monitor owns nothing. What runs is
// killed if it has a guard, and thus was online; else it is just terminated, so
// that a warm standby survives a restart of its monitor.
func (m *Machine) disown(why string) {
	if why != "" {
		m.fact(FactNotReadopted, why)
	}
	m.role = Clearing
	mode := Emergency
	for _, g := range m.guards {
		if g.G2 != 0 {
			mode = Kill
		}
	}
	if mode == Kill {
		m.do(Action{KillAll: &KillAll{}})
	}
	m.revoke(mode, RevokeNotOwner)
}

// driveClearing waits for the proof that nothing runs here.
func (m *Machine) driveClearing() {
	if m.clean {
		m.role = Observer
	}
}

func (m *Machine) onGuardUp(e Event) { m.guards[e.GuardUp.Container] = *e.GuardUp }

func (m *Machine) onGuardDown(e Event) { delete(m.guards, e.GuardDown.Container) }

// onStrayGuard: a container has a guard although nothing may be online here: an
// init that was out of reach when what ran was stopped. It is killed; before that
// is proven, the host is no candidate, and does not say again that it released.
func (m *Machine) onStrayGuard(e Event) {
	m.onGuardUp(e)
	if e.GuardUp.G2 == 0 {
		return
	}
	m.do(Action{KillAll: &KillAll{Container: e.GuardUp.Container}})
	if m.role != Observer && m.role != Releasing {
		return
	}
	m.clean = false
	m.revoke(Kill, RevokeNotOwner)
	if m.role == Observer {
		m.role = Clearing
	}
}
