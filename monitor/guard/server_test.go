// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	guardv1 "github.com/understudy-dev/understudy/api/guard/v1"
	"github.com/understudy-dev/understudy/monitor/clock"
)

const patience = 10 * time.Second

// rig is a server and what it told.
type rig struct {
	t      *testing.T
	path   string
	server *Server
	events chan Event
}

func serve(t *testing.T, change func(*Config)) *rig {
	t.Helper()
	dir, err := os.MkdirTemp("", "g") // socket paths are short
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	r := &rig{t: t, path: filepath.Join(dir, guardv1.SocketName), events: make(chan Event, 100)}
	c := Config{Container: "main", Dir: dir, Key: []byte("key"), Sink: func(e Event) { r.events <- e }}
	if change != nil {
		change(&c)
	}
	r.server, err = Serve(t.Context(), c)
	must(t, err)
	return r
}

// peer is an init, or what passes itself off as one.
type peer struct {
	net.Conn
	t  *testing.T
	in *guardv1.Reader
}

func (r *rig) dial() *peer {
	r.t.Helper()
	c, err := net.Dial("unix", r.path)
	must(r.t, err)
	r.t.Cleanup(func() { _ = c.Close() })
	must(r.t, c.SetDeadline(time.Now().Add(patience)))
	return &peer{Conn: c, t: r.t, in: guardv1.NewReader(c)}
}

func hello(t *testing.T, secret string) guardv1.Message {
	t.Helper()
	boot, err := clock.BootID()
	must(t, err)
	return guardv1.Message{
		Type: guardv1.Hello, Version: guardv1.Version, Nonce: "n1", BootID: boot, BoottimeNanos: clock.Now().Boot, Secret: secret,
	}
}

func (p *peer) send(m guardv1.Message) *peer {
	p.t.Helper()
	must(p.t, guardv1.Write(p, m))
	return p
}

func (p *peer) want(typ guardv1.Type) guardv1.Message {
	p.t.Helper()
	m, err := p.in.Read()
	must(p.t, err)
	if m.Type != typ {
		p.t.Fatalf("%+v, want %s", m, typ)
	}
	return m
}

func (r *rig) event() Event {
	r.t.Helper()
	select {
	case e := <-r.events:
		return e
	case <-time.After(patience):
		r.t.Fatal("nothing was told")
		return Event{}
	}
}

// enter introduces a fresh init and returns it with its secret.
func (r *rig) enter() (*peer, string) {
	r.t.Helper()
	p := r.dial().send(hello(r.t, ""))
	secret := p.want(guardv1.Welcome).Secret
	if e := r.event(); !e.Fresh || e.Message.Type != guardv1.Hello || e.Message.Secret != "" {
		r.t.Fatalf("%+v", e)
	}
	return p, secret
}

func TestSecret(t *testing.T) {
	r := serve(t, nil)
	p, secret := r.enter()
	p.send(guardv1.Message{Type: guardv1.Empty, Nonce: "n2"})
	if e := r.event(); e.Message.Type != guardv1.Empty || e.Message.Nonce != "n2" {
		t.Errorf("%+v", e)
	}
	// Who knows it takes the place of the connection before, which says no more.
	q := r.dial().send(hello(t, secret))
	if w := q.want(guardv1.Welcome); w.Secret != secret {
		t.Errorf("another secret: %+v", w)
	}
	if e := r.event(); e.Fresh || e.Gone || e.Message.Type != guardv1.Hello {
		t.Errorf("%+v", e)
	}
	if _, err := p.in.Read(); err == nil {
		t.Error("the connection before is still open")
	}
	q.send(guardv1.Message{Type: guardv1.Stopping})
	if e := r.event(); e.Message.Type != guardv1.Stopping {
		t.Errorf("%+v", e)
	}

	// It outlives the monitor with its key, and is of one container.
	for name, c := range map[string]struct {
		change func(*Config)
		want   guardv1.Type
	}{
		"the same key":      {func(c *Config) { c.Known = true }, guardv1.Welcome},
		"another key":       {func(c *Config) { c.Key, c.Known = []byte("other"), true }, guardv1.Refuse},
		"another container": {func(c *Config) { c.Container, c.Known = "other", true }, guardv1.Refuse},
		"a lost key":        {func(c *Config) { c.Key, c.NewKey, c.Known = []byte("other"), true, true }, guardv1.Welcome},
		// The life that made the key ended before an init came.
		"all was lost, a life ago": {func(c *Config) { c.Key = []byte("other") }, guardv1.Welcome},
	} {
		t.Run(name, func(t *testing.T) {
			r := serve(t, c.change)
			r.dial().send(hello(t, secret)).want(c.want)
		})
	}
}

