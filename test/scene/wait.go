// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package scene

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Say tells whoever waits what is going on.
type Say func(format string, args ...any)

// Check looks once: whether what is waited for has come, and what was seen instead.
// An error is taken as something seen: what is waited for may be that the API
// server answers again.
type Check func(context.Context) (done bool, seen string, err error)

// period is the pause between two looks. Nothing is measured by it: times come from
// the status, the client and the process table.
const period = 50 * time.Millisecond

// ErrNotYet is what an error of Wait wraps if time ran out.
var ErrNotYet = errors.New("did not come about")

// Wait looks until what is waited for has come, and says now and then what it sees.
func (c *Cluster) Wait(ctx context.Context, what string, within time.Duration, check Check) error {
	began, told := time.Now(), time.Now()
	waiting, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	last := "nothing yet"
	for {
		done, seen, err := check(waiting)
		if err == nil && done {
			return nil
		}
		// What broke off with the waiting says nothing.
		if waiting.Err() == nil {
			if last = seen; err != nil {
				last = err.Error()
			}
		}
		if time.Since(told) > 5*time.Second {
			told = time.Now()
			c.Say("  waiting for %s, %.0f s: %s", what, time.Since(began).Seconds(), last)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w; last seen: %s", what, context.Cause(ctx), last)
		case <-waiting.Done():
			return fmt.Errorf("%s: %w within %s; last seen: %s", what, ErrNotYet, within, last)
		case <-time.After(period):
		}
	}
}
