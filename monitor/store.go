// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"context"
	"sync"
	"time"

	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/ownership"
)

const (
	// storeAgain is when a state that could not be stored is tried again.
	storeAgain = time.Second
	// storePace is the shortest time between two states that nobody waits for: a
	// provider decides how often there is something to keep, and each costs two syncs
	// of the disk.
	storePace = 20 * time.Millisecond
)

// store writes the journal behind the loop's back: the newest state counts, and
// whoever waits for one is told when that, or a later one, is durable.
type store struct {
	journal interface{ Store([]byte) error }
	sink    func(core.Input)
	// failed is told the first error of a row of them.
	failed  func(error)
	failing bool
	wake    chan struct{}
	// free tells that one more state is taken that nobody waits for.
	free chan struct{}

	mu      sync.Mutex
	busy    bool // none is
	data    []byte
	ids     []int64
	version int64 // of the newest state, whoever stores it

	// writing keeps an older state from following a newer one onto the disk.
	writing sync.Mutex
}

func newStore(j interface{ Store([]byte) error }, sink func(core.Input), failed func(error)) *store {
	return &store{journal: j, sink: sink, failed: failed, wake: make(chan struct{}, 1), free: make(chan struct{}, 1)}
}

// takes tells whether one more state is taken that nobody waits for; free tells when.
func (s *store) takes() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.busy
}

// later has the state stored soon; id is answered by Persisted unless it is 0.
func (s *store) later(data []byte, id int64) {
	s.mu.Lock()
	s.data, s.busy = data, true
	s.version++
	if id != 0 {
		s.ids = append(s.ids, id)
	}
	s.mu.Unlock()
	signal(s.wake)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// now stores the state before it returns. If that fails it is tried again, as any other,
// and who waits for an older one is told of it only when one is durable.
func (s *store) now(data []byte) error {
	s.mu.Lock()
	s.version++
	version := s.version
	s.mu.Unlock()
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	s.data = nil // this one is newer
	s.mu.Unlock()
	err := s.journal.Store(data)
	if err != nil {
		s.putBack(data, version)
		signal(s.wake)
	}
	return err
}

func (s *store) run(ctx context.Context) {
	var again, paced <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-paced:
			paced = nil
			s.mu.Lock()
			s.busy = false
			s.mu.Unlock()
			signal(s.free)
			continue
		case <-s.wake:
		case <-again:
		}
		again, paced = nil, time.After(storePace)
		if !s.flush() {
			again = time.After(storeAgain)
		}
	}
}

// flush stores what is newest, and reports whether nothing is left to be stored.
func (s *store) flush() (done bool) {
	s.writing.Lock()
	s.mu.Lock()
	data, ids, version := s.data, s.ids, s.version
	s.data, s.ids = nil, nil
	s.mu.Unlock()
	var err error
	if data != nil {
		err = s.journal.Store(data)
	}
	if err != nil {
		s.putBack(data, version)
	}
	s.writing.Unlock()
	if err != nil && !s.failing {
		s.failed(err)
	}
	if data != nil {
		s.failing = err != nil
	}
	for _, id := range ids {
		p := ownership.Persisted{ID: id}
		if err != nil {
			p.Error = err.Error()
		}
		s.sink(core.Input{Persisted: &p})
	}
	return err == nil
}

// putBack keeps a state that could not be stored, unless there is a newer one.
// Nobody may wait for it, and then nobody else would try again.
func (s *store) putBack(data []byte, version int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.version == version {
		s.data = data
	}
}
