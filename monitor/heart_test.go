// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-dev/understudy/monitor/clock"
)

// The heart beats for a loop that comes by, idle or busy, and for no other.
func TestHeart(t *testing.T) {
	for name, c := range map[string]struct {
		loop func(context.Context, *heart)
		want int
	}{
		"idle": {func(ctx context.Context, h *heart) {
			for {
				select {
				case <-h.ask:
					h.pass()
				case <-ctx.Done():
					return
				}
			}
		}, 11}, // the first time it is asked
		"busy": {func(ctx context.Context, h *heart) {
			for ctx.Err() == nil {
				h.pass()
				time.Sleep(10 * time.Millisecond)
			}
		}, 12},
		"hangs": {func(ctx context.Context, h *heart) {
			h.pass()
			<-ctx.Done()
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				beats := 0
				h := newHeart(func() error { beats++; return nil })
				go h.run(ctx)
				go c.loop(ctx, h)
				time.Sleep(time.Minute + time.Second)
				cancel()
				time.Sleep(time.Second) // all of them end
				synctest.Wait()
				if beats != c.want {
					t.Errorf("%d beats in a minute, want %d", beats, c.want)
				}
			})
		})
	}
}

// The loop comes by, though nothing happens.
func TestLoopBeats(t *testing.T) {
	l, ctx, end := newTestLoop(t, Config{})
	defer end()
	beats := make(chan struct{})
	l.heart.every = time.Millisecond
	l.heart.touch = func() error { beats <- struct{}{}; return nil }
	go l.heart.run(ctx)
	ended := make(chan error, 1)
	go func() { ended <- l.run(ctx, nil) }()
	for range 5 {
		select {
		case <-beats:
		case <-time.After(patience):
			t.Fatal("no beat")
		}
	}
	end()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestReadyAndLive(t *testing.T) {
	dir := t.TempDir()
	f := readyIn(dir)
	check := func(when string, ready, live bool) {
		t.Helper()
		if err := Ready(dir); (err == nil) != ready {
			t.Errorf("%s: ready: %v", when, err)
		}
		if err := Live(dir); (err == nil) != live {
			t.Errorf("%s: live: %v", when, err)
		}
	}
	check("before it", false, false)
	must(t, f.create())
	check("at first", true, true)
	old := time.Unix(0, clock.Now().Boot-int64(beatMost)-1)
	must(t, os.Chtimes(string(f), old, old))
	check("while it hangs", true, false)
	must(t, f.touch())
	check("later", true, true)
	must(t, f.remove())
	must(t, f.remove())
	check("at the end", false, false)
}

// What a killed life left says nothing about the next one, which may not get as
// far as it did.
func TestReadyFileOfAnEarlierLife(t *testing.T) {
	dir := t.TempDir()
	must(t, readyIn(dir).create())
	err := Run(t.Context(), Config{StateDir: dir, ContainersDir: filepath.Join(dir, "missing")})
	if err == nil {
		t.Error("it runs without its containers")
	}
	if Ready(dir) == nil {
		t.Error("it is said to be ready")
	}
}
