// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package ownership decides who may have a group online: it implements the rules
// of Ownership (docs/ownership.md) sections 2 to 6, 8 and 9 for one host. It is
// pure: Machine.Step takes one event and the time, and returns what to do; it
// has no goroutine, clock, socket or client, so that it can be simulated and
// every recorded run replays.
//
// Two things keep a run safe that the machine cannot see to. The instant of a
// Step is read after its event arrived and before Step is called (a write counts
// from the Step that ordered it, a record from the Step that saw it). And the
// actions are carried out in order: a Guard before the Grant that follows it.
//
// Promises between hosts (section 7) are off: members are always "*", M is 0.
package ownership
