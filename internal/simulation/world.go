// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// World is one schedule under way.
type World struct {
	seed    uint64
	options Options
	rng     *rand.Rand
	now     time.Duration // true time since the beginning
	queue   queue
	style   style

	api    apiServer
	nodes  []*node
	groups []*group

	quiet  bool // the faults are over, progress is due
	tries  int  // times to strike so far
	struck int  // faults so far
	// violation is the first broken promise, which ends the schedule.
	violation *Violation
	Coverage  Coverage
	trace     []string
	lives     []*life // what every monitor was given and did, with Options.Record
}

// style is what the schedule finds normal.
type style struct {
	latency     [2]time.Duration // of one way to the API server
	local       [2]time.Duration // between monitor, init and provider
	start, stop [2]time.Duration // of a resource
	extreme     bool             // clocks drift as far as they may, kills take as long
	pending     bool             // providers answer at once, and report later
	faults      time.Duration    // mean time between faults
	lone        int              // the node that alone is healthy first when the faults are over; -1: all at once
	lame        int              // how the others are broken meanwhile
}

// pick returns a duration within the range.
func (w *World) pick(r [2]time.Duration) time.Duration {
	if r[1] <= r[0] {
		return r[0]
	}
	return r[0] + time.Duration(w.rng.Int64N(int64(r[1]-r[0])))
}

// upTo returns a duration below d.
func (w *World) upTo(d time.Duration) time.Duration { return w.pick([2]time.Duration{0, d}) }

// chance is true with probability p.
func (w *World) chance(p float64) bool { return w.rng.Float64() < p }

// after runs f after d.
func (w *World) after(d time.Duration, f func()) { w.queue.push(w.now+max(d, 0), f) }

// log adds a line to the timeline, if there is one.
func (w *World) log(who, format string, args ...any) {
	if w.options.Trace {
		w.trace = append(w.trace, fmt.Sprintf("%10.4f  %-8s %s", w.now.Seconds(), who, fmt.Sprintf(format, args...)))
	}
}

// queue is what is to come, by time, then by order of arrival.
type queue struct {
	heap []item
	n    uint64
}

type item struct {
	at time.Duration
	n  uint64
	f  func()
}

func (a item) before(b item) bool { return a.at < b.at || a.at == b.at && a.n < b.n }

func (q *queue) push(at time.Duration, f func()) {
	q.n++
	q.heap = append(q.heap, item{at, q.n, f})
	for i := len(q.heap) - 1; i > 0; {
		up := (i - 1) / 2
		if !q.heap[i].before(q.heap[up]) {
			break
		}
		q.heap[i], q.heap[up] = q.heap[up], q.heap[i]
		i = up
	}
}

func (q *queue) pop() item {
	top, last := q.heap[0], len(q.heap)-1
	q.heap[0] = q.heap[last]
	q.heap[last] = item{}
	q.heap = q.heap[:last]
	for i := 0; ; {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < last; c++ {
			if q.heap[c].before(q.heap[least]) {
				least = c
			}
		}
		if least == i {
			return top
		}
		q.heap[i], q.heap[least] = q.heap[least], q.heap[i]
		i = least
	}
}
