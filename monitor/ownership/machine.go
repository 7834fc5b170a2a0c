// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	"github.com/understudy-dev/understudy/monitor/instant"
)

// Machine is the ownership of one group as one host knows it. It is not safe for
// concurrent use.
type Machine struct {
	config Config
	disk   Disk // what is on the disk
	role   Role

	now   instant.Instant // of the Step under way
	out   []Action        // of the Step under way
	wake  int64           // earliest CLOCK_BOOTTIME at which something falls due, 0 if never
	armed int64           // that of the last Arm, 0 once it has come
	begun bool
	began instant.Instant

	// What is known of the world.
	view       view
	wish       *Wish
	succession *Succession
	drain      *Drain
	guards     map[string]GuardUp // per connected container

	// What is under way.
	exchange exchange
	storing  *Persist
	tenure   *tenure // the ownership held or sought; nil in Starting, Clearing, Observer

	// What may run here.
	clean      bool  // nothing does: nothing was granted since the last proof
	revokes    int64 // ID of the first Revoke since the last Grant, 0 if none
	revoked    RevokeMode
	stopFailed bool
	guard      Guard // the last one ordered
	disarms    int64 // how many were taken away

	nextID      int64 // of Get, Persist, Revoke and AskTick
	nextSeq     int64 // of writes: unique within the incarnation
	notReleased string
	diskFailed  instant.Instant // when the disk last refused, zero if it did not
}

// New returns a machine in role Starting. The disk state is what the last
// Persist that was fsynced said, or the zero value.
func New(c Config, d Disk) *Machine {
	return &Machine{
		config: c, disk: d, role: Starting, guards: map[string]GuardUp{},
		view: view{maxUID: d.LeaseUID, maxEpoch: d.Epoch},
	}
}

// Step takes one event and returns what to do about it, in order. It has three
// parts: what the event changes in what is known, what the role now makes of it,
// and when to look again.
func (m *Machine) Step(now instant.Instant, e Event) []Action {
	m.now, m.out = now, nil
	if !m.begun {
		m.begun, m.began = true, now
	}
	// NO REVIVAL: an ownership that has run out is over before the event is
	// looked at, whatever good news that brings.
	m.endExpired()
	table[m.role].of(e)(m, e)
	m.drive()
	m.exchange.answered = false
	m.arm()
	return m.out
}

// drive does what the role asks for now, and again after each change of role.
func (m *Machine) drive() {
	for {
		role := m.role
		m.wake = 0
		drives[role](m)
		if m.role == role {
			return
		}
	}
}

// drives is what each role does of its own accord, after every event.
var drives map[Role]func(*Machine)

func init() { // here, because the functions lead back to drives
	drives = map[Role]func(*Machine){
		Starting:     (*Machine).driveStarting,
		Clearing:     (*Machine).driveClearing,
		Observer:     (*Machine).driveObserver,
		Acquiring:    (*Machine).driveAcquiring,
		Adopting:     (*Machine).driveAdopting,
		Owner:        (*Machine).driveOwner,
		Offlining:    (*Machine).driveOfflining,
		Releasing:    (*Machine).driveReleasing,
		SelfStopping: (*Machine).driveSelfStopping,
	}
}

func (m *Machine) do(a Action) { m.out = append(m.out, a) }

func (m *Machine) id() int64 {
	m.nextID++
	return m.nextID
}

func (m *Machine) fact(kind FactKind, message string) {
	f := Fact{Kind: kind, Message: message}
	if m.tenure != nil {
		f.Epoch = m.tenure.epoch
	}
	m.do(Action{Fact: &f})
}

// mine reports whether the record is that of the ownership held or sought, as
// written by this incarnation.
func (m *Machine) mine(r leasev1.Record) bool {
	return m.tenure != nil && r.HolderUID == m.config.PodUID && r.Inc == m.config.Inc && r.Epoch == m.tenure.epoch
}
