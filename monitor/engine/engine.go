// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/understudy-dev/understudy/monitor/instant"
)

// Config holds what the engine cannot learn from events.
type Config struct {
	// KillBound is K of ownership section 4: a kill completes within it.
	// 0 means 500 ms.
	KillBound time.Duration `json:"killBound,omitempty"`
	// VerifyTimeout bounds the IsAlive that verifies a SignalFailure. 0: 500 ms.
	VerifyTimeout time.Duration `json:"verifyTimeout,omitempty"`
	// TrustProviders takes the word of a provider that a resource is stopped as
	// proof at the end of a Revoked. Otherwise the container is emptied by
	// init (Restart with ReasonProveStop) after the resources were stopped, so
	// that a provider that answers "offline" while its program lives cannot
	// make two owners: "no descendant is left" (ownership section 6) is
	// something that only init can see.
	TrustProviders bool `json:"trustProviders,omitempty"`
}

// Engine is the machine. Create it with New or Restore.
type Engine struct {
	cfg Config
}

// New makes an engine that knows nothing and owns nothing: it terminates what it
// finds running.
func New(cfg Config) *Engine { return &Engine{cfg: cfg} }

// Restore makes an engine of a journaled snapshot. If that had an epoch, the
// engine is Undecided. Feed ProviderUp for each container, and Granted or
// Revoked when ownership knows. A snapshot of another boot of the node is of no
// use, since its times are: use New then.
func Restore(cfg Config, s Snapshot) *Engine { return &Engine{cfg: cfg} }

// Step takes one event at one instant and answers what is to be done.
func (e *Engine) Step(now instant.Instant, ev Event) []Action { return nil }

// Snapshot is a copy of all that the engine knows; now is needed for what is
// being waited for.
func (e *Engine) Snapshot(now instant.Instant) Snapshot { return Snapshot{} }
