// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strconv"
	"syscall"
	"testing"
	"time"

	guardv1 "github.com/understudy-dev/understudy/api/guard/v1"
	"github.com/understudy-dev/understudy/cmd/init/machine"
)

// TestStopSignals: whichever signal the image names, the monitor is asked to
// hand over, the child hears nothing of it, and exit ends the container.
func TestStopSignals(t *testing.T) {
	signals := []syscall.Signal{rtFirst, 37, rtLast}
	for s := range signalNames {
		signals = append(signals, s)
	}
	for _, s := range signals {
		t.Run(strconv.Itoa(int(s)), func(t *testing.T) {
			t.Parallel()
			b, p, nonce := guardedBox(t, boxOptions{uid: nobody}, "obedient")
			b.signal(s)
			if got := p.expect(guardv1.Stopping); got.Reason != signalName(s) || got.Nonce != nonce {
				t.Fatalf("%+v", got)
			}
			// The guard still works while the monitor hands over.
			p.guardUp(1, time.Hour, time.Hour)
			if len(b.alive(nonce)) != 1 {
				t.Fatal("the child is gone")
			}
			p.send(guardv1.Message{Type: guardv1.Exit})
			p.expect(guardv1.Empty)
			if code := b.exit(); code != 0 {
				t.Fatalf("exit code %d", code)
			}
		})
	}
}

// TestStopRepeated: a restarted monitor is asked again.
func TestStopRepeated(t *testing.T) {
	root := newRoot(t)
	m := listen(t, root)
	b := startBox(t, root, boxOptions{}, "--guard-dir", "/guard", "--", "/actor", "stubborn")
	p := m.accept()
	p.welcome()
	b.up()
	b.signal(syscall.SIGTERM)
	p.expect(guardv1.Stopping)
	for range 2 {
		must(t, p.c.Close())
		p = m.accept()
		p.send(guardv1.Message{Type: guardv1.Welcome, Version: guardv1.Version})
		p.expect(guardv1.Stopping)
	}
}

// TestStopAlone: without a monitor the child is asked after 2 s, and killed at
// the latest 1.5 s after that.
func TestStopAlone(t *testing.T) {
	for actor, after := range map[string]time.Duration{
		"obedient": machine.Unreachable,
		"stubborn": machine.Unreachable + machine.SoftToHard,
	} {
		t.Run(actor, func(t *testing.T) {
			t.Parallel()
			root := newRoot(t)
			m := listen(t, root)
			b := startBox(t, root, boxOptions{uid: nobody}, "--guard-dir", "/guard", "--", "/actor", actor)
			p := m.accept()
			nonce := p.welcome()
			b.up()
			m.close()
			must(t, p.c.Close())
			at := boottime()
			b.signal(syscall.SIGTERM)
			dead := b.dead(nonce)
			if code := b.exit(); code != 0 {
				t.Fatalf("exit code %d", code)
			}
			onTime(t, "dead", dead, at+int64(after))
		})
	}
}

// TestStopBeforeChild: a container that never got its secret ends at once.
func TestStopBeforeChild(t *testing.T) {
	root := newRoot(t)
	m := listen(t, root)
	b := startBox(t, root, boxOptions{}, "--guard-dir", "/guard", "--", "/actor", "stubborn")
	m.accept()
	at := boottime()
	b.signal(syscall.SIGTERM)
	if code := b.exit(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	onTime(t, "exit", boottime(), at)
}
