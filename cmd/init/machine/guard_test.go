// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"testing"
	"time"

	guardv1 "github.com/understudy-dev/understudy/api/guard/v1"
)

func TestGuardExpiry(t *testing.T) {
	for _, c := range []struct {
		name string
		run  func(s *sim)
	}{
		{"both guards fire on time and the guard is then gone", func(s *sim) {
			s.guard(7, 4200*time.Millisecond, 5500*time.Millisecond)
			s.expect("send:guarded")
			s.pass(4200*time.Millisecond - 1)
			s.expect("")
			s.pass(1)
			s.expect("signal:15")
			s.pass(1300*time.Millisecond - 1)
			s.expect("")
			s.pass(1)
			s.expect("kill send:empty")
			s.pass(RestartMin)
			s.expect("start")
			s.pass(time.Hour)
			s.expect("")
		}},
		{"a silent monitor changes nothing about it", func(s *sim) {
			s.guard(7, time.Second, 2*time.Second)
			s.away = true
			s.cut()
			s.trace = nil
			s.pass(2 * time.Second)
			if s.kills != 2 || s.starts != 1 {
				s.t.Fatalf("kills %d starts %d", s.kills, s.starts)
			}
		}},
		{"an extension moves both", func(s *sim) {
			s.guard(7, time.Second, 2*time.Second)
			s.pass(900 * time.Millisecond)
			s.guard(7, time.Second, 2*time.Second)
			s.expect("send:guarded send:guarded")
			s.pass(999 * time.Millisecond)
			s.expect("")
			s.pass(time.Millisecond)
			s.expect("signal:15")
		}},
		{"a new soft guard after an old one fired fires again, a late one does not", func(s *sim) {
			s.guard(7, time.Second, 9*time.Second)
			s.pass(time.Second)
			s.expect("send:guarded signal:15")
			s.guard(7, -time.Second, 8*time.Second)
			s.expect("send:guarded")
			s.guard(7, time.Second, 8*time.Second)
			s.pass(time.Second)
			s.expect("send:guarded signal:15")
		}},
		{"a guard whose soft deadline has passed asks at once", func(s *sim) {
			s.guard(7, 0, time.Second)
			s.expect("send:guarded signal:15")
		}},
		{"a guard that is past kills at once and is not acknowledged", func(s *sim) {
			s.guard(7, time.Second, 2*time.Second)
			s.guard(7, -2*time.Second, -1)
			s.expect("send:guarded kill send:empty")
		}},
		{"a guard that is past kills nothing that is not guarded, and is not acknowledged", func(s *sim) {
			s.guard(7, time.Second, 2*time.Second)
			s.message(guardv1.Message{Type: guardv1.Kill})
			s.trace = nil
			for range 3 {
				s.guard(7, -2*time.Second, -1)
			}
			s.expect("")
			s.guard(6, time.Hour, time.Hour)
			s.guard(8, -2*time.Second, -1)
			s.guard(7, time.Hour, time.Hour)
			s.expect("") // but its epoch was seen
			s.guard(8, time.Second, 2*time.Second)
			s.expect("send:guarded")
		}},
		{"a guard without a usable soft deadline has only the hard one", func(s *sim) {
			s.message(guardv1.Message{Type: guardv1.Guard, Epoch: 7, G2: s.now + second})
			s.message(guardv1.Message{Type: guardv1.Guard, Epoch: 7, G1: s.now + 5*second, G2: s.now + second})
			if m := s.last(); m.G1 != m.G2 || m.G2 != s.now+second {
				s.t.Fatalf("%+v", m)
			}
			s.pass(time.Second)
			s.expect("send:guarded send:guarded kill send:empty")
		}},
		{"no message revives a guard that is due", func(s *sim) {
			s.guard(7, time.Second, 2*time.Second)
			s.now += 3 * second // init was not scheduled
			s.guard(8, time.Second, 2*time.Second)
			s.expect("send:guarded kill send:empty")
			if s.m.(*Guard).highest != 7 || s.m.(*Guard).g2 != 0 {
				s.t.Fatal("the late guard was applied")
			}
		}},
		{"disarmed by the same epoch", func(s *sim) {
			s.guard(7, time.Second, 2*time.Second)
			s.message(guardv1.Message{Type: guardv1.Guard, Epoch: 7})
			if m := s.last(); m.Epoch != 7 || m.G1 != 0 || m.G2 != 0 {
				s.t.Fatalf("%+v", m)
			}
			s.pass(time.Hour)
			s.expect("send:guarded send:guarded")
		}},
		{"neither set nor disarmed nor fired by a smaller epoch", func(s *sim) {
			s.guard(7, time.Second, 2*time.Second)
			s.message(guardv1.Message{Type: guardv1.Guard, Epoch: 6})
			s.guard(6, time.Hour, time.Hour)
			s.guard(6, -1, -1)
			s.expect("send:guarded")
			s.pass(2 * time.Second)
			s.expect("signal:15 kill send:empty")
		}},
		{"the highest epoch outlives the guard and the child", func(s *sim) {
			s.guard(7, time.Second, 2*time.Second)
			s.pass(3 * time.Second)
			s.trace = nil
			s.guard(6, time.Hour, time.Hour)
			s.expect("")
			s.guard(7, time.Hour, time.Hour)
			s.expect("send:guarded")
		}},
		{"the answer says what is in force", func(s *sim) {
			s.guard(7, time.Second, 2*time.Second)
			want := guardv1.Message{Type: guardv1.Guarded, Nonce: "n1", Epoch: 7, G1: s.now + second, G2: s.now + 2*second}
			if s.last() != want {
				s.t.Fatalf("%+v, want %+v", s.last(), want)
			}
		}},
		{"a guard without a child holds for the next one", func(s *sim) {
			s.die()
			s.guard(7, time.Second, 2*time.Second)
			s.pass(2 * time.Second)
			s.expect("kill send:empty send:guarded start signal:15 kill send:empty")
		}},
		{"something left: exit at once, without a claim", func(s *sim) {
			s.unkillable = true
			s.guard(7, time.Second, 2*time.Second)
			s.pass(2 * time.Second)
			s.expect("send:guarded signal:15 kill exit:1")
		}},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(welcomed(t)) })
	}
}

