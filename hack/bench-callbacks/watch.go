// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/understudy-dev/understudy/api/v1alpha1"
)

// seen is a version of a resource, and when it was seen here.
type seen struct {
	at     time.Time
	handle string
	state  v1alpha1.ResourceState
	since  time.Time
}

// watcher sees every version of every resource, as kubectl get --watch would.
type watcher struct {
	watch watch.Interface
	mu    sync.Mutex
	all   []seen
	grew  chan struct{}
	done  chan struct{}
}

func watchResources(ctx context.Context, api client.WithWatch) (*watcher, error) {
	i, err := api.Watch(ctx, &v1alpha1.ClusterResourceList{}, client.InNamespace(namespace))
	if err != nil {
		return nil, fmt.Errorf("watching the resources: %w", err)
	}
	w := &watcher{watch: i, grew: make(chan struct{}), done: make(chan struct{})}
	go w.run()
	return w, nil
}

func (w *watcher) run() {
	defer close(w.done)
	for e := range w.watch.ResultChan() {
		r, ok := e.Object.(*v1alpha1.ClusterResource)
		if !ok || r.Status.Owner == nil {
			continue
		}
		s := seen{at: time.Now(), handle: string(r.UID), state: r.Status.Owner.State, since: r.Status.Owner.StateTime.Time}
		w.mu.Lock()
		w.all = append(w.all, s)
		close(w.grew)
		w.grew = make(chan struct{})
		w.mu.Unlock()
	}
}

func (w *watcher) close() {
	w.watch.Stop()
	<-w.done
}

// mark is a place in what was seen.
func (w *watcher) mark() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.all)
}

// since returns what was seen of a resource after a mark.
func (w *watcher) since(mark int, handle string) []seen {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []seen
	for _, s := range w.all[mark:] {
		if s.handle == handle {
			out = append(out, s)
		}
	}
	return out
}

// first waits for a version after a mark that is as wanted, and returns when it came.
func (w *watcher) first(ctx context.Context, mark int, want func(seen) bool) (time.Time, error) {
	end := time.After(patience)
	for {
		w.mu.Lock()
		grew, n := w.grew, len(w.all)
		for _, s := range w.all[mark:] {
			if want(s) {
				w.mu.Unlock()
				return s.at, nil
			}
		}
		w.mu.Unlock()
		mark = n
		select {
		case <-grew:
		case <-ctx.Done():
			return time.Time{}, ctx.Err()
		case <-end:
			return time.Time{}, fmt.Errorf("the transition was never seen")
		}
	}
}

// journal counts how often the monitor replaced its journal: each costs two fsyncs.
type journal struct {
	file *os.File
	mu   sync.Mutex
	n    int
	done chan struct{}
}

func watchJournal(dir string) (*journal, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watching the journal: %w", err)
	}
	j := &journal{file: os.NewFile(uintptr(fd), "inotify"), done: make(chan struct{})}
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_MOVED_TO); err != nil {
		_ = j.file.Close()
		return nil, fmt.Errorf("watching the journal: %w", err)
	}
	go j.run()
	return j, nil
}

func (j *journal) run() {
	defer close(j.done)
	var buf [4096]byte
	for {
		n, err := j.file.Read(buf[:])
		if err != nil {
			return
		}
		events := 0
		for at := 0; at+unix.SizeofInotifyEvent <= n; events++ {
			// The length of the name is the last field of the event's head.
			head := buf[at : at+unix.SizeofInotifyEvent]
			at += unix.SizeofInotifyEvent + int(head[12]) + int(head[13])<<8
		}
		j.mu.Lock()
		j.n += events
		j.mu.Unlock()
	}
}

func (j *journal) stores() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.n
}

func (j *journal) close() {
	_ = j.file.Close()
	<-j.done
}
