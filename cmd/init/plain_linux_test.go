// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"syscall"
	"testing"
	"time"

	guardv1 "github.com/understudy-dev/understudy/api/guard/v1"
)

// onlyChild is the one process of the container besides init.
func (b *box) onlyChild() int {
	b.t.Helper()
	var pids []int
	eventually(b.t, "one process", func() bool { pids = b.alive(""); return len(pids) == 1 })
	return pids[0]
}

// TestPlainRestarts: five kills within 20 s, each replaced in less than 50 ms. A
// machine that is busy with other things is forgiven single late ones.
func TestPlainRestarts(t *testing.T) {
	t.Parallel() // it waits most of the time
	root := newRoot(t)
	b := startBox(t, root, boxOptions{uid: nobody}, "--name", "monitor", "--", "/actor", "stubborn")
	b.up()
	var took []time.Duration
	for range 5 {
		pid := b.onlyChild()
		// Only a child that has lived for a second is replaced at full speed.
		next := boottime() + int64(1100*time.Millisecond)
		eventually(t, "time to pass", func() bool { return boottime() > next })
		at := boottime()
		must(t, syscall.Kill(pid, syscall.SIGKILL))
		b.up()
		took = append(took, time.Duration(boottime()-at))
	}
	slices.Sort(took)
	t.Logf("from the kill to the next child's first line: median %v, largest %v", took[2], took[4])
	if took[4] > boundK {
		t.Errorf("restarts took %v", took)
	}
}

// TestGuardedRestarts measures the same for a provider that the monitor kills.
func TestGuardedRestarts(t *testing.T) {
	b, p, _ := guardedBox(t, boxOptions{uid: nobody}, "stubborn")
	var proof, took []time.Duration
	for range 50 {
		at := boottime()
		p.send(guardv1.Message{Type: guardv1.Kill})
		nonce := p.expect(guardv1.Empty).Nonce
		proof = append(proof, time.Duration(boottime()-at))
		if b.up() != nonce {
			t.Fatal("the wrong period")
		}
		took = append(took, time.Duration(boottime()-at))
	}
	slices.Sort(proof)
	slices.Sort(took)
	t.Logf("from the order to the proof: median %v, largest %v", proof[25], proof[49])
	t.Logf("from the order to the next child's first line: median %v, largest %v", took[25], took[49])
	t.Logf("init has %d threads and uses %d kB, at most %d kB", status(t, b.cmd.Process.Pid, "Threads"), status(t, b.cmd.Process.Pid, "VmRSS"), status(t, b.cmd.Process.Pid, "VmHWM"))
	if took[49] > boundK {
		t.Errorf("restarts took up to %v", took[49])
	}
}

// TestPlainStops: a stop signal is the child's, and so is the exit code.
func TestPlainStops(t *testing.T) {
	root := newRoot(t)
	for _, c := range []struct {
		actor  string
		signal syscall.Signal
		code   int
	}{
		{"obedient", syscall.SIGTERM, 7},
		{"obedient", syscall.SIGINT, 128 + 2},
		{"die", syscall.SIGTERM, 128 + 15}, // none runs, or it exits just now
	} {
		b := startBox(t, root, boxOptions{}, "--", "/actor", c.actor)
		b.up()
		if c.actor == "die" {
			for range 6 {
				b.up() // into the longer pauses
			}
			eventually(t, "a pause", func() bool { return len(b.alive("")) == 0 })
		}
		b.signal(c.signal)
		if code := b.exit(); code != c.code {
			t.Errorf("%s after %s: exit code %d, want %d", c.actor, c.signal, code, c.code)
		}
	}
}

// TestPlainEndlessly: even a child that keeps ending well is replaced.
func TestPlainEndlessly(t *testing.T) {
	t.Parallel() // it waits most of the time
	b := startBox(t, newRoot(t), boxOptions{}, "--", "/actor", "exit0")
	for range 12 {
		b.up()
	}
}

// TestPlainWithoutProc: the monitor does not depend on a proof.
func TestPlainWithoutProc(t *testing.T) {
	b := startBox(t, newRoot(t), boxOptions{enter: "noproc"}, "--", "/actor", "die")
	b.up()
	b.up()
}
