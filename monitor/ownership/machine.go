// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package ownership

import "github.com/understudy-dev/understudy/monitor/instant"

// Machine is the ownership of one group as one host knows it. It is not safe for
// concurrent use.
type Machine struct {
	config Config
	disk   Disk
}

// New returns a machine in role Starting. The disk state is what the last
// Persist that was fsynced said, or the zero value.
func New(c Config, d Disk) *Machine { return &Machine{config: c, disk: d} }

// Step takes one event and returns what to do about it, in order.
func (m *Machine) Step(now instant.Instant, e Event) []Action { return nil }

// Snapshot returns the state as of the last Step.
func (m *Machine) Snapshot() Snapshot { return Snapshot{} }
