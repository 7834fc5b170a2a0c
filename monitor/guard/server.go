// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package guard is the monitor's side of the guard protocol: one listening
// socket per supervised container, one authenticated init on it.
package guard

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	guardv1 "github.com/understudy-dev/understudy/api/guard/v1"
	"github.com/understudy-dev/understudy/monitor/clock"
)

const (
	// helloTimeout bounds how long a connection may take to introduce itself.
	helloTimeout = 2 * time.Second
	// writeTimeout bounds a write to an init that does not read.
	writeTimeout = 500 * time.Millisecond
	// freshDelay is how long an init without a secret waits after a restart of
	// the monitor, so that the init that has one comes first: a program in the
	// container could otherwise pass itself off as a new init.
	freshDelay = 300 * time.Millisecond
	// maxConnections bounds the unauthenticated connections of one container.
	maxConnections = 8
)

// Event is what an init said, or that it is gone. Exactly one of the flags or
// the message type tells which.
type Event struct {
	Container string
	// Message is hello (accepted), guarded, empty, stopping or dumped.
	Message guardv1.Message
	// Fresh is true with a hello of a new init life: nothing can run there yet.
	Fresh bool
	// Gone is true when the connection of the accepted init ended, Cut besides if
	// this side ended it: then it says nothing about init.
	Gone, Cut bool
}

// Server serves the guard socket of one container.
type Server struct {
	container string
	key       []byte
	bootID    string
	known     bool
	sink      func(Event)
	started   time.Time

	// say is held while an event is told, so that nothing of an old connection
	// follows the hello of a new one.
	say sync.Mutex

	mu      sync.Mutex
	current *net.UnixConn
	// version that is spoken with it.
	version int
	// credulous: secrets of before cannot be verified, and no init has one of ours yet.
	credulous bool
}

// Config of a Server.
type Config struct {
	// Container is its name; Dir the folder for the socket.
	Container, Dir string
	// Key authenticates inits across restarts of the monitor; it lives with the
	// monitor's state.
	Key []byte
	// Known says that an earlier life of the monitor knew an init here. NewKey says that
	// Key was made just now. If an init has a secret although none is known, or the key is
	// new, the monitor's state was lost: it gets a new secret, like an init without. Not
	// NewKey alone: the life that made it may have ended before the init came back.
	Known, NewKey bool
	// Sink takes events, in order, and must not block for long.
	Sink func(Event)
}

// Serve listens until ctx ends.
func Serve(ctx context.Context, cfg Config) (*Server, error) {
	bootID, err := clock.BootID()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(cfg.Dir, guardv1.SocketName)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("guard socket of container %s: %w", cfg.Container, err)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("guard socket of container %s: %w", cfg.Container, err)
	}
	// The next life removes the file itself. Closed late, this one would take away
	// the socket that the next already listens on.
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	// The container may run as any user; only it and the monitor see the folder.
	if err := os.Chmod(path, 0o666); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	s := &Server{
		container: cfg.Container, key: cfg.Key, bootID: bootID, known: cfg.Known, sink: cfg.Sink,
		started: time.Now(), credulous: cfg.NewKey || !cfg.Known,
	}
	context.AfterFunc(ctx, func() {
		_ = l.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.current != nil {
			_ = s.current.Close()
		}
	})
	go s.accept(ctx, l)
	return s, nil
}

// Send gives a message to the connected init; without one it is dropped, since
// every message is repeated by what follows the next hello.
func (s *Server) Send(m guardv1.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.send(m)
}

// Dump orders a dump. It says why not, if the connected init cannot be asked for one.
func (s *Server) Dump(m guardv1.Message) (refusal string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.current == nil:
		return "the init of container " + s.container + " is not connected"
	case s.version < guardv1.DumpVersion:
		return "the init of container " + s.container + " cannot collect dumps: the pod was made by an earlier " +
			"release; it can when it is replaced"
	}
	s.send(m)
	return ""
}

func (s *Server) send(m guardv1.Message) {
	if s.current == nil {
		return
	}
	_ = s.current.SetWriteDeadline(time.Now().Add(writeTimeout))
	err := guardv1.Write(s.current, m)
	if err == nil || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		// If init is dead, the reader finds its end. To close here would make it
		// look like ours, which proves nothing, and nobody would take over.
		return
	}
	_ = s.current.Close() // the reader reports that this side cut it
}

func (s *Server) accept(ctx context.Context, l net.Listener) {
	slots := make(chan struct{}, maxConnections)
	for {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		select {
		case slots <- struct{}{}:
		default:
			_ = c.Close()
			continue
		}
		go func() {
			defer func() { <-slots }()
			defer func() { _ = c.Close() }()
			s.serve(ctx, c.(*net.UnixConn))
		}()
	}
}

