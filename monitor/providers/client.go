// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package providers is the monitor's client of the provider in one supervised
// container: it connects as soon as the provider listens, reports when it is
// there and when it is gone, and carries out the engine's calls.
package providers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	providerv1 "github.com/understudy-dev/understudy/api/provider/v1"
	"github.com/understudy-dev/understudy/monitor/engine"
)

const (
	// SocketName is the name of the provider's socket in its folder.
	SocketName = "provider.sock"
	maxMessage = 1 << 20
	// The provider is ours to start, so it will listen in a moment: look often.
	firstPause = 2 * time.Millisecond
	lastPause  = 200 * time.Millisecond
	// introTimeout bounds each call of the introduction.
	introTimeout = 2 * time.Second
)

// Event says that a provider is up, or down, or why it does not come up.
type Event struct {
	Up     *engine.ProviderUp
	Down   *engine.ProviderDown
	Absent *Absent
}

// Client is the client of one container.
type Client struct {
	container string
	path      string
	sink      func(Event)
	ctx       context.Context
	absence   absence

	mu     sync.Mutex
	nonce  string
	cancel context.CancelFunc
	conn   *grpc.ClientConn
	// started are the types of which Startup was called on conn, with its version.
	started map[string]uint32
}

// New makes a client that is told by Expect what to connect to, until ctx ends.
func New(ctx context.Context, container, dir string, sink func(Event)) *Client {
	return &Client{
		ctx: ctx, container: container, path: filepath.Join(dir, SocketName), sink: sink,
		absence: absence{after: absentAfter, every: absentEvery},
	}
}

// Expect says that the provider process of that nonce is, or will be, in the
// container; an older one is dead.
func (c *Client) Expect(nonce string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if nonce == c.nonce {
		return
	}
	c.drop()
	ctx, cancel := context.WithCancel(c.ctx)
	c.nonce, c.cancel = nonce, cancel
	go c.run(ctx, nonce)
}

// Forget says that the container is gone.
func (c *Client) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop()
}

func (c *Client) drop() {
	if c.cancel != nil {
		c.cancel()
	}
	c.nonce, c.cancel, c.conn = "", nil, nil
}

// run keeps one connection after the other to the process of one nonce.
func (c *Client) run(ctx context.Context, nonce string) {
	pause := firstPause
	for ctx.Err() == nil {
		up, err := c.session(ctx, nonce)
		switch {
		case ctx.Err() != nil:
		case up:
			pause = firstPause
			c.sink(Event{Down: &engine.ProviderDown{Container: c.container, Reason: err.Error()}})
		default:
			if reason := c.absence.because(err, time.Now()); reason != "" {
				c.sink(Event{Absent: &Absent{Container: c.container, Reason: reason}})
			}
		}
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
		pause = min(2*pause, lastPause)
	}
}

// session is one connection: it returns when that is lost, with up false if the
// provider never got as far as being ready.
func (c *Client) session(ctx context.Context, nonce string) (up bool, err error) {
	raw, err := new(net.Dialer).DialContext(ctx, "unix", c.path)
	if err != nil {
		return false, err
	}
	lost := make(chan struct{})
	watched := &watchedConn{Conn: raw, lost: sync.OnceFunc(func() { close(lost) })}
	conn, err := dial(watched)
	if err != nil {
		return false, errors.Join(err, raw.Close())
	}
	defer func() { _ = conn.Close() }()
	hello, err := introduce(ctx, conn)
	if err != nil {
		return false, err
	}
	hello.Container, hello.Nonce = c.container, nonce

	c.mu.Lock()
	if ctx.Err() != nil {
		c.mu.Unlock()
		return false, ctx.Err()
	}
	c.conn, c.started = conn, map[string]uint32{}
	c.mu.Unlock()
	c.absence.ended()
	c.sink(Event{Up: hello})

	select {
	case <-lost:
		err = errors.New("the connection to the provider was lost")
	case <-ctx.Done():
		err = ctx.Err()
	}
	c.mu.Lock()
	if c.conn == conn {
		c.conn = nil
	}
	c.mu.Unlock()
	return true, err
}

// dial makes a client of one given connection; a second one is refused, so that
// a call never reaches another process than the one that introduced itself.
func dial(raw net.Conn) (*grpc.ClientConn, error) {
	var once sync.Once
	return grpc.NewClient("passthrough:provider",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithIdleTimeout(0),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			err := errors.New("the connection to the provider was lost")
			var c net.Conn
			once.Do(func() { c, err = raw, nil })
			return c, err
		}))
}

func introduce(ctx context.Context, conn *grpc.ClientConn) (*engine.ProviderUp, error) {
	ctx, cancel := context.WithTimeout(ctx, introTimeout)
	defer cancel()
	api := providerv1.NewProviderServiceClient(conn)
	info, err := api.GetInfo(ctx, &providerv1.GetInfoRequest{ProtocolVersions: providerv1.Versions()})
	if err != nil {
		return nil, fmt.Errorf("asking the provider who it is: %w", err)
	}
	if _, ok := providerv1.Agree(providerv1.Versions(), info.GetProtocolVersions()); !ok {
		return nil, fmt.Errorf("provider %s speaks protocol versions %v, this monitor %v: take a release of either that "+
			"has one in common", info.GetName(), info.GetProtocolVersions(), providerv1.Versions())
	}
	caps, err := api.GetCapabilities(ctx, &providerv1.GetCapabilitiesRequest{})
	if err != nil {
		return nil, fmt.Errorf("asking provider %s what it can do: %w", info.GetName(), err)
	}
	probe, err := api.Probe(ctx, &providerv1.ProbeRequest{})
	if err != nil {
		return nil, fmt.Errorf("probing provider %s: %w", info.GetName(), err)
	}
	if !probe.GetReady() {
		return nil, fmt.Errorf("provider %s is still starting", info.GetName())
	}
	up := &engine.ProviderUp{Types: info.GetResourceTypes()}
	for _, c := range caps.GetCapabilities() {
		up.Capabilities = append(up.Capabilities, c.String())
	}
	return up, nil
}

// watchedConn tells at once when the other side is gone, which gRPC would tell
// only at the next call.
type watchedConn struct {
	net.Conn
	lost func()
}

func (w *watchedConn) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if err != nil {
		w.lost()
	}
	return n, err
}

func (w *watchedConn) Close() error {
	w.lost()
	return w.Conn.Close()
}
