// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	guardv1 "github.com/understudy-dev/understudy/api/guard/v1"
)

// sim carries out a machine's actions in a world of virtual time, and checks
// after every event what must always hold.
type sim struct {
	t     *testing.T
	m     Machine
	now   int64
	trace []string

	// What the world does.
	away       bool // no monitor listens
	unkillable bool // something outlives every kill
	startFails int  // the code of StartFailed, -1 for one that may be tried again

	// What the world is.
	up, hello, child, clean bool
	nonce                   int
	exited                  bool
	code                    int
	dumping                 bool // until dumped, which may never come
	sent                    []guardv1.Message
	starts, kills           int
	told                    string // the nonce that the monitor was told last
	lastGuarded             guardv1.Message
}

const second = int64(time.Second)

func newSim(t *testing.T) *sim {
	s := &sim{t: t, now: 1000 * second}
	s.m = NewGuard(s.now, "boot", "n0")
	return s
}

// welcomed returns a sim whose first child runs.
func welcomed(t *testing.T) *sim {
	s := newSim(t)
	s.event(Event{Kind: Tick})
	s.message(guardv1.Message{Type: guardv1.Welcome, Version: 1, Secret: "s"})
	s.expect("dial send:hello kill send:empty start")
	return s
}

func (s *sim) message(m guardv1.Message) { s.t.Helper(); s.event(Event{Kind: Received, Message: m}) }

func (s *sim) guard(epoch int64, g1, g2 time.Duration) {
	s.t.Helper()
	s.message(guardv1.Message{Type: guardv1.Guard, Epoch: epoch, G1: s.now + int64(g1), G2: s.now + int64(g2)})
}

// cut ends the connection from the monitor's side.
func (s *sim) cut() {
	s.t.Helper()
	s.up, s.hello = false, false
	s.event(Event{Kind: Disconnected, Text: "EOF"})
}

func (s *sim) die() {
	s.t.Helper()
	s.child = false
	s.event(Event{Kind: ChildDied, Text: "died"})
}

// dumped ends the dump that is under way.
func (s *sim) dumped() {
	s.t.Helper()
	s.dumping = false
	s.event(Event{Kind: Dumped, Message: guardv1.Message{Type: guardv1.Dumped, ID: "d", File: "f"}})
}

// pass lets time pass, deadline by deadline.
func (s *sim) pass(d time.Duration) {
	s.t.Helper()
	for end := s.now + int64(d); !s.exited; {
		next := s.m.Deadline()
		if next == 0 || next > end {
			s.now = end
			return
		}
		s.now = max(s.now, next)
		s.event(Event{Kind: Tick})
	}
}

// event feeds one event and those that follow from the actions.
func (s *sim) event(e Event) {
	s.t.Helper()
	hard, kills := s.inForce().G2, s.kills
	for queue := []Event{e}; len(queue) > 0 && !s.exited; queue = queue[1:] {
		if queue[0].Kind == Emptied {
			s.nonce++ // the next period begins
		}
		for _, a := range s.m.Step(s.now, queue[0]) {
			if s.exited {
				s.t.Fatalf("action %v after exit", a)
			}
			if follow, ok := s.act(a); ok {
				if follow.Kind == Emptied { // first, as Action says
					queue = append([]Event{{}, follow}, queue[1:]...)
					continue
				}
				queue = append(queue, follow)
			}
		}
	}
	// The purpose of it all: the first event at or after an acknowledged hard
	// guard kills what ran under it, whatever that event is.
	if hard != 0 && s.now >= hard && s.kills == kills {
		s.t.Fatalf("the hard guard %d had passed, but nothing was killed", hard)
	}
	// Nobody looks for a process that is gone.
	if g, guarded := s.m.(*Guard); guarded && g.link.welcomed && !s.exited && s.told != g.nonce {
		s.t.Fatalf("the monitor was told of %s, and the period is that of %s", s.told, g.nonce)
	}
	if at := s.m.Deadline(); !s.exited && at != 0 && at <= s.now {
		s.t.Fatalf("deadline %d is not after now %d once all is settled: the loop would spin", at, s.now)
	}
}

func (s *sim) act(a Action) (Event, bool) {
	s.t.Helper()
	note := func(format string, args ...any) { s.trace = append(s.trace, fmt.Sprintf(format, args...)) }
	switch a.Kind {
	case KillAll:
		note("kill")
		s.kills++
		s.child, s.clean = false, !s.unkillable
		return Event{Kind: Emptied, Proven: !s.unkillable, Nonce: fmt.Sprintf("n%d", s.nonce+1)}, true
	case SignalChild:
		note("signal:%d", a.Signal)
	case Start:
		note("start")
		s.starts++
		if s.child {
			s.t.Fatal("started a second child")
		}
		if _, guarded := s.m.(*Guard); guarded && !s.clean {
			s.t.Fatal("started a child in a container that was not proven empty")
		}
		if s.startFails != 0 {
			return Event{Kind: StartFailed, Status: max(s.startFails, 0), Text: "cannot"}, true
		}
		s.child, s.clean = true, false
	case Dial:
		note("dial")
		if s.up {
			s.t.Fatal("dialled while connected")
		}
		if s.away {
			return Event{Kind: DialFailed, Text: "away"}, true
		}
		s.up = true
		return Event{Kind: Connected}, true
	case Hangup:
		note("hangup")
		s.up, s.hello = false, false
	case Send:
		s.send(a.Message)
		note("send:%s", a.Message.Type)
	case Dump:
		note("dump")
		if s.dumping {
			s.t.Fatal("began a second dump beside one that is under way")
		}
		s.dumping = true
	case Exit:
		note("exit:%d", a.Code)
		s.exited, s.code = true, a.Code
	}
	return Event{}, false
}

func (s *sim) send(m guardv1.Message) {
	s.t.Helper()
	if !s.up || s.hello == (m.Type == guardv1.Hello) {
		s.t.Fatalf("sent %+v while up=%v and hello=%v", m, s.up, s.hello)
	}
	if want := fmt.Sprintf("n%d", s.nonce); m.Nonce != want {
		s.t.Fatalf("sent %+v under nonce %s", m, want)
	}
	s.hello = true
	s.sent = append(s.sent, m)
	if m.Type == guardv1.Hello || m.Type == guardv1.Empty {
		s.told = m.Nonce
	}
	if m.Type == guardv1.Guarded {
		if m.Epoch < s.lastGuarded.Epoch {
			s.t.Fatalf("guarded under epoch %d after %d", m.Epoch, s.lastGuarded.Epoch)
		}
		s.lastGuarded = m
	}
}

// inForce is the guard in force as the monitor was told it, in this period.
func (s *sim) inForce() guardv1.Message {
	if s.lastGuarded.Nonce != fmt.Sprintf("n%d", s.nonce) {
		return guardv1.Message{}
	}
	return s.lastGuarded
}

// expect compares what was done since the last expect.
func (s *sim) expect(want string) {
	s.t.Helper()
	if got := strings.Join(s.trace, " "); got != want {
		s.t.Fatalf("at %v\n did: %s\nwant: %s", time.Duration(s.now-1000*second), got, want)
	}
	s.trace = nil
}

func (s *sim) last() guardv1.Message { return s.sent[len(s.sent)-1] }
