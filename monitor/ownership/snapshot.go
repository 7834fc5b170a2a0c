// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package ownership

// Snapshot returns the state as of the last Step.
func (m *Machine) Snapshot() Snapshot {
	v := &m.view
	s := Snapshot{
		Role: m.role, Holder: v.record.HolderName, HolderUID: v.holder, RecordEpoch: v.record.Epoch, RecordSince: v.since,
		Revoked: m.revoked, StopFailed: m.stopFailed, Draining: m.drain != nil,
		NotCandidate: m.notCandidate(), NotReleased: m.notReleased,
	}
	if v.err != nil {
		s.Unreadable = v.err.Error()
	}
	if t := m.tenure; t != nil {
		s.Epoch, s.Granted = t.epoch, t.granted
		s.Doubt = t.attempts > 0 || m.exchange.mustRead
		if t.confirmed != 0 {
			s.ValidUntil = m.now.Boot + int64(t.timing.D-m.elapsed())
		}
	}
	return s
}
