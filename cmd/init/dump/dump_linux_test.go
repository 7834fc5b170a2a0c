// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package dump

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	guardv1 "github.com/understudy-dev/understudy/api/guard/v1"
)

const (
	// blockEnv makes of the test a process that is blocked.
	blockEnv = "DUMP_TEST_BLOCK"
	secret   = "s3cret-of-the-environment"
)

// marker is in the memory of the blocked process.
var marker = []byte("marker-" + "in-memory")

func TestMain(m *testing.M) {
	if os.Getenv(blockEnv) != "" {
		block()
	}
	os.Exit(m.Run())
}

//go:noinline
func block() {
	kept := bytes.Repeat(marker, 100)
	fmt.Println("ready")
	_, _ = syscall.Read(0, make([]byte, 1))
	fmt.Println(len(kept))
	os.Exit(0)
}

// blocked is a process that waits in read(2).
func blocked(t *testing.T) int {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{blockEnv + "=" + secret}
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	b := make([]byte, 6)
	_, err = out.Read(b)
	must(t, err)
	return cmd.Process.Pid
}

func order(pids ...int) guardv1.Message {
	o := &guardv1.DumpOrder{Resource: "db"}
	for _, pid := range pids {
		o.Processes = append(o.Processes, guardv1.Process{PID: uint32(pid)})
	}
	return guardv1.Message{Type: guardv1.Dump, ID: "id", Reason: "Deadlock", Dump: o}
}

func collect(dir string, m guardv1.Message) guardv1.Message {
	return (&Dumper{Proc: "/proc", Dir: dir, Self: os.Getpid()}).Collect(m, time.Unix(1_700_000_000, 0), new(atomic.Bool))
}

