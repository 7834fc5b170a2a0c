// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// boundK is K of the default timing: all is dead that long after G2.
	boundK = 500 * time.Millisecond
	// patience is for what is not measured.
	patience = 20 * time.Second
	// nobody is a user that is not root, and has no other processes.
	nobody = 54321
)

// binaries builds the real init and its fellow actors, once.
var binaries = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "init-test-")
	if err != nil {
		return "", err
	}
	for name, pkg := range map[string]string{"init": ".", "actor": "./testdata/actor"} {
		cmd := exec.Command("go", "build", "-o", filepath.Join(dir, name), pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return dir, fmt.Errorf("build %s: %w\n%s", pkg, err, out)
		}
	}
	actor, err := os.ReadFile(filepath.Join(dir, "actor"))
	if err != nil {
		return dir, err
	}
	suid := filepath.Join(dir, "suid")
	if err := os.WriteFile(suid, actor, 0o755); err != nil {
		return dir, err
	}
	return dir, os.Chmod(suid, 0o755|os.ModeSetuid|os.ModeSetgid)
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, _ := binaries(); dir != "" {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// box is a container: a PID and a mount namespace, a read-only root without a
// shell, and in it the real init as PID 1.
type box struct {
	t      *testing.T
	root   string
	cmd    *exec.Cmd
	ns     string
	lines  chan string
	stdout *os.File
	stderr *safeBuffer
	// deafen closes the reading ends of stdout and stderr.
	deafen func()
	limit  *cgroup
	// exited is closed when init is gone, and then code is what it exited with.
	exited chan struct{}
	code   int
}

// boxOptions are for enter: nproc, noproc, masked; undrained leaves the
// container's stdout and stderr unread; limit is for init and all below it.
type boxOptions struct {
	uid       int
	enter     string
	undrained bool
	env       []string
	limit     *cgroup
}

// newRoot makes a container's root, with what the tests put into each.
func newRoot(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		skip(t, "needs root: it runs init as PID 1 of a PID namespace; the machine's own tests do not")
	}
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	// Not t.TempDir: its name may be too long for a socket, and its parents are
	// closed to the users of the containers.
	root, err := os.MkdirTemp("", "box-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	must(t, os.Chmod(root, 0o755))
	for _, dir := range []string{"proc", "guard"} {
		must(t, os.Mkdir(filepath.Join(root, dir), 0o755))
	}
	dumps := filepath.Join(root, dumpDir)
	must(t, os.MkdirAll(dumps, 0o755))
	must(t, os.Chmod(dumps, 0o777)) // as kubelet has it
	for _, name := range []string{"init", "actor", "suid"} {
		must(t, os.Link(filepath.Join(bin, name), filepath.Join(root, name)))
	}
	return root
}

// startBox starts a container with init's command line in it.
func startBox(t *testing.T, root string, o boxOptions, initArgs ...string) *box {
	t.Helper()
	bin, err := binaries()
	must(t, err)
	b := &box{t: t, root: root, limit: o.limit, lines: make(chan string, 10_000), stderr: &safeBuffer{}, exited: make(chan struct{})}
	args := append([]string{"enter", root, strconv.Itoa(o.uid), o.enter, "/init"}, initArgs...)
	b.cmd = exec.Command(filepath.Join(bin, "actor"), args...)
	b.cmd.Env = append([]string{"UNDERSTUDY_NONCE=stale"}, o.env...)
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	out, outW, err := os.Pipe()
	must(t, err)
	errR, errW, err := os.Pipe()
	must(t, err)
	b.stdout, b.cmd.Stdout, b.cmd.Stderr = out, outW, errW
	if err := b.cmd.Start(); errors.Is(err, syscall.EPERM) {
		skip(t, "may not make a PID namespace: run the tests with CAP_SYS_ADMIN")
	} else {
		must(t, err)
	}
	_, _ = outW.Close(), errW.Close()
	b.deafen = func() { _, _ = out.Close(), errR.Close() }
	if o.limit != nil {
		o.limit.add(b.cmd.Process.Pid)
	}
	b.ns = pidNamespace(b.cmd.Process.Pid)
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		if !o.undrained {
			_, _ = io.Copy(b.stderr, errR)
		}
	}()
	go func() {
		for in := bufio.NewScanner(out); !o.undrained && in.Scan(); {
			b.lines <- in.Text()
		}
	}()
	go func() {
		_ = b.cmd.Wait()
		b.code = b.cmd.ProcessState.ExitCode()
		close(b.exited)
	}()
	t.Cleanup(func() {
		_ = b.cmd.Process.Kill()
		<-b.exited
		<-drained
		b.deafen()
		if t.Failed() {
			t.Logf("stderr of the container:\n%s", b.stderr.String())
		}
	})
	return b
}

