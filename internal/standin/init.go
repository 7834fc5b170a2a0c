// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package standin stands in for what only a pod has, so that whole groups run
// inside a test process: an init that speaks the guard protocol for a provider
// that is a goroutine. It keeps deadlines as the real one does, and proves
// nothing that it did not do itself.
package standin

import (
	"context"
	"crypto/rand"
	"net"
	"path/filepath"
	"sync"
	"time"

	guardv1 "github.com/understudy-dev/understudy/api/guard/v1"
	"github.com/understudy-dev/understudy/monitor/clock"
)

// redial is the pause between two attempts to reach the monitor.
const redial = 5 * time.Millisecond

// Child runs until its context ends; then it must return at once, with nothing
// of it left.
type Child func(ctx context.Context)

// Init is the stand-in of one container's init.
type Init struct {
	dir   string
	child Child

	mu     sync.Mutex
	conn   net.Conn
	nonce  string
	secret string
	guard  guardv1.Message
	starts int
	stop   context.CancelFunc
	ended  chan struct{}
	alarm  *clock.Alarm
	crash  chan struct{}

	stopping bool
	// end ends this init, done is closed when it has.
	end  context.CancelFunc
	done chan struct{}
}

// Start runs an init for the container whose monitor folder is dir, until ctx
// ends. The returned function waits for that.
func Start(ctx context.Context, dir string, child Child) (i *Init, wait func(), err error) {
	i = &Init{dir: dir, child: child, nonce: rand.Text(), crash: make(chan struct{}), done: make(chan struct{})}
	ctx, i.end = context.WithCancel(ctx)
	if i.alarm, err = clock.NewAlarm(ctx); err != nil {
		i.end()
		return nil, nil, err
	}
	go func() {
		defer close(i.done)
		i.run(ctx)
	}()
	return i, func() { <-i.done }, nil
}

// Stop asks the monitor to hand over, as kubelet's SIGTERM makes an init do; Done
// is closed when the monitor has let it end.
func (i *Init) Stop() {
	i.mu.Lock()
	i.stopping = true
	i.mu.Unlock()
	i.send(guardv1.Message{Type: guardv1.Stopping})
}

// Done is closed when the init has ended.
func (i *Init) Done() <-chan struct{} { return i.done }

// Starts is how often the child was started.
func (i *Init) Starts() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.starts
}

// KillChild ends the child as a crash would.
func (i *Init) KillChild() { i.crash <- struct{}{} }

func (i *Init) run(ctx context.Context) {
	messages := make(chan guardv1.Message)
	go i.connect(ctx, messages)
	for {
		select {
		case <-ctx.Done():
			i.kill()
			return
		case <-i.alarm.C:
			i.mu.Lock()
			due := i.guard.G2 != 0 && i.guard.G2 <= clock.Now().Boot
			i.mu.Unlock()
			if due {
				i.empty()
				i.spawn(ctx)
			}
		case <-i.crash:
			i.empty()
			i.spawn(ctx)
		case m := <-messages:
			i.take(ctx, m)
		}
	}
}

func (i *Init) take(ctx context.Context, m guardv1.Message) {
	switch m.Type {
	case guardv1.Welcome:
		i.mu.Lock()
		first := i.secret == ""
		i.secret = m.Secret
		i.mu.Unlock()
		if first {
			i.empty() // which tells the monitor that the secret arrived
		}
		i.spawn(ctx)
		i.mu.Lock()
		stopping := i.stopping
		i.mu.Unlock()
		if stopping {
			i.send(guardv1.Message{Type: guardv1.Stopping})
		}
	case guardv1.Guard:
		i.mu.Lock()
		late := m.Epoch < i.guard.Epoch
		if !late {
			i.guard = m
			_ = i.alarm.Set(m.G2)
		}
		i.mu.Unlock()
		if !late {
			i.guarded(m)
		}
	case guardv1.Kill:
		i.empty()
		i.spawn(ctx)
	case guardv1.Exit:
		i.end() // which kills the child and closes the connection
	}
}

// spawn starts the child if there is none.
func (i *Init) spawn(ctx context.Context) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.stop != nil || i.secret == "" || ctx.Err() != nil {
		return
	}
	ctx, i.stop = context.WithCancel(ctx)
	ended := make(chan struct{})
	i.ended = ended
	i.starts++
	go func() {
		defer close(ended)
		i.child(ctx)
	}()
}

// kill ends the child and waits for its end.
func (i *Init) kill() {
	i.mu.Lock()
	stop, ended := i.stop, i.ended
	i.stop = nil
	i.mu.Unlock()
	if stop != nil {
		stop()
		<-ended
	}
}

// guarded acknowledges a guard, unless it kills.
func (i *Init) guarded(m guardv1.Message) {
	if m.G2 != 0 && m.G2 <= clock.Now().Boot {
		return
	}
	i.mu.Lock()
	m.Type, m.Nonce = guardv1.Guarded, i.nonce
	i.mu.Unlock()
	i.send(m)
}

// empty kills, and says so under a new nonce.
func (i *Init) empty() {
	i.kill()
	i.mu.Lock()
	i.nonce, i.guard.G1, i.guard.G2 = rand.Text(), 0, 0
	m := guardv1.Message{Type: guardv1.Empty, Nonce: i.nonce}
	i.mu.Unlock()
	i.send(m)
}

func (i *Init) send(m guardv1.Message) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.conn != nil {
		_ = guardv1.Write(i.conn, m)
	}
}

func (i *Init) connect(ctx context.Context, messages chan<- guardv1.Message) {
	for ctx.Err() == nil {
		i.session(ctx, messages)
		t := time.NewTimer(redial)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
	}
}

func (i *Init) session(ctx context.Context, messages chan<- guardv1.Message) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", filepath.Join(i.dir, guardv1.SocketName))
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	bootID, err := clock.BootID()
	if err != nil {
		return
	}
	i.mu.Lock()
	hello := guardv1.Message{
		Type: guardv1.Hello, Version: guardv1.Version, Nonce: i.nonce, BootID: bootID,
		BoottimeNanos: clock.Now().Boot, Secret: i.secret, Epoch: i.guard.Epoch, G1: i.guard.G1, G2: i.guard.G2,
	}
	i.conn = conn
	err = guardv1.Write(conn, hello)
	i.mu.Unlock()
	for in := guardv1.NewReader(conn); err == nil; {
		var m guardv1.Message
		if m, err = in.Read(); err == nil {
			select {
			case messages <- m:
			case <-ctx.Done():
				return
			}
		}
	}
	i.mu.Lock()
	i.conn = nil
	i.mu.Unlock()
}
