// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"strings"
	"sync"
	"time"
)

const (
	// absentAfter is how long a provider may be about to come up, before it is
	// told why it does not.
	absentAfter = 2 * time.Second
	// absentEvery is the least time between two reasons, should they alternate.
	absentEvery = 5 * time.Second
	// maxReason bounds a reason, of which parts are the provider's words.
	maxReason = 512
)

// Absent says why a provider does not come up.
type Absent struct {
	Container string
	Reason    string
}

// absence decides when it is worth telling that a provider is not there. It goes
// on over the processes of a provider that never gets far.
type absence struct {
	after, every time.Duration

	mu     sync.Mutex
	since  time.Time // zero: it is there
	told   string
	toldAt time.Time
}

// ended: the provider is up.
func (a *absence) ended() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.since, a.told = time.Time{}, ""
}

// because takes the reason of one more failure, and returns what to tell: nothing,
// unless it has been so for a while and is news.
func (a *absence) because(err error, now time.Time) (reason string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.since.IsZero() {
		a.since = now
	}
	reason = err.Error()
	reason = strings.ToValidUTF8(reason[:min(len(reason), maxReason)], "")
	if reason == a.told || now.Sub(a.since) < a.after || a.told != "" && now.Sub(a.toldAt) < a.every {
		return ""
	}
	a.told, a.toldAt = reason, now
	return reason
}