func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// TestCollect dumps a real process that is blocked.
func TestCollect(t *testing.T) {
	dir, pid := t.TempDir(), blocked(t)
	m := order(pid)
	m.Dump.Processes = append(m.Dump.Processes, guardv1.Process{Name: "no-such"})
	m.Dump.More = 3
	a := collect(dir, m)
	if a.Type != guardv1.Dumped || a.ID != "id" || a.Reason != "" || a.File != "20231114T221320.000Z-db-Deadlock.txt" {
		t.Fatalf("%+v", a)
	}
	text, err := os.ReadFile(filepath.Join(dir, a.File))
	must(t, err)
	if int64(len(text)) != a.Bytes {
		t.Errorf("%d bytes, %d were said", len(text), a.Bytes)
	}
	for _, want := range []string{
		"dump of resource db: Deadlock\n", "not found: no-such\n", "left out: 3 more processes\n",
		fmt.Sprintf("== process %d ", pid), "cmdline: " + os.Args[0] + "\n", fmt.Sprintf("thread %d ", pid),
		fmt.Sprintf("== stacks of process %d\n", pid), fmt.Sprintf("== status of process %d\n", pid), "VmRSS:",
		"Max open files", "0 -> pipe:[", "== oom_score of process", os.Args[0],
	} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if bytes.Contains(text, []byte(secret)) {
		t.Error("the environment is in the dump")
	}
	if info, err := os.Stat(filepath.Join(dir, a.File)); err != nil || info.Mode().Perm() != fileMode {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// TestStacks: a thread that waits says in which function.
func TestStacks(t *testing.T) {
	if sp, _, ok := registers((&reader{proc: "/proc", stop: new(atomic.Bool), end: time.Now().Add(time.Second), buf: make([]byte, 100)}).
		line(fmt.Sprintf("%d/syscall", blocked(t)))); !ok || sp == 0 {
		t.Skip("this kernel does not show system calls")
	}
	cmd := exec.Command("sleep", "1000")
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	var text []byte
	for end := time.Now().Add(10 * time.Second); !bytes.Contains(text, []byte("nanosleep+")); {
		// It may not sleep yet.
		dir := t.TempDir()
		a := collect(dir, order(cmd.Process.Pid))
		text, _ = os.ReadFile(filepath.Join(dir, a.File))
		if time.Now().After(end) {
			t.Fatalf("no function that sleeps in\n%s", text)
		}
	}
	_, stacks, _ := bytes.Cut(text, []byte("== stacks"))
	stacks, _, _ = bytes.Cut(stacks, []byte("\n=="))
	if bytes.Count(stacks, []byte("\n  ")) < 2 {
		t.Errorf("no caller in\n%s", stacks)
	}
}

// TestAll: without a list all processes are dumped, and at most as many as there may be.
func TestAll(t *testing.T) {
	pid := blocked(t)
	r := &reader{proc: "/proc", stop: new(atomic.Bool), end: time.Now().Add(time.Minute), buf: make([]byte, maxRead)}
	pids, _ := r.choose(nil, os.Getpid())
	if len(pids) == 0 || len(pids) > guardv1.MaxProcesses || slices.Contains(pids, os.Getpid()) {
		t.Errorf("%v", pids)
	}
	for _, p := range []guardv1.Process{{Name: filepath.Base(os.Args[0])}, {Name: filepath.Base(os.Args[0]), PID: uint32(pid)}} {
		if pids, missing := r.choose([]guardv1.Process{p}, os.Getpid()); !slices.Contains(pids, pid) || len(missing) != 0 {
			t.Errorf("%+v: %v, %v", p, pids, missing)
		}
	}
	// A number that means another process now is not taken for the one meant.
	if pids, missing := r.choose([]guardv1.Process{{Name: "no-such", PID: uint32(pid)}}, os.Getpid()); len(pids) != 0 || len(missing) != 1 {
		t.Errorf("%v, %v", pids, missing)
	}
}

// TestCore: the core file has the memory of the process, and is an ELF file.
func TestCore(t *testing.T) {
	dir, pid := t.TempDir(), blocked(t)
	m := order(pid)
	m.Dump.Core = true
	a := collect(dir, m)
	if a.Reason != "" {
		t.Fatalf("%+v", a)
	}
	core := filepath.Join(dir, strings.TrimSuffix(a.File, textSuffix)+coreSuffix)
	f, err := elf.Open(core)
	must(t, err)
	defer f.Close()
	if f.Type != elf.ET_CORE {
		t.Errorf("%v", f.Type)
	}
	found := false
	for _, p := range f.Progs {
		if p.Filesz == 0 {
			continue // nothing of it can be read, or there was no room: the race detector maps much
		}
		b := make([]byte, p.Filesz)
		if _, err := p.ReadAt(b, 0); err != nil {
			t.Fatalf("%+v: %v", p.ProgHeader, err)
		}
		if p.Type == elf.PT_LOAD {
			found = found || bytes.Contains(b, bytes.Repeat(marker, 100))
		} else if p.Type != elf.PT_NOTE || !bytes.Contains(b, []byte("CORE\x00")) {
			t.Errorf("%+v", p.ProgHeader)
		}
	}
	if !found {
		t.Error("the memory of the process is not in the core file")
	}
	// Bounded, with the smallest mappings first.
	sizes := share([]area{{start: 0, end: 10 * page}, {start: 20 * page, end: 21 * page}}, 5*page+1)
	if !slices.Equal(sizes, []uint64{4 * page, page}) {
		t.Errorf("%d", sizes)
	}
}

// TestStopped: a dump ends when its processes are killed, and says so.
func TestStopped(t *testing.T) {
	dir, pid := t.TempDir(), blocked(t)
	var stop atomic.Bool
	stop.Store(true)
	m := order(pid)
	m.Dump.Core = true
	a := (&Dumper{Proc: "/proc", Dir: dir}).Collect(m, time.Now(), &stop)
	if !strings.Contains(a.Reason, "killed") || a.File == "" {
		t.Fatalf("%+v", a)
	}
	text, err := os.ReadFile(filepath.Join(dir, a.File))
	must(t, err)
	if !bytes.Contains(text, []byte("not whole")) {
		t.Errorf("%s", text)
	}
	for _, name := range names(t, dir) {
		if strings.HasSuffix(name, coreSuffix) {
			t.Errorf("%s was begun", name)
		}
	}
}

// TestFolder: there is a bound on files and bytes, the oldest go first, and nothing
// that a program puts there is followed or removed.
func TestFolder(t *testing.T) {
	if a := collect(filepath.Join(t.TempDir(), "none"), order(1)); a.Reason != ErrNoFolder.Error() || a.File != "" {
		t.Errorf("%+v", a)
	}
	dir := t.TempDir()
	f, err := openFolder(dir)
	must(t, err)
	defer f.close()
	at := time.Unix(1_700_000_000, 0)
	create := func(n int, limit int64) (*file, error) {
		return f.create(fileName(at.Add(time.Duration(n)*time.Second), "r/ä", "why")+textSuffix, limit)
	}
	must(t, os.WriteFile(filepath.Join(dir, "mine"), []byte("x"), 0o600))
	for n := range maxFiles + 3 {
		out, err := create(n, 10)
		must(t, err)
		_, _ = out.Write([]byte("0123456789x"))
		if err := out.close(); err != errFull || out.n != 10 {
			t.Fatalf("%v after %d bytes", err, out.n)
		}
	}
	all := names(t, dir)
	if len(all) != maxFiles+1 || all[0] != "20231114T221323.000Z-r__-why.txt" || all[maxFiles] != "mine" {
		t.Errorf("%v", all)
	}
	// A large one takes the place of all others.
	if _, err := create(100, maxFolder-4096); err != nil {
		t.Error(err)
	}
	if all := names(t, dir); len(all) != 2 {
		t.Errorf("%v", all)
	}
	if _, err := create(101, maxFolder); err == nil || !strings.Contains(err.Error(), "no dumps") {
		t.Errorf("%v", err)
	}
	// A link in its place.
	target := filepath.Join(t.TempDir(), "target")
	must(t, os.Symlink(target, filepath.Join(dir, fileName(at, "r/ä", "why")+textSuffix)))
	if _, err := create(0, 10); err == nil {
		t.Error("a link was followed")
	}
	if _, err := os.Stat(target); err == nil {
		t.Error("the target of a link was made")
	}
	for _, name := range []string{"", "x.txt", "20231114T221320.000Z", "20231114x221320.000Z-a.txt", "20231114T221320.000Z-a"} {
		if isDump(name) {
			t.Errorf("%s is taken for a dump", name)
		}
	}
}

// TestHostileModule: what is mapped may be anything.
func TestHostileModule(t *testing.T) {
	dir := t.TempDir()
	self, err := os.ReadFile("/proc/self/exe")
	must(t, err)
	for name, content := range map[string][]byte{
		"empty": nil, "text": []byte("#!/bin/sh"), "half": self[:100], "cut": self[:len(self)/2],
		"garbled": append(slices.Clone(self[:64]), bytes.Repeat([]byte{0xff}, 10_000)...),
	} {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, content, 0o700))
		s := newSymbols("/proc", time.Now().Add(time.Minute))
		_ = s.name(os.Getpid(), &area{name: path}, 0x1234)
		s.close()
	}
	must(t, syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	s := newSymbols("/proc", time.Now().Add(time.Minute))
	if name := s.name(os.Getpid(), &area{name: filepath.Join(dir, "fifo")}, 1); name != "" {
		t.Error(name)
	}
	if _, err := openRegular(filepath.Join(dir, "fifo")); err == nil {
		t.Error("a pipe was opened")
	}
}

func TestParseArea(t *testing.T) {
	a, ok := parseArea("7f00-8000 rw-p 00001000 fe:00 123   /a file (deleted)\n")
	if want := (area{0x7f00, 0x8000, 0x1000, "rw-p", "/a file (deleted)"}); !ok || a != want || !a.private() || a.executable() {
		t.Errorf("%+v", a)
	}
	for _, bad := range []string{"", "\n", "7f00-8000 r-xp 0 fe:00 1", "8000-7f00 rw-p 0 0 0\n", "x-y rw-p 0 0 0\n"} {
		if _, ok := parseArea(bad); ok {
			t.Errorf("%q", bad)
		}
	}
	if _, _, ok := registers("running"); ok {
		t.Error("registers of a thread that runs")
	}
	if sp, pc, ok := registers("0 0x0 0x1 0x2 0x3 0x4 0x5 0x7ffd 0x7f12"); !ok || sp != 0x7ffd || pc != 0x7f12 {
		t.Error(sp, pc, ok)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
