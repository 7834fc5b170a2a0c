// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"testing"
	"time"

	guardv1 "github.com/understudy-dev/understudy/api/guard/v1"
)

// TestNobodyReads: who read the container's stdout and stderr is gone, so that
// every line that init writes is answered by SIGPIPE.
func TestNobodyReads(t *testing.T) {
	b, p, nonce := guardedBox(t, boxOptions{uid: nobody}, "stubborn")
	b.deafen()
	// A death and what follows it are told in lines.
	p.send(guardv1.Message{Type: guardv1.Kill, Reason: "a test"})
	next := p.expect(guardv1.Empty).Nonce
	if left := b.alive(nonce); len(left) != 0 {
		t.Fatalf("left: %v", left)
	}
	hardGuard(b, p, next, 1)
}

// TestHalfAMessage: the monitor's connection ends in the middle of a longer guard.
// That one does not count, and nothing is left of it on the next connection.
func TestHalfAMessage(t *testing.T) {
	root := newRoot(t)
	m := listen(t, root)
	b := startBox(t, root, boxOptions{uid: nobody}, "--guard-dir", "/guard", "--", "/actor", "stubborn")
	p := m.accept()
	nonce := p.welcome()
	b.up()
	g := p.guardUp(1, time.Second, 2*time.Second)
	line, err := json.Marshal(guardv1.Message{Type: guardv1.Guard, Epoch: 1, G2: boottime() + int64(time.Hour)})
	must(t, err)
	_, err = p.c.Write(line) // without its end
	must(t, err)
	must(t, p.c.Close())
	p = m.accept()
	if h := p.hello; h.G1 != g.G1 || h.G2 != g.G2 || h.Nonce != nonce {
		t.Fatalf("hello %+v, want nonce %s and guard %+v", h, nonce, g)
	}
	p.send(guardv1.Message{Type: guardv1.Welcome, Version: guardv1.Version})
	g = p.guardUp(1, 300*time.Millisecond, 500*time.Millisecond)
	_, err = p.c.Write(line) // and the monitor falls silent
	must(t, err)
	onTime(t, "dead", b.dead(nonce), g.G2)
}
