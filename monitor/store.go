// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"context"
	"sync"

	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/journal"
	"github.com/understudy-dev/understudy/monitor/ownership"
)

// store writes the journal behind the loop's back: the newest state counts, and
// whoever waits for one is told when that, or a later one, is durable.
type store struct {
	journal *journal.Journal
	sink    func(core.Input)
	wake    chan struct{}

	mu   sync.Mutex
	data []byte
	ids  []int64

	// writing keeps an older state from following a newer one onto the disk.
	writing sync.Mutex
}

func newStore(j *journal.Journal, sink func(core.Input)) *store {
	return &store{journal: j, sink: sink, wake: make(chan struct{}, 1)}
}

// later has the state stored soon; id is answered by Persisted unless it is 0.
func (s *store) later(data []byte, id int64) {
	s.mu.Lock()
	s.data = data
	if id != 0 {
		s.ids = append(s.ids, id)
	}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// now stores the state before it returns.
func (s *store) now(data []byte) error {
	s.mu.Lock()
	s.data = nil // this one is newer
	s.mu.Unlock()
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.journal.Store(data)
}

func (s *store) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
			s.flush()
		}
	}
}

func (s *store) flush() {
	s.writing.Lock()
	s.mu.Lock()
	data, ids := s.data, s.ids
	s.data, s.ids = nil, nil
	s.mu.Unlock()
	var err error
	if data != nil {
		err = s.journal.Store(data)
	}
	s.writing.Unlock()
	for _, id := range ids {
		p := ownership.Persisted{ID: id}
		if err != nil {
			p.Error = err.Error()
		}
		s.sink(core.Input{Persisted: &p})
	}
}
