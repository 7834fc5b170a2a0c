// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	guardv1 "github.com/understudy-dev/understudy/api/guard/v1"
)

const secret = "a secret"

// fakeMonitor is the monitor's side of the guard's socket.
type fakeMonitor struct {
	t *testing.T
	l *net.UnixListener
}

// listen makes the socket in a container's root. A second one replaces it, as a
// restarted monitor does.
func listen(t *testing.T, root string) *fakeMonitor {
	t.Helper()
	path := filepath.Join(root, "guard", guardv1.SocketName)
	_ = os.Remove(path)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	must(t, err)
	must(t, os.Chmod(path, 0o666)) // init may be any user
	m := &fakeMonitor{t: t, l: l}
	t.Cleanup(m.close)
	return m
}

func (m *fakeMonitor) close() { _ = m.l.Close() }

// peer is one connection, of which the hello was read.
type peer struct {
	t     *testing.T
	c     *net.UnixConn
	in    *guardv1.Reader
	hello guardv1.Message
}

func (m *fakeMonitor) accept() *peer {
	m.t.Helper()
	must(m.t, m.l.SetDeadline(time.Now().Add(patience)))
	c, err := m.l.AcceptUnix()
	must(m.t, err)
	m.t.Cleanup(func() { _ = c.Close() })
	p := &peer{t: m.t, c: c, in: guardv1.NewReader(c)}
	p.hello = p.expect(guardv1.Hello)
	return p
}

func (p *peer) send(msg guardv1.Message) {
	p.t.Helper()
	must(p.t, guardv1.Write(p.c, msg))
}

func (p *peer) expect(want guardv1.Type) guardv1.Message {
	p.t.Helper()
	must(p.t, p.c.SetReadDeadline(time.Now().Add(patience)))
	got, err := p.in.Read()
	must(p.t, err)
	if got.Type != want {
		p.t.Fatalf("got %+v, want a %s", got, want)
	}
	return got
}

// gone waits for the end of the connection and returns when.
func (p *peer) gone() int64 {
	p.t.Helper()
	must(p.t, p.c.SetReadDeadline(time.Now().Add(patience)))
	got, err := p.in.Read()
	if !errors.Is(err, io.EOF) {
		p.t.Fatalf("got %+v and %v, want the end of the connection", got, err)
	}
	return boottime()
}

// guard sets a guard from now and returns it.
func (p *peer) guard(epoch int64, g1, g2 time.Duration) guardv1.Message {
	p.t.Helper()
	now := boottime()
	m := guardv1.Message{Type: guardv1.Guard, Epoch: epoch, G1: now + int64(g1), G2: now + int64(g2)}
	p.send(m)
	return m
}

// guardUp sets a guard and waits for its acknowledgement.
func (p *peer) guardUp(epoch int64, g1, g2 time.Duration) guardv1.Message {
	p.t.Helper()
	m := p.guard(epoch, g1, g2)
	got := p.expect(guardv1.Guarded)
	if got.Epoch != epoch || got.G1 != m.G1 || got.G2 != m.G2 {
		p.t.Fatalf("set %+v, got %+v", m, got)
	}
	return m
}

// welcome hands out the secret and waits for the first proof.
func (p *peer) welcome() (nonce string) {
	p.t.Helper()
	p.send(guardv1.Message{Type: guardv1.Welcome, Version: guardv1.Version, Secret: secret})
	return p.expect(guardv1.Empty).Nonce
}

// guardedBox is a container with a welcomed init and its first actor, which is
// up in the period of nonce.
func guardedBox(t *testing.T, o boxOptions, actor string) (b *box, p *peer, nonce string) {
	t.Helper()
	root := newRoot(t)
	m := listen(t, root)
	b = startBox(t, root, o, "--guard-dir", "/guard", "--name", "app", "--", "/actor", actor)
	p = m.accept()
	nonce = p.welcome()
	if !o.undrained {
		if got := b.up(); got != nonce {
			t.Fatalf("the child runs under nonce %q, want %q", got, nonce)
		}
	}
	return b, p, nonce
}
