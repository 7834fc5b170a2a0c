// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	o, err := parse([]string{"--guard-dir", "/g", "--name=app", "--", "/bin/x", "--guard-dir", "-v"})
	if err != nil || o.guardDir != "/g" || o.name != "app" || strings.Join(o.child, " ") != "/bin/x --guard-dir -v" {
		t.Fatalf("%+v, %v", o, err)
	}
	for _, args := range [][]string{nil, {"--"}, {"--guard-dir", "/g"}, {"--wrong", "--", "x"}, {"-h"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("%q was accepted", args)
		}
	}
	for _, args := range [][]string{{"copy"}, {"copy", "/tmp"}, {"alive"}, {"alive", "--guard-dir"}, {"--"}} {
		if err := run(args); err == nil || !strings.Contains(err.Error(), "usage") {
			t.Errorf("%q: %v", args, err)
		}
	}
}

// TestNotPID1: outside of a PID namespace of its own init must not even try.
func TestNotPID1(t *testing.T) {
	if isPID1() {
		t.Skip("the tests run as PID 1")
	}
	err := run([]string{"--guard-dir", t.TempDir(), "--", "/bin/true"})
	if err == nil || !strings.Contains(err.Error(), "PID 1") || !strings.Contains(err.Error(), "shareProcessNamespace") {
		t.Fatalf("%v", err)
	}
	if err := killAll(nil); err != errNotPID1 {
		t.Fatalf("%v", err)
	}
}

// TestTimer shows what the guard relies on: a timerfd on CLOCK_BOOTTIME with an
// absolute time fires at that time, and at once if it has passed.
func TestTimer(t *testing.T) {
	timer, err := newTimer()
	must(t, err)
	defer syscall.Close(timer.fd)
	must(t, syscall.SetNonblock(timer.fd, false))
	for _, in := range []time.Duration{30 * time.Millisecond, 0, -time.Second, -100 * 365 * 24 * time.Hour} {
		at := boottime() + int64(in)
		from := boottime()
		must(t, timer.arm(at))
		timer.fired() // waits
		late := time.Duration(boottime() - max(at, from))
		if late < 0 || late > boundK {
			t.Errorf("a timer for %v from now fired %v late", in, late)
		}
	}
	must(t, syscall.SetNonblock(timer.fd, true))
	must(t, timer.arm(boottime()+int64(time.Hour)))
	must(t, timer.arm(0))
	var buf [8]byte
	if _, err := syscall.Read(timer.fd, buf[:]); err != syscall.EAGAIN {
		t.Errorf("disarmed timer: %v", err)
	}
}

// TestScan reads the real /proc, in which this test is not alone, and directory
// entries that are not what they should be.
func TestScan(t *testing.T) {
	procs, err := openProcs()
	must(t, err)
	defer syscall.Close(procs.fd)
	for range 2 {
		if err := procs.empty(); err != errListed {
			t.Fatalf("%v", err)
		}
	}
	if err := (&procs2{t, "sys"}).empty(); err != errNotProc {
		t.Fatalf("%v", err)
	}
	entry := func(name string) []byte {
		b := make([]byte, 19, 64)
		b = append(b, name...)
		b = append(b, 0)
		for len(b)%8 != 0 {
			b = append(b, 0xff)
		}
		b[16] = byte(len(b))
		return b
	}
	for names, want := range map[string][]int{
		". .. sys 1x x1 self":  nil,
		"1 cpuinfo":            {1},
		"1 11":                 {1, 11},
		"4194304 1":            {4194304, 1},
		"1234567 thread-self1": {1234567},
	} {
		var buf []byte
		for name := range strings.FieldsSeq(names) {
			buf = append(buf, entry(name)...)
		}
		if got := scanPIDs(buf, nil); !slices.Equal(got, want) {
			t.Errorf("%s: found %d, want %d", names, got, want)
		}
	}
	for _, reclen := range []byte{200, 19, 3, 0} {
		bad := entry("sys")
		bad[16] = reclen
		if got := scanPIDs(bad, nil); !slices.Equal(got, []int{-1}) {
			t.Errorf("a length of %d was believed: %v", reclen, got)
		}
	}
	if got := scanPIDs(entry("sys")[:10], nil); !slices.Equal(got, []int{-1}) {
		t.Errorf("half an entry was believed: %v", got)
	}
	if pid, ok := parsePID([]byte("123")); pid != -1 || !ok {
		t.Errorf("a name without an end was believed")
	}
}

// procs2 opens a folder that is not /proc.
type procs2 struct {
	t   *testing.T
	dir string
}

func (p *procs2) empty() error {
	fd, err := syscall.Open("/proc/"+p.dir, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	must(p.t, err)
	defer syscall.Close(fd)
	return (&procs{fd: fd, buf: make([]byte, 4096)}).empty()
}

func TestKillAllocatesNothing(t *testing.T) {
	procs, err := openProcs()
	must(t, err)
	defer syscall.Close(procs.fd)
	if n := testing.AllocsPerRun(10, func() { _ = procs.empty(); _ = boottime() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestCopy(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	for _, name := range []string{"init", "provider"} {
		must(t, os.WriteFile(filepath.Join(from, name), []byte("new "+name), 0o600))
	}
	must(t, os.WriteFile(filepath.Join(to, "init"), []byte("an old program"), 0o755))
	old, err := os.Open(filepath.Join(to, "init"))
	must(t, err)
	defer old.Close()
	must(t, run([]string{"copy", to, filepath.Join(from, "init"), filepath.Join(from, "provider")}))
	entries, err := os.ReadDir(to)
	must(t, err)
	if len(entries) != 2 {
		t.Fatalf("%v", entries)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(to, e.Name()))
		must(t, err)
		info, err := e.Info()
		must(t, err)
		if string(b) != "new "+e.Name() || info.Mode() != programMode {
			t.Errorf("%s: %q, mode %v", e.Name(), b, info.Mode())
		}
	}
	// Replaced, not overwritten: who runs the old one keeps it.
	b := make([]byte, 64)
	if n, _ := old.Read(b); string(b[:n]) != "an old program" {
		t.Errorf("%q", b[:n])
	}
	if err := run([]string{"copy", to, filepath.Join(from, "none")}); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("%v", err)
	}
	if entries, _ := os.ReadDir(to); len(entries) != 2 {
		t.Errorf("a failed copy left something: %v", entries)
	}
}

// TestLoggerNeverWaits: nobody reads, and print returns.
func TestLoggerNeverWaits(t *testing.T) {
	l := &logger{lines: make(chan string, 2), done: make(chan struct{})}
	for range 10 {
		l.print("x")
	}
	from := boottime()
	l.flush()
	if took := time.Duration(boottime() - from); took < logFlush || took > boundK {
		t.Errorf("the flush took %v", took)
	}
}

func TestLookPath(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "prog"), nil, 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "data"), nil, 0o644))
	t.Setenv("PATH", "/nowhere::"+dir)
	if got, err := lookPath("prog"); err != nil || got != filepath.Join(dir, "prog") {
		t.Errorf("%s, %v", got, err)
	}
	if got, _ := lookPath("./prog"); got != "./prog" {
		t.Errorf("%s", got)
	}
	for _, name := range []string{"data", "none"} {
		if got, err := lookPath(name); err == nil {
			t.Errorf("%s found as %s", name, got)
		}
	}
}
