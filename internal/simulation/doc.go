// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package simulation lets an adversary try to make two hosts run one group. It
// runs the real ownership machine of several hosts, unchanged, in virtual time
// over a model of everything around it: one linearizable Lease, a network that
// cuts one way, delays and forgets, clocks that drift, monitors, inits and hosts
// that pause, crash and restart, resources that do not stop. After every step it
// checks what Ownership (docs/ownership.md) section 1 promises.
//
// A schedule is a function of its seed alone. The faults are random, but not
// blindly so: many strike at the moments that matter, such as right after a
// commit, and the extremes of what assumptions A1 to A3 allow are common.
package simulation
