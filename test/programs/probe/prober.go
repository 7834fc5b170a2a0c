// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"
)

// Line is what the probe says: a change when Beat is false, else a sign of life.
type Line struct {
	// Up is whether the service answers.
	Up bool `json:"up"`
	// At is a time in nanoseconds since 1970. Of a change to up, that of the first
	// answer; of a change to down, the start of the first attempt that failed; of a
	// sign of life, the end of the last attempt.
	At int64 `json:"at"`
	// Beat marks a sign of life, said once a second.
	Beat bool `json:"beat,omitempty"`
	// Attempts is how many there were, with a sign of life.
	Attempts int64 `json:"attempts,omitempty"`
	// Error is that of the first attempt that failed, with a change to down.
	Error string `json:"error,omitempty"`
}

// prober makes one attempt after the other, so that no more than one is ever under
// way: a service that hangs cannot make it pile up connections.
type prober struct {
	attempt func(ctx context.Context, nth int64) error
	say     func(Line)
	now     func() time.Time

	known, up bool
	attempts  int64
	beat      time.Time
}

// run goes on until ctx ends.
func (p *prober) run(ctx context.Context, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		p.step(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// step makes one attempt and says what is to be said of it.
func (p *prober) step(ctx context.Context) {
	began := p.now()
	err := p.attempt(ctx, p.attempts)
	ended := p.now()
	if ctx.Err() != nil {
		return // broken off by us: it says nothing of the service
	}
	p.attempts++
	if up := err == nil; !p.known || up != p.up {
		p.known, p.up = true, up
		line := Line{Up: up, At: ended.UnixNano()}
		if !up {
			line.At, line.Error = began.UnixNano(), err.Error()
		}
		p.say(line)
	}
	if ended.Sub(p.beat) >= time.Second {
		p.beat = ended
		p.say(Line{Up: p.up, At: ended.UnixNano(), Beat: true, Attempts: p.attempts})
	}
}
