// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
	"testing"

	guardv1 "github.com/understudy-dev/understudy/api/guard/v1"
)

// TestForkBombAtTheLimit: root forks until the container may have no more
// processes, init's included. There is none left for init either.
func TestForkBombAtTheLimit(t *testing.T) {
	const limit = 200
	b, p, nonce := guardedBox(t, boxOptions{limit: newCgroup(t, "pids", limit)}, "bomb")
	hardGuard(b, p, nonce, limit-40) // threads count, too
}

// hungryBox is a container that may have little memory, and in it a child that
// takes more when it is told to, and a daemon.
func hungryBox(t *testing.T) (b *box, p *peer, nonce string, child int) {
	t.Helper()
	b, p, nonce = guardedBox(t, boxOptions{limit: newCgroup(t, "memory", 64<<20)}, "hungry")
	b.up() // the daemon, which the child starts when it can be told
	for _, pid := range b.alive(nonce) {
		if cmdline(pid) == "/actor hungry" {
			child = pid
		}
	}
	return b, p, nonce, child
}

// preferred tells the kernel how much it shall like to kill a process.
func preferred(t *testing.T, pid, score int) {
	t.Helper()
	must(t, os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte(strconv.Itoa(score)), 0))
}

// TestChildOutOfMemory: the kernel kills the child, init the daemon.
func TestChildOutOfMemory(t *testing.T) {
	b, p, nonce, child := hungryBox(t)
	preferred(t, child, 1000)
	must(t, syscall.Kill(child, syscall.SIGUSR1))
	next := p.expect(guardv1.Empty).Nonce
	if left := b.alive(nonce); len(left) != 0 || next == nonce {
		t.Fatalf("left: %v, and the next period is %s after %s", left, next, nonce)
	}
	if n := b.limit.killed(); n != 1 {
		t.Errorf("%d processes were killed for want of memory", n)
	}
	b.logged("was killed by SIGKILL")
	hardGuard(b, p, next, 2)
}

// TestInitOutOfMemory: the kernel kills init for what the child takes, and with it
// all of the container.
func TestInitOutOfMemory(t *testing.T) {
	b, p, nonce, child := hungryBox(t)
	preferred(t, b.cmd.Process.Pid, 1000)
	must(t, syscall.Kill(child, syscall.SIGUSR1))
	closed := p.gone()
	onTime(t, "dead", b.dead(nonce), closed)
	b.exit()
	if n := b.limit.killed(); n != 1 {
		t.Errorf("%d processes were killed for want of memory", n)
	}
	if left := b.alive(""); len(left) != 0 {
		t.Fatalf("left: %v", left)
	}
}
