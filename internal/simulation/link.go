// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import "time"

// apiServer is how the API server is.
type apiServer struct {
	down   time.Duration // until when it does not answer
	errors bool          // or answers with errors
	// restores counts how often its store was put back: no request outlives that.
	restores int
}

// link is the way between one node and the API server.
type link struct {
	node          *node
	cutOut, cutIn time.Duration // until when requests, answers are lost
	slow          time.Duration // until when everything takes up to three attempts
	lost          time.Duration // when an answer last was
	loseAnswer    int           // the answers to that many next writes of the Lease are lost
	strike        func()        // called when the next of them is committed
}

func (l *link) delay() time.Duration {
	w := l.node.world
	if w.now < l.slow && w.chance(0.5) {
		return w.upTo(3 * time.Second)
	}
	return w.pick(w.style.latency)
}

// reaches reports whether anything gets through both ways.
func (l *link) reaches() bool {
	w := l.node.world
	return w.now >= max(l.cutIn, l.cutOut, w.api.down)
}

// request is what a client asks of the API server.
type request struct {
	write bool
	lease bool // it is about the Lease
	// execute runs at the server, and returns what the answer means to the client.
	execute func() (committed bool, answer func())
	// failed is an answer that says nothing of what became of it.
	failed func()
}

// call carries a request to the server and the answer back; the answer may never
// come. A write that was thought lost may still arrive long after.
func (l *link) call(r request) {
	w := l.node.world
	d := l.delay()
	if w.now < l.cutOut || w.now < w.api.down {
		if !r.write || w.quiet || !w.chance(0.3) {
			return
		}
		d += w.upTo(12 * time.Second)
	}
	restores := w.api.restores
	w.after(d, func() {
		if w.api.restores != restores {
			return
		}
		if w.now < w.api.down {
			if w.api.errors {
				l.node.after(l.delay(), func() { l.back(r.failed) })
			}
			return
		}
		committed, answer := r.execute()
		if committed && r.lease {
			if l.loseAnswer > 0 {
				l.loseAnswer--
				l.lost = w.now
				w.Coverage.UnknownCommit++
				return
			}
			if f := l.strike; f != nil {
				l.strike = nil
				f()
			}
		}
		l.node.after(l.delay(), func() { l.back(answer) })
	})
}

func (l *link) back(deliver func()) {
	if deliver != nil && l.node.world.now >= l.cutIn {
		deliver()
	}
}
