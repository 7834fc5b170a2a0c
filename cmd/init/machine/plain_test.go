// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"syscall"
	"testing"
	"time"
)

func newPlainSim(t *testing.T) *sim {
	s := &sim{t: t, now: 1000 * second}
	s.m = NewPlain(s.now)
	s.event(Event{Kind: Tick})
	s.expect("start")
	return s
}

func TestPlain(t *testing.T) {
	t.Run("five deaths in 20 s are replaced after 10 ms each", func(t *testing.T) {
		s := newPlainSim(t)
		for range 5 {
			s.pass(4 * time.Second)
			s.die()
			s.expect("kill")
			s.pass(RestartMin)
			s.expect("start")
		}
	})
	t.Run("never gives up", func(t *testing.T) {
		s := newPlainSim(t)
		s.unkillable = true
		for range 1000 {
			s.die()
			s.pass(RestartMax)
		}
		if s.exited || s.starts != 1001 {
			t.Fatalf("exited %v starts %d", s.exited, s.starts)
		}
	})
	t.Run("a stop signal is passed on, and the child's end is the end", func(t *testing.T) {
		s := newPlainSim(t)
		s.event(Event{Kind: Signalled, Signal: syscall.SIGINT, Text: "SIGINT"})
		s.expect("signal:2")
		s.child = false
		s.event(Event{Kind: ChildDied, Status: 3, Text: "exited"})
		s.expect("exit:3")
	})
	t.Run("other signals are passed on and mean nothing", func(t *testing.T) {
		s := newPlainSim(t)
		s.event(Event{Kind: Signalled, Signal: syscall.SIGHUP, Text: "SIGHUP"})
		s.die()
		s.pass(RestartMin)
		s.expect("signal:1 kill start")
	})
	t.Run("a stop signal between two children exits", func(t *testing.T) {
		s := newPlainSim(t)
		s.die()
		s.trace = nil
		s.event(Event{Kind: Signalled, Signal: syscall.SIGHUP, Text: "SIGHUP"})
		s.event(Event{Kind: Signalled, Signal: syscall.SIGTERM, Text: "SIGTERM"})
		s.expect("exit:143")
	})
	t.Run("a program that is not there is the end", func(t *testing.T) {
		s := &sim{t: t, now: 1000 * second, startFails: 127}
		s.m = NewPlain(s.now)
		s.event(Event{Kind: Tick})
		s.expect("start exit:127")
	})
	t.Run("a start that fails for now is tried again", func(t *testing.T) {
		s := &sim{t: t, now: 1000 * second, startFails: -1}
		s.m = NewPlain(s.now)
		s.event(Event{Kind: Tick})
		s.pass(time.Minute)
		if s.exited || s.starts < 60 {
			t.Fatalf("exited %v starts %d", s.exited, s.starts)
		}
	})
}
