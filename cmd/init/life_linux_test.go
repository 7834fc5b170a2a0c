// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	guardv1 "github.com/understudy-dev/understudy/api/guard/v1"
)

// TestSecretFirst: no program runs before the secret is handed out, and the
// monitor can tell that it arrived.
func TestSecretFirst(t *testing.T) {
	root := newRoot(t)
	b := startBox(t, root, boxOptions{uid: nobody}, "--guard-dir", "/guard", "--", "/actor", "stubborn")
	m := listen(t, root) // after init has begun to dial
	first := m.accept()
	h := first.hello
	if age := time.Duration(boottime() - h.BoottimeNanos); h.Secret != "" || h.Version != guardv1.Version || h.Nonce == "" || h.BootID != bootID() || age < 0 || age > patience {
		t.Fatalf("hello %+v, received %v later", h, age)
	}
	if h.Epoch != 0 || h.G1 != 0 || h.G2 != 0 {
		t.Fatalf("hello %+v claims a guard", h)
	}
	first.send(guardv1.Message{Type: guardv1.Refuse, Reason: "not yet"})
	first.gone()
	second := m.accept()
	if left := b.alive(""); len(left) != 0 || second.hello.Nonce != h.Nonce || second.hello.Secret != "" {
		t.Fatalf("before the welcome %v run, and the hello is %+v", left, second.hello)
	}
	nonce := second.welcome()
	if got := b.up(); got != nonce || nonce == h.Nonce {
		t.Fatalf("the child has nonce %s, empty said %s, hello %s", got, nonce, h.Nonce)
	}
	b.logged("not yet")
}

// TestReconnect: the monitor's death changes nothing, and the guard is told to
// the next one.
func TestReconnect(t *testing.T) {
	root := newRoot(t)
	m := listen(t, root)
	b := startBox(t, root, boxOptions{uid: nobody}, "--guard-dir", "/guard", "--", "/actor", "stubborn")
	p := m.accept()
	nonce := p.welcome()
	b.up()
	g := p.guardUp(41, time.Minute, time.Hour)
	for range 3 {
		m.close()
		must(t, p.c.Close())
		at := boottime()
		m = listen(t, root)
		p = m.accept()
		if took := time.Duration(boottime() - at); took > boundK {
			t.Errorf("connected again after %v", took)
		}
		h := p.hello
		if h.Secret != secret || h.Nonce != nonce || h.Epoch != 41 || h.G1 != g.G1 || h.G2 != g.G2 {
			t.Fatalf("hello %+v, want nonce %s and guard %+v", h, nonce, g)
		}
		p.send(guardv1.Message{Type: guardv1.Welcome, Version: guardv1.Version})
	}
	// A child that dies while nobody listens is replaced, and the hello says so.
	m.close()
	must(t, p.c.Close())
	must(t, syscall.Kill(b.alive(nonce)[0], syscall.SIGKILL))
	next := b.up()
	p = listen(t, root).accept()
	if h := p.hello; h.Nonce != next || next == nonce || h.Epoch != 41 || h.G2 != 0 {
		t.Fatalf("hello %+v, want nonce %s and no guard", h, next)
	}
}

// TestGuardWhileAway: the guard counts on without a monitor.
func TestGuardWhileAway(t *testing.T) {
	b, p, nonce := guardedBox(t, boxOptions{}, "stubborn")
	g := p.guardUp(1, 300*time.Millisecond, 500*time.Millisecond)
	must(t, p.c.Close())
	onTime(t, "dead", b.dead(nonce), g.G2)
	if next := b.up(); next == nonce {
		t.Fatal("the same period")
	}
}

// TestBabble: a monitor that talks nonsense loses the connection and nothing
// else.
func TestBabble(t *testing.T) {
	root := newRoot(t)
	m := listen(t, root)
	b := startBox(t, root, boxOptions{}, "--guard-dir", "/guard", "--", "/actor", "stubborn")
	p := m.accept()
	nonce := p.welcome()
	b.up()
	p.guardUp(1, time.Hour, time.Hour)
	for _, bad := range [][]byte{
		[]byte("no json\n"),
		bytes.Repeat([]byte("x"), 2*guardv1.MaxLine),
		[]byte("{\"type\":\"guard\",\"epoch\":\"one\"}\n"),
	} {
		_, err := p.c.Write(bad)
		must(t, err)
		next := m.accept()
		if next.hello.Nonce != nonce || next.hello.G2 == 0 {
			t.Fatalf("hello %+v", next.hello)
		}
		p = next
		p.send(guardv1.Message{Type: guardv1.Welcome, Version: guardv1.Version})
	}
	// Many messages in one write, one message in many writes.
	var lines bytes.Buffer
	for i := range 20 {
		must(t, guardv1.Write(&lines, guardv1.Message{Type: guardv1.Guard, Epoch: int64(i + 2), G2: boottime() + int64(time.Hour)}))
	}
	_, err := p.c.Write(lines.Bytes())
	must(t, err)
	for i := range 20 {
		if got := p.expect(guardv1.Guarded); got.Epoch != int64(i+2) {
			t.Fatalf("%+v", got)
		}
	}
	for _, c := range []byte(`{"type":"kill"}` + "\n") {
		_, err := p.c.Write([]byte{c})
		must(t, err)
	}
	p.expect(guardv1.Empty)
}

