// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package monitor is the monitor of one host pod: it drives the providers of a
// group, answers their callbacks, and holds the group's ownership. Run can run
// many times in one process, for tests that bring up whole groups.
package monitor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"k8s.io/client-go/rest"

	"github.com/understudy-dev/understudy/monitor/callbacks"
	"github.com/understudy-dev/understudy/monitor/clock"
	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
	"github.com/understudy-dev/understudy/monitor/guard"
	"github.com/understudy-dev/understudy/monitor/journal"
	"github.com/understudy-dev/understudy/monitor/kube"
	"github.com/understudy-dev/understudy/monitor/providers"
)

// Folders below that of a container.
const (
	// MonitorFolder holds the monitor's sockets; the container sees it read-only.
	MonitorFolder = "monitor"
	// ProviderFolder holds the provider's socket.
	ProviderFolder = "provider"
	// DumpFolder holds the dumps that init collects. Pods of an earlier release lack it.
	DumpFolder = "dumps"
	// ReadyFile appears in the state folder once all sockets listen; see Ready, Live.
	ReadyFile = "ready"
)

// Config is what a monitor is started with.
type Config struct {
	// Namespace and Group name the ResourceGroup.
	Namespace, Group string
	// PodName, PodUID, PodIP and NodeName are this host.
	PodName, PodUID, PodIP, NodeName string
	// REST reaches the API server with the rights of the group's Role.
	REST *rest.Config
	// StateDir survives restarts of the monitor and not the pod.
	StateDir string
	// ContainersDir has a folder for each supervised container, with the folders
	// MonitorFolder and ProviderFolder in it.
	ContainersDir string
	// GraceMilliseconds is the pod's termination grace period; 0 is not known.
	GraceMilliseconds int64
	// Log takes the cluster log, one line each.
	Log io.Writer
	// Record takes every input and effect as JSON lines, for replay; nil: none.
	Record io.Writer
}

// Run runs a monitor until ctx ends, which leaves everything as it is, or the host
// has handed over. It returns nil after a hand-over.
func Run(ctx context.Context, config Config) error { return run(ctx, config, nil) }

// RunUntil is Run with a channel that, sent to, asks the monitor to end: at a moment
// that suits the next one if what it supervises goes on, else after a hand-over.
func RunUntil(ctx context.Context, config Config, end <-chan string) error {
	return run(ctx, config, end)
}

func run(ctx context.Context, config Config, end <-chan string) error {
	state, err := journal.Open(config.StateDir)
	if err != nil {
		return err
	}
	defer func() { _ = state.Close() }()
	// A life that was killed leaves its file, which says nothing about this one.
	ready := readyIn(config.StateDir)
	if err := ready.remove(); err != nil {
		return err
	}
	names, err := folders(config.ContainersDir)
	if err != nil {
		return err
	}
	settings, last, err := setUp(config, state, names)
	if err != nil {
		return err
	}
	// Everything that was started ends with the loop.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l := newLoop(ctx, config, settings, last, state)
	defer l.flush()
	l.kube, err = kube.New(kube.Config{
		REST: config.REST, Namespace: config.Namespace, Group: config.Group,
		PodName: config.PodName, PodUID: config.PodUID, NodeName: config.NodeName, Sink: l.input,
	})
	if err != nil {
		return err
	}
	key, newKey, err := state.Key()
	if err != nil {
		return err
	}
	for _, name := range names {
		known := last != nil && last.Nonces[name] != ""
		if err := l.serve(ctx, guard.Config{Container: name, Key: key, NewKey: newKey, Known: known}); err != nil {
			return err
		}
	}
	if l.alarm, err = clock.NewAlarm(ctx); err != nil {
		return err
	}
	if err := ready.create(); err != nil {
		return err
	}
	defer func() { _ = ready.remove() }()
	l.spawn(func() { l.heart.run(ctx) })
	l.spawn(func() { l.kube.Run(ctx) })
	err = l.run(ctx, end)
	l.flushEvents(ctx)
	cancel()
	l.wait.Wait()
	return errors.Join(err, l.storeLast())
}

func setUp(config Config, state *journal.Journal, names []string) (core.Config, *core.State, error) {
	bootID, err := clock.BootID()
	if err != nil {
		return core.Config{}, nil, err
	}
	last := &core.State{}
	found, err := state.Load(last)
	if err != nil {
		return core.Config{}, nil, err
	}
	if !found {
		last = nil
	}
	return core.Config{
		Namespace: config.Namespace, Group: config.Group, PodName: config.PodName, PodUID: config.PodUID,
		PodIP: config.PodIP, NodeName: config.NodeName, Inc: rand.Text(), BootID: bootID, Containers: names,
		GraceMilliseconds: config.GraceMilliseconds,
	}, last, nil
}

// serve opens the sockets of one container.
func (l *loop) serve(ctx context.Context, config guard.Config) error {
	name := config.Container
	dir := filepath.Join(l.config.ContainersDir, name)
	config.Dir = filepath.Join(dir, MonitorFolder)
	stuck, err := newStuckFile(config.Dir)
	if err != nil {
		return err
	}
	l.stuck[name] = stuck
	config.Sink = func(e guard.Event) { l.input(guardInput(e)) }
	g, err := guard.Serve(ctx, config)
	if err != nil {
		return err
	}
	wait, err := callbacks.Serve(ctx, callbacks.Config{
		Container: name, Dir: filepath.Join(dir, MonitorFolder), Group: l.config.Group, Sink: l.callback, Lister: l.others,
	})
	if err != nil {
		return err
	}
	l.spawn(wait)
	l.guards[name] = g
	l.providers[name] = providers.New(ctx, name, filepath.Join(dir, ProviderFolder), func(e providers.Event) {
		l.input(providerInput(e))
	})
	return nil
}

// others lists the resources of a type, whosever they are.
func (l *loop) others(ctx context.Context, typeName string) ([]callbacks.Found, error) {
	list, err := l.kube.ListType(ctx, typeName)
	found := make([]callbacks.Found, 0, len(list))
	for _, r := range list {
		one := callbacks.Found{
			Handle: string(r.UID), Name: r.Name, TypeName: r.Spec.TypeName, Group: r.Spec.GroupName,
		}
		if o := r.Status.Owner; o != nil {
			one.State = engine.State(o.State)
		}
		found = append(found, one)
	}
	return found, err
}

func folders(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("folders of the supervised containers: %w", err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}
