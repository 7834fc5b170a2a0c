// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/understudy-dev/understudy/monitor/clock"
)

const (
	// beatEvery is how often the ready file is touched.
	beatEvery = 5 * time.Second
	// beatMost is how old it may be: a loop that does not come round for so long,
	// many leases long, owns nothing any more and does nothing either.
	beatMost = 30 * time.Second
)

// heart shows from outside that the loop goes round: it touches the ready file,
// but only when the loop has come by since the last time.
type heart struct {
	every time.Duration
	touch func() error
	// ask has an idle loop come by.
	ask    chan struct{}
	passed atomic.Bool
}

func newHeart(touch func() error) *heart {
	return &heart{every: beatEvery, touch: touch, ask: make(chan struct{}, 1)}
}

// pass is the loop, coming by.
func (h *heart) pass() { h.passed.Store(true) }

func (h *heart) run(ctx context.Context) {
	t := time.NewTicker(h.every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if h.passed.Swap(false) {
			_ = h.touch() // what cannot be touched grows old, which is how it is told
		}
		select {
		case h.ask <- struct{}{}:
		default:
		}
	}
}

// readyFile is the file that says, by being there, that the monitor listens on all
// its sockets, and by its modification time that its loop goes round.
type readyFile string

func readyIn(stateDir string) readyFile { return readyFile(filepath.Join(stateDir, ReadyFile)) }

// create makes the file. It stays empty, as that needs no room on a disk that is full: what
// runs under a monitor that comes back then shall go on.
func (f readyFile) create() error {
	if err := os.WriteFile(string(f), nil, 0o600); err != nil {
		return fmt.Errorf("saying that the monitor is ready: %w", err)
	}
	return f.touch()
}

// touch sets the modification time to CLOCK_BOOTTIME, because nobody sets that
// clock: a jump of the other one must not look like a loop that hangs.
func (f readyFile) touch() error {
	now := time.Unix(0, clock.Now().Boot)
	if err := os.Chtimes(string(f), now, now); err != nil {
		return fmt.Errorf("saying that the monitor is alive: %w", err)
	}
	return nil
}

func (f readyFile) remove() error {
	if err := os.Remove(string(f)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("the file of the life before: %w", err)
	}
	return nil
}

// Ready returns nil if the monitor of that state folder listens on all its sockets.
func Ready(stateDir string) error {
	if _, err := os.Stat(string(readyIn(stateDir))); err != nil {
		return fmt.Errorf("the monitor is not ready: %w", err)
	}
	return nil
}

// Live returns nil if it is ready and its loop went round not long ago.
func Live(stateDir string) error {
	info, err := os.Stat(string(readyIn(stateDir)))
	if err != nil {
		return fmt.Errorf("the monitor is not ready: %w", err)
	}
	if age := time.Duration(clock.Now().Boot - info.ModTime().UnixNano()); age > beatMost {
		return fmt.Errorf("the loop of the monitor did not come round for %v", age.Round(time.Second))
	}
	return nil
}
