// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package scene

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Rivals are containers of which one at most may run a program at any time.
type Rivals struct {
	Program    Program
	Containers []Container
}

// Sighting is when a process was seen in a container, from the first to the last time.
type Sighting struct {
	Container   string
	PID         int
	First, Last time.Time
}

// Sightings is what was seen of rivals while they were watched.
type Sightings struct {
	stop context.CancelFunc
	done chan struct{}
	seen []Sighting
	errs []error
}

// Watch looks at the rivals every few milliseconds until Stop.
func (r Rivals) Watch(ctx context.Context) *Sightings {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	s := &Sightings{stop: stop, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		for ctx.Err() == nil {
			s.look(r)
			select {
			case <-ctx.Done():
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return s
}

// Stop ends it and returns all that was seen, and an error for every time that two
// containers ran the program at once.
func (s *Sightings) Stop() ([]Sighting, error) {
	s.stop()
	<-s.done
	return s.seen, errors.Join(s.errs...)
}

func (s *Sightings) look(r Rivals) {
	now, alive := time.Now(), []string{}
	for _, c := range r.Containers {
		pids, err := c.Find(r.Program)
		if err != nil {
			s.fail(err)
		}
		for _, pid := range pids {
			i := slices.IndexFunc(s.seen, func(one Sighting) bool { return one.PID == pid && one.Container == c.what })
			if i < 0 {
				i = len(s.seen)
				s.seen = append(s.seen, Sighting{Container: c.what, PID: pid, First: now})
			}
			s.seen[i].Last = now // the same for all of one look, so that they compare
		}
		if len(pids) > 0 {
			alive = append(alive, fmt.Sprintf("%s (%v)", c.what, pids))
		}
	}
	if len(alive) > 1 {
		s.fail(fmt.Errorf("%s: %s alive at once: %s", stamp(now), r.Program, strings.Join(alive, " and ")))
	}
}

// fail keeps the first few: one is enough to fail a test.
func (s *Sightings) fail(err error) {
	if len(s.errs) < 10 {
		s.errs = append(s.errs, err)
	}
}
