// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"time"

	"github.com/understudy-dev/understudy/monitor/core"
)

// watching is a watch of one host: in order, but late, and now and then broken.
type watching struct {
	host *host
	// list is what a list brings; stale, from a cache that lags.
	list   func(stale bool) []core.Input
	last   time.Duration
	broken bool
	begun  int // counts the lists, so that an old watch ends
}

// changed brings news.
func (t *watching) changed(in core.Input) {
	h, w := t.host, t.host.group.world
	if t.broken {
		return
	}
	if w.chance(0.01) {
		t.lose()
		return
	}
	t.last = max(t.last, w.now+h.node.link.delay())
	n := t.begun
	h.node.at(t.last, func() {
		switch {
		case t.broken || t.begun != n:
		case !h.node.link.reaches():
			t.lose()
		default:
			h.post(in)
		}
	})
}

// lose breaks the watch and lists again when that is possible.
func (t *watching) lose() {
	h, w := t.host, t.host.group.world
	t.broken = true
	t.begun++
	n := t.begun
	h.node.after(w.upTo(500*time.Millisecond), func() {
		switch {
		case t.begun != n || h.monitor == nil:
			return
		case !h.node.link.reaches():
			t.lose()
			return
		}
		stale := !w.quiet && w.chance(0.3)
		t.broken, t.last = false, w.now
		for _, in := range t.list(stale) {
			h.post(in)
		}
		if stale { // it catches up
			h.node.after(w.upTo(time.Second), func() {
				for _, in := range t.list(false) {
					t.changed(in)
				}
			})
		}
	})
}
