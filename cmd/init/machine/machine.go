// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package machine holds the two pure machines of init. Guard decides for a
// container under a guard, Plain for one that is only kept running. Neither
// reads a clock, opens a file or starts a process: an event comes in with the
// time at which it happened, actions go out, and the loop in package main
// carries them out in order. Time is CLOCK_BOOTTIME in nanoseconds throughout.
package machine

import (
	"syscall"

	guardv1 "github.com/understudy-dev/understudy/api/guard/v1"
)

// Machine is what the loop drives. The slice that Step returns is valid until
// the next Step. After each Step the loop arms its timer for Deadline, an
// absolute time, zero for none, and sends a Tick when it has passed.
type Machine interface {
	Step(now int64, e Event) []Action
	Deadline() int64
}

// EventKind says what happened.
type EventKind int

const (
	// Tick: time has passed. The loop sends one at the start, too.
	Tick EventKind = iota
	// Connected: the Dial succeeded.
	Connected
	// DialFailed: the Dial failed; Text says why.
	DialFailed
	// Disconnected: the connection ended without a Hangup; Text says why.
	Disconnected
	// Received: Message came in.
	Received
	// Signalled: Signal, whose name is Text, came from outside.
	Signalled
	// ChildDied: the child was reaped. Status is as a shell reports it, Text for
	// people.
	ChildDied
	// StartFailed: Start failed; Text says why. Status is not zero if trying
	// again is no use, and is then what init exits with.
	StartFailed
	// Emptied: KillAll is done. If Proven, no process but init is left, and
	// Nonce names the period that begins.
	Emptied
	// Dumped: a Dump is done, and Message is the answer to the monitor.
	Dumped
)

// Event is one thing that happened. Which fields count is said at the kinds.
type Event struct {
	Kind    EventKind
	Message guardv1.Message
	Signal  syscall.Signal
	Status  int
	Proven  bool
	Nonce   string
	Text    string
}

// ActionKind says what to do.
type ActionKind int

const (
	// KillAll: kill all but init, reap, look whether anything is left. The loop
	// answers with Emptied before it handles any other event.
	KillAll ActionKind = iota
	// SignalChild: send Signal to the child alone, if it still runs.
	SignalChild
	// Start: start the child under the current nonce. StartFailed answers a
	// failure; success needs no answer.
	Start
	// Dial: connect to the monitor. Connected or DialFailed answers it.
	Dial
	// Hangup: close the connection. Nothing answers it.
	Hangup
	// Send: send Message, without waiting for anything.
	Send
	// Dump: begin the dump that Message asks for, without waiting for anything.
	// Dumped answers it, or nothing ever does: what it reads may block.
	Dump
	// Log: tell people Text.
	Log
	// Exit: close the sockets and end init with Code. Nothing follows.
	Exit
)

// Action is one thing to do. Which fields count is said at the kinds.
type Action struct {
	Kind    ActionKind
	Message guardv1.Message
	Signal  syscall.Signal
	Code    int
	Text    string
}

// earliest returns the smallest time that is not zero, or zero.
func earliest(times ...int64) int64 {
	first := int64(0)
	for _, t := range times {
		if t != 0 && (first == 0 || t < first) {
			first = t
		}
	}
	return first
}
