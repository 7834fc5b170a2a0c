// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"testing"
	"time"

	guardv1 "github.com/understudy-dev/understudy/api/guard/v1"
)

func TestFirstWelcome(t *testing.T) {
	s := newSim(t)
	s.away = true
	s.event(Event{Kind: Tick})
	s.pass(time.Hour)
	// About ten tries a second, for ever, and no child.
	if tries := len(s.trace); tries < 35_000 || tries > 37_000 || s.starts != 0 {
		t.Fatalf("%d tries and %d starts in an hour", tries, s.starts)
	}
	s.away, s.trace = false, nil
	s.pass(dialMax)
	s.expect("dial send:hello")
	want := guardv1.Message{Type: guardv1.Hello, Version: guardv1.Version, Nonce: "n0", BootID: "boot", BoottimeNanos: s.last().BoottimeNanos}
	if s.last() != want || s.now-want.BoottimeNanos > int64(dialMax) {
		t.Fatalf("hello %+v", s.last())
	}
	s.pass(time.Hour)
	s.expect("")
	for _, m := range []guardv1.Message{
		{Type: guardv1.Welcome, Version: 1},                  // no secret
		{Type: guardv1.Welcome, Version: 99, Secret: "s"},    // a version to come
		{Type: guardv1.Welcome, Version: 0, Secret: "s"},     // one of long ago
		{Type: guardv1.Guard, Epoch: 1, G2: s.now + 1e9},     // before the welcome
		{Type: guardv1.Exit},                                 // likewise
		{Type: guardv1.Refuse, Reason: "boot time differs"},  // not wanted
		{Type: guardv1.Refuse, Reason: "boot time differs2"}, // still not
	} {
		s.message(m)
		s.pass(time.Second)
		s.expect("hangup dial send:hello")
	}
	s.message(guardv1.Message{Type: guardv1.Welcome, Version: 1, Secret: "s"})
	s.expect("kill send:empty start")
	if s.last().Nonce != "n1" {
		t.Fatalf("%+v", s.last())
	}
}

func TestRefusedForLong(t *testing.T) {
	s := welcomed(t)
	s.guard(7, 59*time.Minute, time.Hour)
	s.cut()
	s.pass(dialMin)
	s.trace = nil
	tries := 0
	for s.now < 1000*second+int64(30*time.Minute) {
		s.message(guardv1.Message{Type: guardv1.Refuse})
		tries++
		s.pass(time.Duration(s.m.Deadline() - s.now))
	}
	if tries < 1700 || tries > 1900 {
		t.Fatalf("%d tries in half an hour", tries)
	}
	if s.starts != 1 || s.kills != 1 {
		t.Fatal("a refusal touched the child")
	}
	s.away = true
	s.cut()
	s.pass(time.Hour)
	if s.kills != 2 {
		t.Fatal("the guard stopped counting")
	}
}

func TestReconnect(t *testing.T) {
	s := welcomed(t)
	s.guard(7, 4*time.Second, 5*time.Second)
	g1, g2 := s.last().G1, s.last().G2
	s.away = true
	s.cut()
	s.pass(3 * time.Second)
	s.away, s.trace = false, nil
	s.pass(dialMax)
	s.expect("dial send:hello")
	want := guardv1.Message{
		Type: guardv1.Hello, Version: guardv1.Version, Nonce: "n1", BootID: "boot", BoottimeNanos: s.last().BoottimeNanos,
		Secret: "s", Epoch: 7, G1: g1, G2: g2,
	}
	if s.last() != want {
		t.Fatalf("hello %+v", s.last())
	}
	// No secret the second time, and the child is left alone.
	s.message(guardv1.Message{Type: guardv1.Welcome, Version: 1})
	s.expect("")
	s.guard(7, 4*time.Second, 5*time.Second)
	s.expect("send:guarded")
	if s.starts != 1 || s.kills != 1 {
		t.Fatal("touched the child")
	}
	// However long the last search took, the next one begins at full speed.
	s.cut()
	if pause := s.m.Deadline() - s.now; pause != int64(dialMin) {
		t.Fatalf("dials after %v", time.Duration(pause))
	}
}

func TestDeathWhileAway(t *testing.T) {
	s := welcomed(t)
	s.away = true
	s.cut()
	s.pass(time.Second)
	s.die()
	s.pass(time.Second)
	if s.starts != 2 {
		t.Fatal("a child was not replaced while the monitor was away")
	}
	// The monitor learns it from the hello's nonce.
	s.away = false
	s.pass(dialMax)
	if s.last().Type != guardv1.Hello || s.last().Nonce != "n2" {
		t.Fatalf("%+v", s.last())
	}
}

// TestDeathBeforeTheWelcome: a child that dies between hello and welcome leaves the monitor with
// a nonce that nobody has any more.
func TestDeathBeforeTheWelcome(t *testing.T) {
	s := welcomed(t)
	s.guard(7, 4*time.Second, 5*time.Second)
	s.cut()
	s.pass(dialMin)
	if s.last().Type != guardv1.Hello || s.last().Nonce != "n1" {
		t.Fatalf("%+v", s.last())
	}
	s.die()
	s.pass(time.Second)
	s.trace = nil
	s.message(guardv1.Message{Type: guardv1.Welcome, Version: 1})
	s.expect("send:empty")
	if s.last().Nonce != "n2" {
		t.Fatalf("%+v", s.last())
	}
	s.message(guardv1.Message{Type: guardv1.Welcome, Version: 1})
	s.expect("")
}
