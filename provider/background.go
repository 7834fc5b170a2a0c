// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"sync"
)

// maxWorkers is how many workers of its own a resource may have at a time.
const maxWorkers = 64

// WorkerStartRoutine is the body of a worker of the provider's own, RA 1.18. Its
// context ends when the worker is to end as soon as possible: ClusWorkerCheckTerminate.
type WorkerStartRoutine func(ctx context.Context) error

// BackgroundWorker is CLUS_WORKER, RA 1.18: work beside the pending Online and Offline,
// which have a Worker of their own. It is told to end when the resource is terminated or
// closed, and when the monitor answers a status report with ResourceExitStateTerminate;
// Terminate and Close of the resource wait for it.
type BackgroundWorker struct {
	cancel context.CancelFunc
	done   chan struct{}
	ctx    context.Context
	err    error // from done on
}

// StartWorker starts a worker: ClusWorkerCreate, RA 1.18. It is refused with 995 once
// the resource is being terminated, and with 5956 when it has 64.
func (h *Handle) StartWorker(routine WorkerStartRoutine) (*BackgroundWorker, error) {
	return h.in.startWorker(routine)
}

// CheckTerminate says whether the worker is to end: ClusWorkerCheckTerminate, RA 1.18.
func (w *BackgroundWorker) CheckTerminate() bool { return w.ctx.Err() != nil }

// Terminate tells the worker to end and waits until it has, or ctx ends:
// ClusWorkerTerminate and ClusWorkerTerminateEx, RA 1.18. Nil: it has ended. It must
// not be called by the worker itself.
func (w *BackgroundWorker) Terminate(ctx context.Context) error {
	w.cancel()
	return w.wait(ctx)
}

// Done is closed when the worker has ended.
func (w *BackgroundWorker) Done() <-chan struct{} { return w.done }

// Err is what its routine returned, from Done on.
func (w *BackgroundWorker) Err() error {
	<-w.done
	return w.err
}

// TerminateWorkers tells all of them to end before it waits for any:
// ClusWorkersTerminate, RA 1.18.
func TerminateWorkers(ctx context.Context, workers ...*BackgroundWorker) error {
	for _, w := range workers {
		w.cancel()
	}
	for _, w := range workers {
		if err := w.wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (w *BackgroundWorker) wait(ctx context.Context) error {
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// workers are the background workers of an instance.
type workers struct {
	mu      sync.Mutex
	running map[*BackgroundWorker]struct{}
}

func (in *instance) startWorker(routine WorkerStartRoutine) (*BackgroundWorker, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.workers.mu.Lock()
	defer in.workers.mu.Unlock()
	switch {
	case in.terminating > 0 || in.closing:
		return nil, Errorf(ErrorOperationAborted, "%s: no worker is started while it is being terminated", in.name)
	case len(in.workers.running) >= maxWorkers:
		return nil, Errorf(ErrorSystemResourcesLacking, "%s: it has %d workers already", in.name, maxWorkers)
	}
	ctx, cancel := context.WithCancel(in.ctx)
	w := &BackgroundWorker{ctx: ctx, cancel: cancel, done: make(chan struct{})}
	if in.workers.running == nil {
		in.workers.running = map[*BackgroundWorker]struct{}{}
	}
	in.workers.running[w] = struct{}{}
	go func() {
		_, w.err = guarded(in.name, func() (struct{}, error) { return struct{}{}, routine(ctx) })
		cancel()
		in.workers.mu.Lock()
		delete(in.workers.running, w)
		in.workers.mu.Unlock()
		close(w.done)
	}()
	return w, nil
}

// end tells all workers to end and returns them.
func (ws *workers) end() []*BackgroundWorker {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	all := make([]*BackgroundWorker, 0, len(ws.running))
	for w := range ws.running {
		w.cancel()
		all = append(all, w)
	}
	return all
}