func TestOrders(t *testing.T) {
	for _, c := range []struct {
		name string
		run  func(s *sim)
	}{
		{"kill is answered by empty under a new nonce", func(s *sim) {
			s.guard(7, time.Second, 2*time.Second)
			s.message(guardv1.Message{Type: guardv1.Kill})
			s.expect("send:guarded kill send:empty")
			if s.last().Nonce != "n2" {
				s.t.Fatalf("%+v", s.last())
			}
			s.pass(time.Hour)
			s.expect("start")
		}},
		{"kills do not count as deaths", func(s *sim) {
			for range 3 * DeathLimit {
				s.message(guardv1.Message{Type: guardv1.Kill})
				s.pass(RestartMin)
			}
			if s.exited || !s.child {
				s.t.Fatal("exited")
			}
		}},
		{"exit kills and ends", func(s *sim) {
			s.message(guardv1.Message{Type: guardv1.Exit})
			s.expect("kill send:empty exit:0")
		}},
		{"exit at the hard guard still exits", func(s *sim) {
			s.guard(7, time.Second, 2*time.Second)
			s.now += 2 * second
			s.message(guardv1.Message{Type: guardv1.Exit})
			s.expect("send:guarded kill send:empty exit:0")
		}},
		{"what init does not know is ignored", func(s *sim) {
			s.message(guardv1.Message{Type: "later"})
			s.message(guardv1.Message{Type: guardv1.Welcome, Version: guardv1.Version})
			s.expect("")
		}},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(welcomed(t)) })
	}
}

func TestDeaths(t *testing.T) {
	t.Run("a death drops the guard and starts a new period", func(t *testing.T) {
		s := welcomed(t)
		s.guard(7, time.Second, 2*time.Second)
		s.die()
		s.expect("send:guarded kill send:empty")
		s.pass(time.Hour)
		s.expect("start")
	})
	t.Run("a quick series is paced, a slow one is not", func(t *testing.T) {
		s := welcomed(t)
		var got []time.Duration
		for range 9 {
			s.die()
			got = append(got, time.Duration(s.m.Deadline()-s.now))
			s.pass(got[len(got)-1])
		}
		for i, want := range []time.Duration{10, 20, 40, 80, 160, 320, 640, 1000, 1000} {
			if got[i] != want*time.Millisecond {
				t.Fatalf("pauses %v", got)
			}
		}
		s.pass(time.Second)
		s.pass(time.Minute)
		s.die()
		if pause := s.m.Deadline() - s.now; pause != int64(RestartMin) {
			t.Fatalf("pause %d after a long life", pause)
		}
	})
	t.Run("ten in a minute end the container", func(t *testing.T) {
		s := welcomed(t)
		for range DeathLimit - 1 {
			s.pass(6 * time.Second)
			s.die()
		}
		s.pass(5 * time.Second)
		s.trace = nil
		s.die()
		s.expect("kill send:empty exit:1")
	})
	t.Run("ten in more than a minute do not", func(t *testing.T) {
		s := welcomed(t)
		for range 5 * DeathLimit {
			s.pass(7 * time.Second)
			s.die()
		}
		if s.exited {
			t.Fatal("exited")
		}
	})
	t.Run("an end that was asked for does not count", func(t *testing.T) {
		s := welcomed(t)
		for range 3 * DeathLimit {
			s.guard(7, 0, time.Second)
			s.die()
			s.pass(RestartMin)
		}
		if s.exited || !s.child {
			t.Fatal("exited")
		}
	})
	t.Run("a start that fails for now is a death", func(t *testing.T) {
		s := welcomed(t)
		s.startFails = -1
		s.die()
		s.pass(time.Minute)
		if !s.exited || s.code != 1 || s.starts != DeathLimit {
			t.Fatalf("exited %v code %d starts %d", s.exited, s.code, s.starts)
		}
	})
	t.Run("a start that fails for good is the end", func(t *testing.T) {
		s := newSim(t)
		s.startFails = 127
		s.event(Event{Kind: Tick})
		s.message(guardv1.Message{Type: guardv1.Welcome, Version: 1, Secret: "s"})
		s.expect("dial send:hello kill send:empty start kill send:empty exit:127")
	})
}
