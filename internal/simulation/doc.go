// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package simulation lets an adversary try to make two hosts run one group. It
// runs the real core of several monitors (engine and ownership, as monitor.Run
// steps them) and the real machine of every init, unchanged, in virtual time over
// a model of everything around them: a linearizable API server whose answers are
// late, lost or unknown, a network that cuts one way, clocks that drift, nodes,
// pods, monitors, inits and providers that pause, hang, crash and restart,
// providers that are slow, lie and do not stop. After every step it checks what
// Ownership (docs/ownership.md) section 1 and the promises of the design say.
//
// A schedule is a function of its seed alone. The faults are random, but not
// blindly so: many strike at the moments that matter, such as right after a
// commit, and the extremes of what assumptions A1 to A3 allow are common.
package simulation