func (s *Server) serve(ctx context.Context, c *net.UnixConn) {
	in := guardv1.NewReader(c)
	_ = c.SetReadDeadline(time.Now().Add(helloTimeout))
	hello, err := in.Read()
	if err != nil || hello.Type != guardv1.Hello {
		return
	}
	_ = c.SetReadDeadline(time.Time{})
	fresh, reason := s.judge(ctx, hello)
	if reason == "" {
		reason = s.admit(c, hello, fresh)
	}
	if reason != "" {
		_ = c.SetWriteDeadline(time.Now().Add(writeTimeout))
		_ = guardv1.Write(c, guardv1.Message{Type: guardv1.Refuse, Reason: reason})
		return
	}
	for {
		m, err := in.Read()
		if err != nil {
			s.gone(c, err)
			return
		}
		s.tell(c, Event{Container: s.container, Message: m})
	}
}

// tell passes an event on if its connection still counts.
func (s *Server) tell(c *net.UnixConn, e Event) {
	s.say.Lock()
	defer s.say.Unlock()
	s.mu.Lock()
	mine := s.current == c
	if mine {
		// It has read the welcome: from now on its secret is one of ours.
		s.credulous = false
	}
	s.mu.Unlock()
	if mine {
		s.sink(e)
	}
}

func (s *Server) gone(c *net.UnixConn, err error) {
	s.say.Lock()
	defer s.say.Unlock()
	s.mu.Lock()
	mine := s.current == c
	if mine {
		s.current = nil
	}
	s.mu.Unlock()
	if mine {
		byInit := errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)
		s.sink(Event{Container: s.container, Gone: true, Cut: !byInit})
	}
}

// judge says whether a hello is that of a new init life, and why it is refused.
func (s *Server) judge(ctx context.Context, hello guardv1.Message) (fresh bool, reason string) {
	now := clock.Now().Boot
	_, agreed := guardv1.Agree(hello.Version)
	switch {
	case !agreed:
		return false, fmt.Sprintf("version %d of the guard's format is older than %d, the oldest that the monitor speaks: "+
			"use releases that are no more than one apart", hello.Version, guardv1.Oldest)
	case hello.BootID != s.bootID:
		return false, "another boot of the node"
	case abs(now-hello.BoottimeNanos) > guardv1.MaxClockSkewNanos:
		return false, "CLOCK_BOOTTIME differs from the monitor's: is the container in a time namespace?"
	case hello.Nonce == "":
		return false, "no nonce"
	case hello.Secret == "":
		return true, s.awaitTurn(ctx)
	case s.authentic(hello.Secret):
		return false, ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.credulous {
		return false, "wrong secret"
	}
	return false, ""
}

// awaitTurn holds a new init back while the one that we knew may still come.
func (s *Server) awaitTurn(ctx context.Context) string {
	if !s.known {
		return ""
	}
	t := time.NewTimer(time.Until(s.started.Add(freshDelay)))
	defer t.Stop()
	select {
	case <-t.C:
		return ""
	case <-ctx.Done():
		return "the monitor ends"
	}
}

// admit makes c the one connection, welcomes it before anything else is sent
// there, and tells its hello.
func (s *Server) admit(c *net.UnixConn, hello guardv1.Message, fresh bool) (reason string) {
	s.say.Lock()
	defer s.say.Unlock()
	secret := hello.Secret
	hello.Secret = ""
	if fresh || !s.authentic(secret) {
		secret = s.newSecret()
	}
	s.mu.Lock()
	if s.current != nil && fresh {
		s.mu.Unlock()
		return "another init is connected"
	}
	if s.current != nil {
		_ = s.current.Close()
	}
	s.current = c
	s.version, _ = guardv1.Agree(hello.Version)
	s.send(guardv1.Message{Type: guardv1.Welcome, Version: s.version, Secret: secret})
	s.mu.Unlock()
	s.sink(Event{Container: s.container, Message: hello, Fresh: fresh})
	return ""
}

func (s *Server) newSecret() string {
	word := rand.Text()
	return word + "." + s.mac(word)
}

func (s *Server) authentic(secret string) bool {
	word, mac, ok := strings.Cut(secret, ".")
	return ok && hmac.Equal([]byte(mac), []byte(s.mac(word)))
}

func (s *Server) mac(word string) string {
	h := hmac.New(sha256.New, s.key)
	h.Write([]byte(s.container + "/" + word))
	return hex.EncodeToString(h.Sum(nil))
}

func abs(n int64) int64 { return max(n, -n) }
