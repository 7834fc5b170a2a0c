// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Provider-sdk serves the type "link": a symbolic link that exists while the resource is online.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"github.com/understudy-dev/understudy/provider"
)

// link is one resource.
type link struct {
	path, target string
	mu           sync.Mutex // Terminate, checks and control codes come at any time
}

func open(_ context.Context, args provider.OpenArgs) (provider.Resource, error) {
	l := &link{}
	l.read(args.Properties.AsMap())
	return l, nil
}

func (l *link) read(properties map[string]any) {
	l.path, _ = properties["path"].(string)
	l.target, _ = properties["target"].(string)
}

// Online is done at once. What takes long is returned as a provider.Work instead.
func (l *link) Online(_ context.Context, args provider.OnlineArgs) (provider.Work, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.read(args.Properties.AsMap()) // they may have changed since Open
	return nil, os.Symlink(l.target, l.path)
}

// Offline ends with nothing left.
func (l *link) Offline(ctx context.Context, _ provider.OfflineArgs) (provider.Work, error) {
	return nil, l.Terminate(ctx)
}

// Terminate is that, too, but at once, in any state, again and again. Nil is the proof.
func (l *link) Terminate(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := os.Remove(l.path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// LooksAlive is the quick check.
func (l *link) LooksAlive(context.Context) bool { return true }

// IsAlive is the full check: nil, or why not.
func (l *link) IsAlive(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	target, err := os.Readlink(l.path)
	if err == nil && target != l.target {
		err = fmt.Errorf("%s leads to %s", l.path, target)
	}
	return err
}

// Probe says whether it is there already: a link outlives its provider.
func (l *link) Probe(context.Context) (provider.State, error) {
	switch _, err := os.Lstat(l.path); {
	case err == nil:
		return provider.StateOnline, nil
	case errors.Is(err, fs.ErrNotExist):
		return provider.StateOffline, nil
	default:
		return provider.StateFailed, err
	}
}

// Close has nothing to free.
func (l *link) Close(context.Context) error { return nil }

func main() {
	provider.Main(provider.Provider{
		Name:  "link.example.com",
		Types: map[string]provider.Type{"link": provider.TypeFunc(open)},
	})
}
