// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// attemptTimeout bounds one try of a callback: a monitor that hangs is left
	// for the one that replaces it.
	attemptTimeout = 2 * time.Second
	// retryFirst and retryMost are the pauses between tries. A monitor that is
	// gone costs no tries at all: a try waits for the connection.
	retryFirst = 10 * time.Millisecond
	retryMost  = 500 * time.Millisecond
	// refusedFor is how long a failure is offered again to a monitor that says
	// that the resource is not online: it may not have seen the answer to Online.
	refusedFor = 5 * time.Second
	// maxQueued bounds what waits for a monitor, per resource. Only lines of the
	// log can get that many; the oldest are dropped.
	maxQueued = 128
)

// errNotYet makes the lane offer a report again, for refusedFor.
var errNotYet = errors.New("not yet accepted")

// reportKind says how a report is treated in the queue.
type reportKind int

const (
	// progressReport is a checkpoint: the next status supersedes it.
	progressReport reportKind = iota
	// finalReport ends pending work.
	finalReport
	// failureReport is SignalFailure.
	failureReport
	// logReport is a line of the log.
	logReport
	// endReport ends a control call. Nothing supersedes it.
	endReport
	// lostReport is QuorumResourceLost: the next Arbitrate or Release supersedes it.
	lostReport
)

// about says whether the report is about an operation or a life of the resource,
// which the next state-changing call makes pointless.
func (k reportKind) about() bool { return k <= failureReport }

// report is one callback that waits for its answer.
type report struct {
	kind reportKind
	// send makes one try. It is called by the lane's goroutine alone.
	send func(ctx context.Context) error
	// stale: not to be tried again. Guarded by the lane.
	stale bool
}

// lane sends the callbacks of one resource, in order, one at a time, each until it
// is answered or superseded. Callbacks that got no answer leave the outcome
// unknown, so all of them are safe to repeat.
type lane struct {
	mu    sync.Mutex
	queue []*report
	// sending is the head of the queue while a try is under way.
	sending *report
	abort   context.CancelFunc
	// held counts the calls whose answer has to leave before reports do.
	held   int
	closed bool
	wake   chan struct{}
}

func newLane() *lane { return &lane{wake: make(chan struct{}, 1)} }

// push queues a report. It never blocks.
func (l *lane) push(r *report) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	if r.kind == progressReport || r.kind == finalReport {
		// What is being sent may still arrive, so it is let be: cut short, it
		// could reach the monitor after its successor.
		l.drop(func(q *report) bool { return q.kind == progressReport && q != l.sending })
		if l.sending != nil && l.sending.kind == progressReport {
			l.sending.stale = true
		}
	}
	if r.kind == lostReport {
		// Once, and before all that waits: a host that lost it is to stop now.
		l.drop(func(q *report) bool { return q.kind == lostReport && q != l.sending })
		at := 0
		if l.sending != nil {
			at = 1
		}
		l.queue = slices.Insert(l.queue, at, r)
		l.kick()
		return
	}
	if len(l.queue) >= maxQueued {
		if i := slices.IndexFunc(l.queue, func(q *report) bool { return q.kind == logReport && q != l.sending }); i >= 0 {
			l.queue = slices.Delete(l.queue, i, i+1)
		}
	}
	l.queue = append(l.queue, r)
	l.kick()
}

// supersede drops what is about an operation or a life of the resource that a new
// call from the monitor ends. A try that is under way is cut short.
func (l *lane) supersede() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop(func(q *report) bool { return q.kind.about() })
}

// forget drops the reports of a kind.
func (l *lane) forget(kind reportKind) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop(func(q *report) bool { return q.kind == kind })
}

// hold keeps reports about operations back until release.
func (l *lane) hold() {
	l.mu.Lock()
	l.held++
	l.mu.Unlock()
}

// release ends a hold.
func (l *lane) release() {
	l.mu.Lock()
	l.held--
	l.mu.Unlock()
	l.kick()
}

// close drops everything and ends run.
func (l *lane) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.drop(func(*report) bool { return true })
	l.kick()
}

// drop takes reports out of the queue; one that is being sent is cut short.
func (l *lane) drop(which func(*report) bool) {
	l.queue = slices.DeleteFunc(l.queue, func(q *report) bool {
		if !which(q) {
			return false
		}
		if q == l.sending {
			l.sending = nil
			l.abort()
		}
		return true
	})
}

func (l *lane) kick() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// next is the report to send now, nil if there is none, and whether to go on.
func (l *lane) next(ctx context.Context) (*report, context.Context, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, nil, false
	}
	if len(l.queue) == 0 || l.held > 0 && l.queue[0].kind.about() {
		return nil, nil, true
	}
	l.sending = l.queue[0]
	sendCtx, cancel := context.WithCancel(ctx)
	l.abort = cancel
	return l.sending, sendCtx, true
}

// run sends until the lane is closed or the context ends.
func (l *lane) run(ctx context.Context) {
	for {
		r, sendCtx, ok := l.next(ctx)
		switch {
		case !ok:
			return
		case r == nil:
			select {
			case <-l.wake:
			case <-ctx.Done():
				return
			}
		default:
			l.deliver(sendCtx, r)
		}
	}
}

// deliver sends one report until it is answered or the context ends.
func (l *lane) deliver(ctx context.Context, r *report) {
	pause := retryFirst
	var refused time.Time
	for {
		attempt, cancel := context.WithTimeout(ctx, attemptTimeout)
		err := r.send(attempt)
		cancel()
		switch {
		case errors.Is(err, errNotYet):
			if refused.IsZero() {
				refused = time.Now()
			}
			if time.Since(refused) > refusedFor {
				l.finish(r)
				return
			}
		case !unanswered(err), l.isStale(r):
			l.finish(r)
			return
		}
		select {
		case <-ctx.Done(): // superseded, or the provider ends
			l.finish(r)
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, retryMost)
	}
}

func (l *lane) isStale(r *report) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return r.stale
}

// finish takes a report out of the queue, if it still is there.
func (l *lane) finish(r *report) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.abort()
	l.sending = nil
	l.queue = slices.DeleteFunc(l.queue, func(q *report) bool { return q == r })
}

// unanswered says whether a try left the outcome unknown, so that it is repeated.
func unanswered(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		return true
	}
	return false
}