// After the key was lost, whoever comes first is believed, once, and not as fresh.
func TestLostKey(t *testing.T) {
	r := serve(t, func(c *Config) { c.NewKey, c.Known = true, true })
	m := hello(t, "word.from-before")
	m.Epoch, m.G1, m.G2 = 7, 1, 2
	p := r.dial().send(m)
	secret := p.want(guardv1.Welcome).Secret
	if e := r.event(); e.Fresh || e.Message.G2 != 2 || secret == m.Secret {
		t.Errorf("%+v, secret %q", e, secret)
	}
	// The welcome may have been lost with the connection.
	_ = p.Close()
	if e := r.event(); !e.Gone {
		t.Fatalf("%+v", e)
	}
	p = r.dial().send(m)
	p.want(guardv1.Welcome)
	r.event()
	p.send(guardv1.Message{Type: guardv1.Empty, Nonce: "n2"})
	r.event()
	r.dial().send(hello(t, "word.from-before")).want(guardv1.Refuse)
}

func TestRefused(t *testing.T) {
	for name, change := range map[string]func(*guardv1.Message){
		"wrong secret":     func(m *guardv1.Message) { m.Secret = "word.mac" },
		"no secret at all": func(m *guardv1.Message) { m.Secret = "." },
		"too old":          func(m *guardv1.Message) { m.Version = guardv1.Oldest - 1 },
		"another boot":     func(m *guardv1.Message) { m.BootID = "other" },
		"clock ahead":      func(m *guardv1.Message) { m.BoottimeNanos += int64(time.Hour) },
		"clock behind":     func(m *guardv1.Message) { m.BoottimeNanos -= int64(time.Hour) },
		"no nonce":         func(m *guardv1.Message) { m.Nonce = "" },
	} {
		t.Run(name, func(t *testing.T) {
			r := serve(t, func(c *Config) { c.Known = true })
			m := hello(t, "")
			change(&m)
			if m := r.dial().send(m).want(guardv1.Refuse); m.Reason == "" {
				t.Error("no reason")
			}
			if len(r.events) != 0 {
				t.Errorf("%+v", <-r.events)
			}
		})
	}
}

// An init of the next release is answered in the language that both speak.
func TestNewerInit(t *testing.T) {
	r := serve(t, nil)
	m := hello(t, "")
	m.Version++
	if w := r.dial().send(m).want(guardv1.Welcome); w.Version != guardv1.Version {
		t.Errorf("%+v", w)
	}
}

// An init of the release before does not know dumps: it is not asked, and who asks hears
// why. Nor is one that is not there.
func TestDumpNeedsAnInitThatCan(t *testing.T) {
	order := guardv1.Message{Type: guardv1.Dump, ID: "d", Dump: &guardv1.DumpOrder{Resource: "r"}}
	r := serve(t, nil)
	if why := r.server.Dump(order); !strings.Contains(why, "not connected") {
		t.Errorf("%q", why)
	}
	m := hello(t, "")
	m.Version = guardv1.DumpVersion - 1
	p := r.dial().send(m)
	secret := p.want(guardv1.Welcome).Secret
	r.event()
	if why := r.server.Dump(order); !strings.Contains(why, "earlier release") {
		t.Errorf("%q", why)
	}
	r.server.Send(guardv1.Message{Type: guardv1.Kill})
	p.want(guardv1.Kill) // and nothing before it

	p = r.dial().send(hello(t, secret))
	p.want(guardv1.Welcome)
	r.event()
	if why := r.server.Dump(order); why != "" {
		t.Error(why)
	}
	if got := p.want(guardv1.Dump); got.ID != "d" || got.Dump.Resource != "r" {
		t.Errorf("%+v", got)
	}
}

