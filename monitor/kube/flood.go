// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"sync"
	"time"

	"github.com/understudy-dev/understudy/monitor/instant"
)

const (
	// floodBurst Events of one kind may come at once, and one each floodEvery after
	// that: a provider that logs an error fifty times a second must not cost the
	// API server as many objects.
	floodBurst = 5
	floodEvery = time.Minute
	// floodKinds bounds how many kinds are told apart.
	floodKinds = 256
)

// kindOfEvent is what one bucket is for.
type kindOfEvent struct{ resource, reason string }

// flood bounds the Events of each kind. It counts what it leaves out.
type flood struct {
	mu      sync.Mutex
	buckets map[kindOfEvent]*bucket
}

type bucket struct {
	left    int   // so many may come now
	since   int64 // CLOCK_BOOTTIME from which the next one is earned
	leftOut int
}

// admit says whether one more may be sent, and how many were left out before it.
func (f *flood) admit(now instant.Instant, resource, reason string) (ok bool, leftOut int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	kind := kindOfEvent{resource, reason}
	b := f.buckets[kind]
	if b == nil {
		f.makeRoom(now)
		b = &bucket{left: floodBurst, since: now.Boot}
		f.buckets[kind] = b
	}
	b.refill(now)
	if b.left == 0 {
		b.leftOut++
		return false, 0
	}
	b.left--
	leftOut, b.leftOut = b.leftOut, 0
	return true, leftOut
}

func (b *bucket) refill(now instant.Instant) {
	earned := (now.Boot - b.since) / int64(floodEvery)
	b.left = int(min(floodBurst, int64(b.left)+earned))
	b.since += earned * int64(floodEvery)
	if b.left == floodBurst {
		b.since = now.Boot
	}
}

// makeRoom forgets a kind if there are too many: the one that has most left, which
// is the one that it matters least to.
func (f *flood) makeRoom(now instant.Instant) {
	if f.buckets == nil {
		f.buckets = map[kindOfEvent]*bucket{}
	}
	if len(f.buckets) < floodKinds {
		return
	}
	var fullest kindOfEvent
	best := -1
	for kind, b := range f.buckets {
		b.refill(now)
		if b.left > best {
			fullest, best = kind, b.left
		}
	}
	delete(f.buckets, fullest)
}
