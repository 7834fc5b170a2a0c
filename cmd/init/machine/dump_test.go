// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"testing"
	"time"

	guardv1 "github.com/understudy-dev/understudy/api/guard/v1"
)

var (
	dumpOrder = guardv1.Message{Type: guardv1.Dump, ID: "d", Reason: "Deadlock", Dump: &guardv1.DumpOrder{Resource: "r"}}
	killAfter = guardv1.Message{Type: guardv1.Kill, AfterDump: true}
)

// dumping returns a sim with a dump under way, and a guard in force.
func dumping(t *testing.T) *sim {
	s := welcomed(t)
	s.guard(1, time.Second, 2*time.Second)
	s.message(dumpOrder)
	s.expect("send:guarded dump")
	return s
}

// TestDump: a dump is begun, answered, and another one may follow.
func TestDump(t *testing.T) {
	s := dumping(t)
	s.dumped()
	s.expect("send:dumped")
	if m := s.last(); m.ID != "d" || m.File != "f" {
		t.Fatalf("%+v", m)
	}
	s.message(dumpOrder)
	s.expect("dump")
}

// TestKillAfterDump: it waits for the dump, but not for longer than it may.
func TestKillAfterDump(t *testing.T) {
	s := dumping(t)
	s.message(killAfter)
	s.expect("")
	s.dumped()
	s.expect("send:dumped kill send:empty")
	s.pass(RestartMin)
	s.expect("start")

	s = dumping(t)
	s.message(killAfter)
	s.pass(guardv1.DumpWaitNanos / 2)
	s.message(killAfter) // a repetition does not lengthen the wait
	s.pass(guardv1.DumpWaitNanos/2 - 1)
	s.expect("")
	s.pass(1)
	s.expect("kill send:empty")
	s.dumped() // late
	s.expect("send:dumped")
	s.pass(RestartMin)
	s.expect("start")
}

// TestDumpHoldsUpNothing: a guard, an order that does not wait, an exit and the death
// of the child come as if there were no dump, also if a kill was waiting for it.
func TestDumpHoldsUpNothing(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(*sim)
		want string
	}{
		"guard": {func(s *sim) { s.guard(2, 0, 0) }, "kill send:empty"},
		"kill":  {func(s *sim) { s.message(guardv1.Message{Type: guardv1.Kill}) }, "kill send:empty"},
		"exit":  {func(s *sim) { s.message(guardv1.Message{Type: guardv1.Exit}) }, "kill send:empty exit:0"},
		"death": {func(s *sim) { s.die() }, "kill send:empty"},
	} {
		for _, waits := range []bool{false, true} {
			s := dumping(t)
			if waits {
				s.message(killAfter)
			}
			c.do(s)
			if got := s.trace; len(got) == 0 {
				t.Fatalf("%s, with a kill that waits %v: nothing happened", name, waits)
			}
			s.expect(c.want)
			if !s.exited {
				s.pass(time.Second)
				s.expect("start")
			}
		}
	}
}

// TestDumpThatNeverEnds: it leaves one thread behind, and no second; kills after it
// take their bound and no more.
func TestDumpThatNeverEnds(t *testing.T) {
	s := dumping(t)
	for range 3 {
		s.message(dumpOrder)
		s.expect("send:dumped")
		if s.last().Reason == "" || s.last().ID != "d" {
			t.Fatalf("%+v", s.last())
		}
	}
	for range 3 {
		s.message(killAfter)
		s.pass(guardv1.DumpWaitNanos)
		s.expect("kill send:empty")
		s.pass(time.Second)
		s.expect("start")
	}
}

// TestDumpOfNothing is refused, with the reason.
func TestDumpOfNothing(t *testing.T) {
	s := welcomed(t)
	s.message(guardv1.Message{Type: guardv1.Dump, ID: "d"})
	s.expect("send:dumped")
	s.die()
	s.message(dumpOrder)
	s.expect("kill send:empty send:dumped")
	if s.last().Reason == "" {
		t.Fatalf("%+v", s.last())
	}
}

// TestDumpAcrossReconnect: the answer goes to whoever is there when it comes.
func TestDumpAcrossReconnect(t *testing.T) {
	s := dumping(t)
	s.cut()
	s.pass(dialMax)
	s.message(guardv1.Message{Type: guardv1.Welcome, Version: guardv1.Version})
	s.expect("dial send:hello")
	s.dumped()
	s.expect("send:dumped")
}
