// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// permanentError ends a wait at once.
type permanentError struct{ error }

func permanent(err error) error { return permanentError{err} }

func (p permanentError) Unwrap() error { return p.error }

// waitFor looks until there is no error any more, and returns the last one if that takes too long.
func waitFor(ctx context.Context, deadline time.Duration, what string, look func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 250*time.Millisecond) {
		err := look(ctx)
		if err == nil {
			return nil
		}
		if stop := (permanentError{}); errors.As(err, &stop) {
			return fmt.Errorf("waiting for %s: %w", what, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited %s for %s: %w", deadline, what, err)
		case <-time.After(pause):
		}
	}
}