func TestOneInitAtATime(t *testing.T) {
	r := serve(t, nil)
	p, _ := r.enter()
	if m := r.dial().send(hello(t, "")).want(guardv1.Refuse); !strings.Contains(m.Reason, "another init") {
		t.Errorf("%+v", m)
	}
	_ = p.Close()
	if e := r.event(); !e.Gone || e.Cut {
		t.Errorf("%+v", e)
	}
	r.enter()
}

// After a restart of the monitor the init that has a secret comes first.
func TestFreshInitWaitsItsTurn(t *testing.T) {
	first := serve(t, nil)
	_, secret := first.enter()
	r := serve(t, func(c *Config) { c.Known = true })
	impostor := r.dial().send(hello(t, ""))
	r.dial().send(hello(t, secret)).want(guardv1.Welcome)
	if e := r.event(); e.Fresh {
		t.Errorf("%+v", e)
	}
	impostor.want(guardv1.Refuse)

	// If none has one, it is a new life after all.
	r = serve(t, func(c *Config) { c.Known = true })
	began := time.Now()
	r.dial().send(hello(t, "")).want(guardv1.Welcome)
	if time.Since(began) < freshDelay/2 {
		t.Error("it did not wait")
	}
}

// Nothing is sent before the welcome: init would hang up.
func TestWelcomeComesFirst(t *testing.T) {
	var r *rig
	stop, stopped := make(chan struct{}), make(chan struct{})
	r = serve(t, nil)
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				r.server.Send(guardv1.Message{Type: guardv1.Guard, Epoch: 1, G2: 1})
				runtime.Gosched()
			}
		}
	}()
	for range 50 {
		p, _ := r.enter()
		_ = p.Close()
		for e := r.event(); !e.Gone; e = r.event() {
		}
	}
	close(stop)
	<-stopped
}

// A connection that this side cuts is no proof of an end.
func TestCut(t *testing.T) {
	for name, misbehave := range map[string]func(r *rig, p *peer){
		"a line without end": func(_ *rig, p *peer) { _, _ = p.Write([]byte(strings.Repeat("x", 2*guardv1.MaxLine))) },
		"no JSON":            func(_ *rig, p *peer) { _, _ = p.Write([]byte("what?\n")) },
		"it does not read": func(r *rig, _ *peer) {
			for len(r.events) == 0 {
				r.server.Send(guardv1.Message{Type: guardv1.Guard, Reason: strings.Repeat("x", guardv1.MaxLine/2)})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := serve(t, nil)
			p, _ := r.enter()
			misbehave(r, p)
			if e := r.event(); !e.Gone || !e.Cut {
				t.Errorf("%+v", e)
			}
		})
	}
}

// The death of init is told as its own, also if something is sent to it before
// its end was read.
func TestDeathBeforeASend(t *testing.T) {
	told, events := make(chan struct{}), make(chan Event, 10)
	r := serve(t, func(c *Config) {
		c.Sink = func(e Event) {
			events <- e
			if e.Message.Type == guardv1.Stopping {
				<-told // the reader is busy meanwhile
			}
		}
	})
	r.events = events
	p, _ := r.enter()
	p.send(guardv1.Message{Type: guardv1.Stopping})
	if e := r.event(); e.Message.Type != guardv1.Stopping {
		t.Fatalf("%+v", e)
	}
	must(t, p.Close())
	r.server.Send(guardv1.Message{Type: guardv1.Kill})
	close(told)
	if e := r.event(); !e.Gone || e.Cut {
		t.Errorf("%+v", e)
	}
}

// Whatever connects without a hello costs a few descriptors, for a while.
func TestFlood(t *testing.T) {
	r := serve(t, nil)
	var idle []*peer
	for range 4 * maxConnections {
		idle = append(idle, r.dial())
	}
	closed := 0
	for _, p := range idle {
		must(t, p.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
		if _, err := p.in.Read(); errors.Is(err, io.EOF) {
			closed++
		}
	}
	if closed < 3*maxConnections {
		t.Errorf("%d of %d connections were closed", closed, len(idle))
	}
	for _, p := range idle {
		_ = p.Close()
	}
	// As init does, until it is welcome.
	deadline := time.Now().Add(patience)
	for {
		p := r.dial()
		_ = guardv1.Write(p, hello(t, ""))
		if m, err := p.in.Read(); err == nil && m.Type == guardv1.Welcome {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("no init gets in after the flood")
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
