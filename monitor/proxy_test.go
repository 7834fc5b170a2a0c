// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build envtest

package monitor_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/rest"
)

// proxy stands between one monitor and the API server, and can misbehave.
type proxy struct {
	url string

	mu       sync.Mutex
	requests []string
	drop     func(*http.Request) bool
	cut      chan struct{} // closed by heal; nil: not cut
	open     map[int]context.CancelFunc
	next     int
}

func newProxy(t *testing.T) *proxy {
	t.Helper()
	target, err := url.Parse(restConfig.Host)
	must(t, err)
	// Who asks is the monitor, by its own token.
	transport, err := rest.TransportFor(rest.AnonymousClientConfig(restConfig))
	must(t, err)
	p := &proxy{open: map[int]context.CancelFunc{}}
	forward := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     transport,
		FlushInterval: -1,
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.serve(forward, w, r) }))
	p.url = server.URL
	t.Cleanup(func() {
		p.heal()
		server.CloseClientConnections()
		server.Close()
	})
	return p
}

func (p *proxy) serve(forward http.Handler, w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	p.mu.Lock()
	p.requests = append(p.requests, r.Method+" "+r.URL.Path)
	cut, drop := p.cut, p.drop != nil && p.drop(r)
	p.next++
	id := p.next
	p.open[id] = cancel
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.open, id)
	}()
	switch {
	case cut != nil:
		// As if the packets were lost: nothing happens until the client gives up.
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-ctx.Done():
		case <-cut:
		}
		panic(http.ErrAbortHandler)
	case drop:
		forward.ServeHTTP(httptest.NewRecorder(), r.WithContext(context.WithoutCancel(ctx)))
		panic(http.ErrAbortHandler)
	}
	forward.ServeHTTP(w, r.WithContext(ctx))
}

// dropNext loses the answers to the next n requests for a lease with that method.
// The returned channel is closed with the last of them.
func (p *proxy) dropNext(n int, method string) <-chan struct{} {
	done := make(chan struct{})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop = func(r *http.Request) bool {
		if n == 0 || r.Method != method || !strings.Contains(r.URL.Path, "/leases") {
			return false
		}
		if n--; n == 0 {
			close(done)
		}
		return true
	}
	return done
}

// sever cuts the monitor off: what is under way is lost, what comes is not answered.
func (p *proxy) sever() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = make(chan struct{})
	for _, cancel := range p.open {
		cancel()
	}
}

func (p *proxy) heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut != nil {
		close(p.cut)
		p.cut = nil
	}
}

// forget forgets the requests so far; seen returns those since then.
func (p *proxy) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests = nil
}

func (p *proxy) seen() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.requests...)
}
