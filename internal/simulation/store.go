// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"maps"
	"strconv"
	"time"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	"github.com/understudy-dev/understudy/monitor/ownership"
)

// store is the API server's store: one Lease, linearizable.
type store struct {
	world   *World
	lease   *leasev1.Lease // never changed in place
	older   []*leasev1.Lease
	version int
	uids    int
}

// answer is what a request got.
type answer struct {
	outcome ownership.Outcome
	lease   *leasev1.Lease
}

func (s *store) put(r leasev1.Record) answer {
	switch {
	case s.lease == nil:
		return answer{outcome: ownership.NotFound}
	case s.lease.UID != r.UID || s.lease.ResourceVersion != r.ResourceVersion:
		return answer{outcome: ownership.Conflict}
	}
	return s.commit(leasev1.Encode(r, *s.lease), s.lease.UID)
}

func (s *store) create(r leasev1.Record) answer {
	if s.lease != nil {
		return answer{outcome: ownership.Conflict}
	}
	s.uids++
	return s.commit(leasev1.Encode(r, leasev1.Lease{}), "lease-"+strconv.Itoa(s.uids))
}

func (s *store) get() answer { return answer{outcome: ownership.Committed, lease: s.lease} }

func (s *store) commit(l leasev1.Lease, uid string) answer {
	s.version++
	l.UID, l.ResourceVersion = uid, strconv.Itoa(s.version)
	s.set(&l)
	return answer{outcome: ownership.Committed, lease: &l}
}

func (s *store) remove() {
	if s.lease != nil {
		s.version++
		s.set(nil)
	}
}

// edit changes the Lease by hand.
func (s *store) edit(change func(*leasev1.Lease)) {
	if s.lease == nil {
		return
	}
	l := *s.lease
	l.Annotations = map[string]string{}
	maps.Copy(l.Annotations, s.lease.Annotations)
	change(&l)
	s.commit(l, l.UID)
}

func (s *store) set(l *leasev1.Lease) {
	if len(s.older) > 8 {
		s.older = s.older[1:]
	}
	s.older = append(s.older, s.lease)
	s.lease = l
	s.world.check.committed(s.world, l)
	for _, h := range s.world.hosts {
		h.watch.changed(l)
	}
}

// link is the way between one host and the API server.
type link struct {
	world         *World
	cutOut, cutIn time.Duration // until when requests, answers are lost
	slow          time.Duration // until when everything takes up to three attempts
	lost          time.Duration // when an answer last was
	loseAnswer    int           // the answers to that many next writes are lost
	strike        func()        // called at the next commit
}

func (l *link) delay() time.Duration {
	w := l.world
	if w.now < l.slow && w.chance(0.5) {
		return w.upTo(3 * w.timing.A)
	}
	return w.pick(w.style.latency)
}

// call carries a request to the store and the answer back; the answer may never
// come. A write that was thought lost may still arrive long after.
func (l *link) call(write bool, execute func() answer, deliver func(answer)) {
	w := l.world
	d := l.delay()
	if w.now < l.cutOut || w.now < w.manager.apiDown {
		if !write || !w.chance(0.3) {
			return
		}
		d += w.upTo(2 * w.timing.D)
	}
	w.after(d, func() {
		if w.now < w.manager.apiDown {
			if w.manager.apiErrors {
				w.after(l.delay(), func() { l.back(answer{outcome: ownership.Unknown}, deliver) })
			}
			return
		}
		a := execute()
		if write && a.outcome == ownership.Committed {
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
		w.after(l.delay(), func() { l.back(a, deliver) })
	})
}

func (l *link) back(a answer, deliver func(answer)) {
	if l.world.now >= l.cutIn {
		deliver(a)
	}
}

// watching is the watch of one host: in order, but late, and now and then broken.
type watching struct {
	host   *host
	last   time.Duration
	broken bool
}

func (t *watching) changed(l *leasev1.Lease) {
	w, h := t.host.world, t.host
	if t.broken {
		return
	}
	if w.chance(0.01) {
		t.lose()
		return
	}
	t.last = max(t.last, w.now+h.link.delay())
	w.queue.push(t.last, func() {
		switch {
		case t.broken:
		case w.now < h.link.cutIn || w.now < w.manager.apiDown:
			t.lose()
		default:
			h.observed(l)
		}
	})
}

// lose breaks the watch and lists again when that is possible. A list may come
// from a cache that lags.
func (t *watching) lose() {
	w, h := t.host.world, t.host
	t.broken = true
	w.after(200*time.Millisecond+w.upTo(time.Second), func() {
		if w.now < max(h.link.cutIn, h.link.cutOut, w.manager.apiDown) {
			t.lose()
			return
		}
		l := w.store.lease
		if n := len(w.store.older); n > 0 && !w.quiet && w.chance(0.3) {
			l = w.store.older[w.rng.IntN(n)]
			w.after(w.upTo(time.Second), func() { t.changed(w.store.lease) }) // it catches up
		}
		t.broken, t.last = false, w.now
		h.observed(l)
	})
}
