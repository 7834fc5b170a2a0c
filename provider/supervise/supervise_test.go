// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/understudy-dev/understudy/internal/testprograms"
)

func TestMain(m *testing.M) {
	testprograms.Dispatch()
	if len(os.Args) > 1 && os.Args[1] == "supervise" {
		os.Exit(Main())
	}
	os.Exit(m.Run())
}

// run starts a program of this binary.
func run(t *testing.T, args ...string) *Program {
	t.Helper()
	f, err := NewFamily("supervise")
	if err != nil {
		t.Fatal(err)
	}
	p, err := f.Start(within(t), Spec{Command: append([]string{f.argv[0]}, args...), Env: append(os.Environ(), "GORACE=atexit_sleep_ms=0")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Kill(within(t)); err != nil {
			t.Errorf("Kill: %v", err)
		}
	})
	return p
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// hear waits for a channel to be closed.
func hear(t *testing.T, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-within(t).Done():
		t.Fatal("it never came")
	}
}

func appears(t *testing.T, file string) {
	t.Helper()
	for ctx := within(t); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(file); err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("%s never appears", file)
		}
	}
}

func TestStop(t *testing.T) {
	lock := filepath.Join(t.TempDir(), "lock")
	p := run(t, "daemon", "--lock", lock)
	appears(t, lock)
	if !p.Running() {
		t.Fatal("it does not run")
	}
	p.Stop(syscall.SIGTERM, time.Minute)
	hear(t, p.Exited())
	hear(t, p.Empty())
	if e := p.Exit(); e.String() != "the program was killed by signal 15 (terminated)" && e.Code != 0 {
		t.Errorf("exit: %v", e)
	}
	if err := p.Check(within(t), []string{"x"}, time.Second); err == nil || err.Error() != "the program does not run" {
		t.Errorf("Check: %v", err)
	}
}

func TestStopWithoutGrace(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	p := run(t, "stubborn", "--pid", pid)
	appears(t, pid)
	p.Stop(syscall.SIGTERM, 0)
	hear(t, p.Empty())
	if e := p.Exit(); e.Signal != syscall.SIGKILL || e.Number() != 137 {
		t.Errorf("exit: %v", e)
	}
}

// TestStoppedShim: whoever waits for a shim that takes no command is let go in time.
func TestStoppedShim(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	p := run(t, "stubborn", "--pid", pid)
	appears(t, pid)
	_ = p.shim.Signal(syscall.SIGSTOP)
	t.Cleanup(func() { _ = p.shim.Signal(syscall.SIGCONT) }) // should it live on
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	large := []string{"x", strings.Repeat("x", 1<<20)} // more than fits into the socket
	if err := p.Check(ctx, large, time.Minute); err != context.Canceled {
		t.Errorf("Check: %v", err)
	}
	if err := p.Kill(within(t)); err != nil {
		t.Errorf("Kill: %v", err)
	}
}

// TestCheckOutOfTime: of a check that takes too long nothing is left beside the program,
// not what it has put into another session either.
func TestCheckOutOfTime(t *testing.T) {
	dir := t.TempDir()
	p := run(t, "stubborn", "--pid", filepath.Join(dir, "pid"))
	appears(t, filepath.Join(dir, "pid"))
	brood := filepath.Join(dir, "brood")
	const checks = 3
	for range checks {
		err := p.Check(within(t), []string{p.family.argv[0], "brood", brood}, time.Second)
		if err == nil || err.Error() != "no end within 1000 ms" {
			t.Fatalf("Check: %v", err)
		}
	}
	text, err := os.ReadFile(brood)
	if n := strings.Count(string(text), "\n"); err != nil || n != checks {
		t.Fatalf("%d checks had a child, want %d, or this shows nothing: %v", n, checks, err)
	}
	// What was killed has yet to be noticed by its parent.
	var left []string
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		all, err := processes()
		if err != nil {
			t.Fatal(err)
		}
		left = nil
		for _, proc := range below(all, func(q proc) bool { return q.parent == p.shim.Pid && q.pid != p.PID }) {
			left = append(left, proc.String())
		}
		if len(left) == 0 || time.Now().After(end) {
			break
		}
	}
	if len(left) > 0 || !p.Running() {
		t.Errorf("after %d checks %d processes are left: %v; the program runs: %v", checks, len(left), left, p.Running())
	}
}

// TestRunaway kills what never stands still.
func TestRunaway(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	p := run(t, "runaway", file)
	appears(t, file)
	if err := p.Kill(within(t)); err != nil {
		t.Fatalf("Kill: %v", err)
	}
	_ = os.Remove(file)
	all, err := processes()
	if err != nil {
		t.Fatal(err)
	}
	for _, proc := range all {
		line, _ := os.ReadFile("/proc/" + strconv.Itoa(proc.pid) + "/cmdline")
		if strings.Contains(string(line), file) && !proc.dead() {
			t.Errorf("%s is left", proc)
		}
	}
}

func TestParseStat(t *testing.T) {
	p, ok := parseStat(7, []byte("7 (a) b (c) S 3 5 1 0 -1"))
	if !ok || p.parent != 3 || p.group != 5 || p.state != 'S' || p.name != "a) b (c" {
		t.Errorf("got %+v, %v", p, ok)
	}
	for _, bad := range []string{"", "7 a S 3 5", "7 (a) S 3", "7 (a) S x 5"} {
		if p, ok := parseStat(7, []byte(bad)); ok {
			t.Errorf("%q: got %+v", bad, p)
		}
	}
}

func TestBelow(t *testing.T) {
	all := []proc{{pid: 9, parent: 4}, {pid: 2, parent: 1}, {pid: 4, parent: 2}, {pid: 3, parent: 1}, {pid: 5, parent: 3}}
	var got []int
	for _, p := range below(all, func(p proc) bool { return p.pid == 2 }) {
		got = append(got, p.pid)
	}
	if len(got) != 3 || got[0] != 2 || got[1] != 4 || got[2] != 9 {
		t.Errorf("got %v", got)
	}
}
