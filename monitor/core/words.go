// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core

import (
	"time"

	"github.com/understudy-dev/understudy/monitor/ownership"
)

// wordsPatience is how long a hand-over, and the end of this life, wait for what would be
// lost with it. An API server that takes the release takes this as well, at once; what it
// refuses shall not cost more.
const wordsPatience = 2 * time.Second

// holdsBack has a release wait while what only this host can say is not stored: once another
// owner speaks, it never will be. The time for that counts from the proof of the stop. Where
// the time of the pod is short the group comes first.
func (c *Core) holdsBack() bool {
	s := c.owner.Snapshot()
	switch {
	case c.rushed:
		return false
	case s.Role == ownership.Owner && !s.Granted:
		return c.waitWords(c.unheard())
	case s.Role == ownership.Offlining || s.Role == ownership.SelfStopping:
		return c.unheard()
	}
	return false
}

// unheard: a notification that was taken, or what became of a control call.
func (c *Core) unheard() bool {
	for _, n := range c.snapshot.Notifications {
		if len(n.Pending) > 0 {
			return true
		}
	}
	for _, k := range c.calls {
		if k.finish != nil {
			return true
		}
	}
	return false
}

// waitWords waits for what is not stored, within its bound.
func (c *Core) waitWords(unstored bool) bool {
	if !unstored {
		c.wordsBy = 0
		return false
	}
	if c.wordsBy == 0 {
		c.wordsBy = c.now.Boot + int64(wordsPatience)
		c.documents.lastWords()
	}
	return c.now.Boot < c.wordsBy
}

// nextWords is when that bound is reached; 0: nothing is waited for.
func (c *Core) nextWords() int64 {
	if c.wordsBy <= c.now.Boot {
		return 0
	}
	return c.wordsBy
}

// unstored tells whether anything is not stored yet, or on its way.
func (d documents) unstored() bool {
	for _, doc := range d {
		if doc.flying != 0 || doc.done != doc.version || doc.old && !doc.dropped {
			return true
		}
	}
	return false
}