// TestDeafMonitor: a monitor that never reads cannot make init wait.
func TestDeafMonitor(t *testing.T) {
	b, p, nonce := guardedBox(t, boxOptions{}, "stubborn")
	must(t, p.c.SetWriteDeadline(time.Now().Add(patience)))
	g2 := boottime() + int64(time.Second)
	for {
		if err := guardv1.Write(p.c, guardv1.Message{Type: guardv1.Guard, Epoch: 1, G2: g2}); err != nil {
			break // init gave up the connection, as it should
		}
		if boottime() > g2 {
			t.Fatal("init neither reads nor hangs up")
		}
	}
	onTime(t, "dead", b.dead(nonce), g2)
}

// TestDeaths: a child that dies is replaced after everything it left is gone;
// ten deaths in a minute end the container.
func TestDeaths(t *testing.T) {
	t.Parallel() // it waits most of the time
	b, p, _ := guardedBox(t, boxOptions{uid: nobody}, "die")
	nonces := map[string]bool{}
	for range 10 {
		nonces[p.expect(guardv1.Empty).Nonce] = true
	}
	p.gone()
	if code := b.exit(); code != 1 || len(nonces) != 10 {
		t.Fatalf("exit code %d after %d periods", code, len(nonces))
	}
}

// TestOrphansDieWithTheChild: what a dead child left behind is killed before the
// next one starts.
func TestOrphansDieWithTheChild(t *testing.T) {
	b, p, nonce := guardedBox(t, boxOptions{uid: nobody}, "tree")
	b.crowd(nonce, 3)
	for _, pid := range b.alive(nonce) {
		if cmdline(pid) == "/actor tree" {
			must(t, syscall.Kill(pid, syscall.SIGKILL))
		}
	}
	next := p.expect(guardv1.Empty).Nonce
	if left := b.alive(nonce); len(left) != 0 {
		t.Fatalf("left: %v", left)
	}
	b.crowd(next, 3)
}

// TestNoProgram: the error of a wrong template is plain and final.
func TestNoProgram(t *testing.T) {
	root := newRoot(t)
	m := listen(t, root)
	b := startBox(t, root, boxOptions{}, "--guard-dir", "/guard", "--", "/no-such-program")
	m.accept().welcome()
	if code := b.exit(); code != exitNotFound {
		t.Fatalf("exit code %d", code)
	}
	b.logged("/no-such-program")
}

// TestChildsWorld: what the child is given, and what it cannot do.
func TestChildsWorld(t *testing.T) {
	root := newRoot(t)
	m := listen(t, root)
	b := startBox(t, root, boxOptions{uid: nobody, enter: "masked", env: []string{"ACTOR_ENV=kept"}}, "--guard-dir", "/guard", "--", "/actor", "inspect")
	m.accept().welcome()
	var got []string
	fds := 0
	for _, want := range []struct{ prefix, rest string }{
		{"Uid:", "54321\t54321\t54321\t54321"},
		{"SigBlk:", "0000000000000000"},
		{"SigIgn:", "0000000000000000"},
		{"group", ""},
		{"parent", "1"},
		{"nonces", "1"},
		{"env", "kept"},
		{"create", "open /file: read-only file system"},
		{"shell", "stat /bin/sh: no such file or directory"},
		{"memory", "open /proc/1/environ: permission denied"},
		{"trace", "operation not permitted"},
		{"kill", "<nil>"}, // and init lives on
	} {
		line := b.line("got ")
		// Nothing but stdin, stdout and stderr: no socket, no timer, no /proc.
		for ; strings.HasPrefix(line, "fd "); line = b.line("got ") {
			if fds++; fds > 3 {
				t.Errorf("the child was given %s", line)
			}
		}
		got = append(got, line)
		if want.prefix == "SigIgn:" {
			line = withoutThreadSignals(line)
		}
		if !strings.HasPrefix(line, want.prefix) || !strings.Contains(line, want.rest) {
			t.Errorf("the child found %q, want %s %s", line, want.prefix, want.rest)
		}
	}
	b.up()
	if fds < 3 {
		t.Errorf("the child was given %d descriptors", fds)
	}
	group := got[slices.IndexFunc(got, func(l string) bool { return strings.HasPrefix(l, "group") })]
	if f := strings.Fields(group); f[1] != f[3] {
		t.Errorf("the child is not in a process group of its own: %s", group)
	}
}

// withoutThreadSignals leaves signals 32 and 33 out of a mask: the C library keeps
// them for itself, Go touches neither, and make starts its children with the first
// one ignored.
func withoutThreadSignals(line string) string {
	name, mask, _ := strings.Cut(line, "\t")
	n, err := strconv.ParseUint(mask, 16, 64)
	if err != nil {
		return line
	}
	return fmt.Sprintf("%s\t%016x", name, n&^(1<<31|1<<32))
}

// TestWithoutProc: without a /proc nothing can be proven, so nothing starts.
func TestWithoutProc(t *testing.T) {
	root := newRoot(t)
	m := listen(t, root)
	b := startBox(t, root, boxOptions{enter: "noproc"}, "--guard-dir", "/guard", "--", "/actor", "stubborn")
	p := m.accept()
	p.send(guardv1.Message{Type: guardv1.Welcome, Version: guardv1.Version, Secret: secret})
	p.gone()
	if code := b.exit(); code != 1 {
		t.Fatalf("exit code %d", code)
	}
	b.logged("/proc")
}
