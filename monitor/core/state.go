// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core

import (
	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
	"github.com/understudy-dev/understudy/monitor/engine"
	"github.com/understudy-dev/understudy/monitor/instant"
	"github.com/understudy-dev/understudy/monitor/ownership"
)

// State is all that must survive a restart of the monitor. It is of use only in
// the boot of the node in which it was made, but for Disk.
type State struct {
	BootID       string          `json:"bootID"`
	Disk         ownership.Disk  `json:"disk"`
	Engine       engine.Snapshot `json:"engine"`
	PlanRevision string          `json:"planRevision,omitempty"`
	Plan         *planv1.Plan    `json:"plan,omitempty"`
	// Nonces are the last known ones, by container.
	Nonces map[string]string `json:"nonces,omitempty"`
	Story  story             `json:"story"`
	// Draining is since when this host goes away; zero if it does not.
	Draining instant.Instant `json:"draining,omitzero"`
}

// State returns what to make durable now.
func (c *Core) State(now instant.Instant) State {
	s := State{
		BootID: c.config.BootID, Disk: c.disk, Engine: c.engine.Snapshot(now),
		PlanRevision: c.planRevision, Plan: c.plan, Nonces: map[string]string{}, Story: c.story.clone(),
		Draining: c.draining,
	}
	for name, k := range c.containers {
		if k.nonce != "" {
			s.Nonces[name] = k.nonce
		}
	}
	return s
}

func (c *Core) restore(s State) {
	c.engine = engine.Restore(c.config.Engine, s.Engine)
	c.plan, c.planRevision = s.Plan, s.PlanRevision
	c.story = s.Story
	c.story.Owning = false
	c.drained = s.Draining
	c.changed = true
	for name, nonce := range s.Nonces {
		c.container(name).nonce = nonce
	}
}
