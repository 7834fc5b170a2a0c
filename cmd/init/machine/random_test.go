// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	guardv1 "github.com/understudy-dev/understudy/api/guard/v1"
)

// TestRandom drives the guard machine through random schedules, pauses of init
// included. What must hold is checked by sim.
func TestRandom(t *testing.T) {
	schedules, kinds := 1000, map[string]int{}
	if testing.Short() {
		schedules = 300
	}
	for seed := range schedules {
		r := rand.New(rand.NewPCG(uint64(seed), 1))
		s := newSim(t)
		s.event(Event{Kind: Tick})
		for range 150 {
			if r.IntN(8) == 0 {
				s.now += r.Int64N(5 * second) // a pause of init
			} else {
				s.pass(time.Duration(r.Int64N(second / 2)))
			}
			if !s.exited {
				randomEvent(s, r)
			}
			if s.exited {
				break
			}
		}
		for _, did := range s.trace {
			kinds[did]++
		}
		if s.t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Log(kinds)
	for _, did := range []string{"kill", "start", "signal:15", "hangup", "exit:0", "exit:1", "send:guarded", "send:empty", "send:stopping",
		"dump", "send:dumped"} {
		if kinds[did] < schedules/50 {
			t.Errorf("the schedules led to %s only %d times", did, kinds[did])
		}
	}
}

func randomEvent(s *sim, r *rand.Rand) {
	s.away = r.IntN(4) == 0
	s.unkillable = r.IntN(60) == 0
	s.startFails = 0
	if r.IntN(20) == 0 {
		s.startFails = -1
	}
	switch n := r.IntN(24); {
	case n < 3 && s.up:
		s.message(guardv1.Message{Type: guardv1.Welcome, Version: 1, Secret: "s"})
	case n < 13 && s.up:
		s.message(guardv1.Message{
			Type: guardv1.Guard, Epoch: int64(r.IntN(4)) + s.now/(100*second),
			G1: s.now + r.Int64N(2*second) - second/2, G2: s.now + r.Int64N(4*second) - second/8,
		})
	case n == 13 && s.up:
		s.message(guardv1.Message{Type: guardv1.Guard, Epoch: int64(r.IntN(20))})
	case n == 14 && s.up:
		s.message(guardv1.Message{Type: guardv1.Kill})
	case n == 15 && s.up:
		s.message(guardv1.Message{Type: guardv1.Refuse})
	case n == 16 && s.up:
		s.cut()
	case n == 17 && s.child:
		s.die()
	case n == 18 && r.IntN(10) == 0:
		s.event(Event{Kind: Signalled, Signal: syscall.SIGTERM, Text: "SIGTERM"})
	case n == 19 && s.up && r.IntN(10) == 0:
		s.message(guardv1.Message{Type: guardv1.Exit})
	case n == 20 && s.up:
		s.message(dumpOrder)
	case n == 21 && s.dumping:
		s.dumped()
	case n == 22 && s.up:
		s.message(guardv1.Message{Type: guardv1.Kill, AfterDump: true})
	default:
		s.event(Event{Kind: Tick})
	}
}
