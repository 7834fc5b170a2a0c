// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package machine

import "time"

const (
	// RestartMin and RestartMax bound the pause before the child starts again.
	RestartMin = 10 * time.Millisecond
	RestartMax = time.Second
	// DeathLimit deaths within DeathWindow end a guarded container.
	DeathLimit  = 10
	DeathWindow = time.Minute
)

// restarts paces a child that keeps dying.
type restarts struct {
	pause  int64
	deaths [DeathLimit]int64
	next   int
}

// died notes a death at now of a child started at started. It returns the pause
// before the next start, and whether this was one death too many.
func (r *restarts) died(now, started int64) (pause int64, tooMany bool) {
	// A child that lived longer than the longest pause is not in a crash loop:
	// it is replaced as fast as the first one that died.
	if r.pause == 0 || now-started >= int64(RestartMax) {
		r.pause = int64(RestartMin)
	} else {
		r.pause = min(2*r.pause, int64(RestartMax))
	}
	// The ring holds the last DeathLimit deaths; the oldest of them is
	// overwritten next.
	r.deaths[r.next] = now
	r.next = (r.next + 1) % DeathLimit
	oldest := r.deaths[r.next]
	return r.pause, oldest != 0 && now-oldest < int64(DeathWindow)
}
