// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"syscall"
	"testing"
	"time"

	guardv1 "github.com/understudy-dev/understudy/api/guard/v1"
)

func stopSignal(s *sim) {
	s.t.Helper()
	s.event(Event{Kind: Signalled, Signal: syscall.SIGTERM, Text: "SIGTERM"})
}

func TestStop(t *testing.T) {
	for _, c := range []struct {
		name string
		run  func(s *sim)
	}{
		{"is passed on and otherwise waits for the monitor", func(s *sim) {
			stopSignal(s)
			stopSignal(s)
			s.expect("send:stopping")
			if s.last().Reason != "SIGTERM" {
				s.t.Fatalf("%+v", s.last())
			}
			s.pass(time.Hour)
			s.expect("")
			s.message(guardv1.Message{Type: guardv1.Exit})
			s.expect("kill send:empty exit:0")
		}},
		{"is repeated after each welcome", func(s *sim) {
			stopSignal(s)
			for range 3 {
				s.cut()
				s.pass(dialMax)
				s.message(guardv1.Message{Type: guardv1.Welcome, Version: guardv1.Version})
			}
			s.expect("send:stopping dial send:hello send:stopping dial send:hello send:stopping dial send:hello send:stopping")
			s.pass(time.Hour)
			s.expect("")
		}},
		{"a child that dies meanwhile is replaced: it may be needed to stop", func(s *sim) {
			stopSignal(s)
			s.die()
			s.pass(RestartMin)
			s.expect("send:stopping kill send:empty start")
		}},
		{"without the monitor: soft after 2 s, hard after 1.5 s more", func(s *sim) {
			s.away = true
			s.cut()
			s.pass(time.Minute)
			stopSignal(s)
			s.trace = nil
			s.pass(Unreachable - 1)
			s.noSignal()
			s.pass(1)
			s.signalled(1)
			s.pass(SoftToHard - 1)
			if s.exited {
				s.t.Fatal("too early")
			}
			s.pass(1)
			if !s.exited || s.code != 0 {
				s.t.Fatal("no exit")
			}
		}},
		{"a monitor lost after the request counts from the loss", func(s *sim) {
			stopSignal(s)
			s.pass(time.Minute)
			s.away = true
			s.cut()
			s.pass(Unreachable - 1)
			s.noSignal()
			s.pass(1)
			s.signalled(1)
		}},
		{"a connection without a welcome is no monitor", func(s *sim) {
			stopSignal(s)
			s.cut()
			s.pass(Unreachable)
			s.expect("send:stopping dial send:hello signal:15")
		}},
		{"the hard guard comes first if it is earlier, and ends in an exit", func(s *sim) {
			s.guard(7, 2900*time.Millisecond, 3*time.Second)
			s.away = true
			s.cut()
			stopSignal(s)
			s.pass(3*time.Second - 1)
			if s.exited {
				s.t.Fatal("too early")
			}
			s.pass(1)
			if !s.exited {
				s.t.Fatal("no exit")
			}
		}},
		{"a child that ends by itself ends the container", func(s *sim) {
			s.away = true
			s.cut()
			stopSignal(s)
			s.pass(Unreachable)
			s.trace = nil
			s.die()
			s.expect("kill exit:0")
		}},
		{"a monitor that is back in time is asked again", func(s *sim) {
			s.away = true
			s.cut()
			stopSignal(s)
			s.pass(Unreachable - 2*dialMax)
			s.away = false
			s.pass(dialMax)
			s.message(guardv1.Message{Type: guardv1.Welcome, Version: guardv1.Version})
			if s.last().Type != guardv1.Stopping {
				s.t.Fatalf("%+v", s.last())
			}
			s.noSignal()
			s.pass(time.Hour)
			if s.exited {
				s.t.Fatal("exited though the monitor is there")
			}
		}},
		{"a monitor that is back too late cannot take it back", func(s *sim) {
			s.away = true
			s.cut()
			stopSignal(s)
			s.pass(Unreachable)
			s.away = false
			s.pass(dialMax)
			s.message(guardv1.Message{Type: guardv1.Welcome, Version: guardv1.Version})
			if s.last().Type != guardv1.Stopping {
				s.t.Fatalf("%+v", s.last())
			}
			s.pass(SoftToHard - dialMax)
			if !s.exited || s.last().Type != guardv1.Empty {
				s.t.Fatal("no exit, or no word of it")
			}
		}},
		{"nor can one that comes and goes put it off", func(s *sim) {
			s.away = true
			s.cut()
			stopSignal(s)
			s.pass(Unreachable)
			s.away = false
			s.pass(dialMax)
			s.message(guardv1.Message{Type: guardv1.Welcome, Version: guardv1.Version})
			s.cut()
			s.pass(SoftToHard - dialMax)
			s.signalled(1)
			if !s.exited {
				s.t.Fatal("no exit")
			}
		}},
		{"no child and no monitor: nothing to wait for after 2 s", func(s *sim) {
			s.away = true
			s.cut()
			s.startFails = -1
			s.die()
			for range 6 { // into the longest pauses
				s.pass(time.Duration(s.m.Deadline() - s.now))
			}
			s.trace = nil
			stopSignal(s)
			for !s.exited && s.now < 1010*second {
				s.pass(10 * time.Millisecond)
			}
			if !s.exited || s.code != 0 {
				s.t.Fatalf("exited %v code %d", s.exited, s.code)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(welcomed(t)) })
	}
	t.Run("before the first child it just exits", func(t *testing.T) {
		s := newSim(t)
		s.away = true
		s.event(Event{Kind: Tick})
		s.trace = nil
		stopSignal(s)
		s.expect("kill exit:0")
	})
}

// noSignal checks that the child was not asked to end.
func (s *sim) noSignal() { s.t.Helper(); s.signalled(0) }

func (s *sim) signalled(want int) {
	s.t.Helper()
	got := 0
	for _, did := range s.trace {
		if did == "signal:15" {
			got++
		}
	}
	if got != want {
		s.t.Fatalf("asked the child to end %d times, want %d: %v", got, want, s.trace)
	}
}
