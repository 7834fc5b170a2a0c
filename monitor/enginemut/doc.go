// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package engine is the resource engine of the monitor: which resource of the
// group is in which state, what is called in which provider next, and what
// follows from every answer, report, silence and loss. It decides states,
// timers, dependencies, restarts and control calls; it owns nothing else.
//
// It is pure. [Engine.Step] takes one reading of the clocks and one [Event] and
// answers with a list of [Action] values; there is no goroutine, clock, socket or
// client inside, and nothing depends on the iteration order of a map. The same
// inputs give the same outputs, so every run can be recorded as JSON lines and
// replayed.
//
// The contract is that of a Resource Monitor and the control manager above it.
// Comments cite it as "RA section N", a reference of the failover-cluster
// resource contract; where that leaves a choice, the comment says which one was
// made and why.
//
// # Rules for the caller
//
//   - Time of an engine is Instant.Boot. Deadlines and Arm are absolute
//     CLOCK_BOOTTIME nanoseconds. Feed Timer when the armed time has come; a late
//     or superfluous Timer is harmless.
//   - Carry out the actions of one Step in their order. What follows a [Journal]
//     with Barrier set must wait until the snapshot is durable; everything that
//     must not wait has been put before it.
//   - Each [Call] is answered by exactly one [Returned], also when the edge gave
//     up at the deadline. Answers that come too late or twice are ignored.
//   - A call and its deadline are bound to the Nonce of the provider process
//     for which it was made. If that process is gone, answer Unavailable.
//   - After [Restore] the engine waits for ownership to speak: feed Granted or
//     Revoked as soon as it is known whether the old epoch still holds.
package engine