// safeBuffer is written to and read at the same time.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// logged waits for text on stderr.
func (b *box) logged(text string) {
	b.t.Helper()
	eventually(b.t, "stderr to say "+text, func() bool { return strings.Contains(b.stderr.String(), text) })
}

// line waits for a line on stdout that begins with prefix, and returns the rest.
func (b *box) line(prefix string) string {
	b.t.Helper()
	for timeout := time.After(patience); ; {
		select {
		case l := <-b.lines:
			if rest, ok := strings.CutPrefix(l, prefix); ok {
				return strings.TrimSpace(rest)
			}
		case <-b.exited:
			b.t.Fatalf("init exited with %d while the test waited for a line %q", b.code, prefix)
		case <-timeout:
			b.t.Fatalf("no line %q", prefix)
		}
	}
}

// up waits for an actor and returns its period's nonce.
func (b *box) up() string {
	b.t.Helper()
	_, nonce, _ := strings.Cut(b.line("up "), " ")
	return nonce
}

// exit waits for init's end.
func (b *box) exit() int {
	b.t.Helper()
	select {
	case <-b.exited:
		return b.code
	case <-time.After(patience):
		b.t.Fatal("init does not exit")
		return 0
	}
}

func (b *box) signal(s syscall.Signal) {
	b.t.Helper()
	must(b.t, b.cmd.Process.Signal(s))
}

// alive returns the processes of the container, init aside, that live in the
// period of nonce, seen from outside through the environment they were given.
func (b *box) alive(nonce string) (pids []int) {
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range all {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		if pid == b.cmd.Process.Pid || pidNamespace(pid) != b.ns {
			continue
		}
		env, _ := os.ReadFile(filepath.Join(dir, "environ"))
		if nonce == "" || bytes.Contains(env, []byte("UNDERSTUDY_NONCE="+nonce)) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// dead waits until nothing of the period of nonce lives, and returns when.
func (b *box) dead(nonce string) int64 {
	b.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		left := b.alive(nonce)
		if len(left) == 0 {
			return boottime()
		}
		if time.Now().After(end) {
			b.t.Fatalf("still alive: %v", left)
		}
	}
}

// crowd waits until at least n processes of the period of nonce live.
func (b *box) crowd(nonce string, n int) {
	b.t.Helper()
	eventually(b.t, fmt.Sprintf("%d processes", n), func() bool { return len(b.alive(nonce)) >= n })
}

// onTime checks that what happened at at was due at due.
func onTime(t *testing.T, what string, at, due int64) {
	t.Helper()
	late := time.Duration(at - due)
	t.Logf("%s %v after its deadline", what, late)
	if late < 0 || late > boundK {
		t.Errorf("%s %v after its deadline, want between 0 and %v", what, late, boundK)
	}
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func pidNamespace(pid int) string {
	link, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid))
	return link
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// skip skips a test that needs what is not here, unless all must run: what is skipped unseen
// proves nothing.
func skip(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("UNDERSTUDY_TESTS") == "all" {
		t.Fatal(why)
	}
	t.Skip(why)
}
