// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/understudy-dev/understudy/internal/builders"
)

// stopWatch knows since when we have seen the stop of each group that failed, on our own
// clock: that of the owner, which says when it failed, may be ahead or behind. It is not
// stored: a manager that has just started waits longer for it, never shorter.
type stopWatch struct {
	mu   sync.Mutex
	seen map[types.NamespacedName]failedSince
}

type failedSince struct {
	stop string
	at   time.Time
}

func newStopWatch() *stopWatch { return &stopWatch{seen: map[types.NamespacedName]failedSince{}} }

// since is when this very stop was first seen, whoever is to end it. What was seen of the
// group before is forgotten, as all is if no stop has failed.
func (w *stopWatch) since(group types.NamespacedName, failed *builders.FencingInput, now time.Time) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if failed == nil {
		delete(w.seen, group)
		return now
	}
	if stop := failed.Stop(); w.seen[group].stop != stop {
		w.seen[group] = failedSince{stop: stop, at: now}
	}
	return w.seen[group].at
}
