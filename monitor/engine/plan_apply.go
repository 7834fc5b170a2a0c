// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"
)

// planChanged takes a plan as a whole, or not at all.
func (e *Engine) planChanged(p Plan) {
	if err := p.check(); err != nil {
		e.note(LevelError, nil, ReasonPlanRefused,
			fmt.Sprintf("plan %s is refused, the last one goes on: %v", p.Revision, err), true)
		return
	}
	e.revision, e.types, e.self = p.Revision, p.Types, p.Group
	if p.KillBound > 0 {
		e.cfg.KillBound = p.KillBound
	}
	e.ignoreLocked = p.IgnoreLockedMode
	e.group, e.journal, e.again = true, true, true
	planned := map[string]bool{}
	var fresh []*resource
	for _, spec := range p.Resources {
		spec = spec.normalise()
		planned[spec.UID] = true
		if r := e.find(spec.UID); r != nil {
			e.replan(r, spec)
			fresh = append(fresh, r)
			continue
		}
		r := &resource{spec: spec, c: e.container(spec.Container), state: Initializing, since: e.now}
		// What an earlier life may have left behind is unknown until Open says.
		r.run = e.fresh && e.unseen(r.c)
		r.touched = true
		fresh = append(fresh, r)
	}
	for _, r := range e.resources {
		if !planned[r.spec.UID] {
			if !r.removed {
				r.removed, r.next = true, nil
				e.touch(r, true)
			}
			fresh = append(fresh, r)
		}
	}
	e.resources = fresh // in the order of the plan, which link keeps where it can
	e.link()
}

// unseen: nothing is known of the container, or of what is in it.
func (e *Engine) unseen(c *container) bool { return c.nonce == "" && !c.gone }

// replan changes the spec of a resource that is there already. Policy counts at
// once, and so do live properties, as soon as the provider has taken them over; others at
// the next Online, which gets them; another container or type takes a new instance.
func (e *Engine) replan(r *resource, spec Resource) {
	again := r.removed || r.spec.Generation != spec.Generation || !bytes.Equal(r.spec.Properties, spec.Properties) ||
		r.spec.DesiredState != spec.DesiredState
	r.removed = false
	if r.spec.Container != spec.Container || r.spec.TypeName != spec.TypeName {
		r.next = &spec
		e.touch(r, true)
		return
	}
	r.spec, r.next = spec, nil
	r.compare()
	e.touch(r, again)
	if again {
		// Somebody acted: what failed before may work now.
		r.resetSeries()
		r.openAt, r.openBackoff = 0, 0
		r.arbitrateAt, r.arbitratePause, r.lost, r.lostMessage = 0, 0, "", ""
		if r.state == Failed && !r.run && !r.wanted() {
			e.setState(r, Offline, ReasonStopped) // RA section 4.2: operator stop
		}
	}
}

// maxDepth is the deepest dependency tree (RA section 7.1).
const maxDepth = 100

// check finds what makes a plan contradict itself.
func (p Plan) check() error {
	index := map[string]int{}
	for i, r := range p.Resources {
		if r.UID == "" || r.Container == "" {
			return fmt.Errorf("resource %q has no UID or no container", r.Name)
		}
		if _, twice := index[r.UID]; twice {
			return fmt.Errorf("two resources have the UID %s", r.UID)
		}
		index[r.UID] = i
	}
	depth := make([]int, len(p.Resources)) // 0: not seen, -1: on the path
	var visit func(i int) error
	visit = func(i int) error {
		r := p.Resources[i]
		depth[i] = -1
		deepest := 0
		for _, i := range r.ReadyTerms {
			if i < 0 || i >= len(r.Dependencies) {
				return fmt.Errorf("resource %s waits for the readiness of term %d and has %d", r.UID, i, len(r.Dependencies))
			}
		}
		for _, term := range r.Dependencies {
			if len(term) == 0 {
				return fmt.Errorf("resource %s has an empty term", r.UID)
			}
			for _, uid := range term {
				j, ok := index[uid]
				switch {
				case !ok:
					return fmt.Errorf("resource %s depends on %s, which is not there", r.UID, uid)
				case depth[j] == -1:
					return fmt.Errorf("resource %s depends on itself, through %s", r.UID, uid)
				case depth[j] == 0:
					if err := visit(j); err != nil {
						return err
					}
				}
				deepest = max(deepest, depth[j])
			}
		}
		if depth[i] = deepest + 1; depth[i] > maxDepth {
			return errors.New("the dependencies are more than 100 deep")
		}
		return nil
	}
	for i := range p.Resources {
		if depth[i] == 0 {
			if err := visit(i); err != nil {
				return err
			}
		}
	}
	return nil
}

// normalise replaces numbers that would make no sense by RA's defaults (section 5),
// and copies what the caller could change.
func (s Resource) normalise() Resource {
	orElse := func(d *time.Duration, other time.Duration) {
		if *d <= 0 {
			*d = other
		}
	}
	orElse(&s.PendingTimeout, 3*time.Minute)
	orElse(&s.DeadlockTimeout, 5*time.Minute)
	orElse(&s.TerminateTimeout, 1500*time.Millisecond)
	orElse(&s.LooksAliveInterval, 5*time.Second)
	orElse(&s.IsAliveInterval, time.Minute)
	orElse(&s.RestartPeriod, 15*time.Minute)
	s.RestartDelay = max(s.RestartDelay, 0)
	s.ArbitrationTimeout = max(s.ArbitrationTimeout, 0)
	s.RestartThreshold = max(s.RestartThreshold, 0)
	if s.DesiredState != DesiredOffline {
		s.DesiredState = DesiredOnline
	}
	if s.RestartAction != DontRestart && s.RestartAction != RestartNoNotify {
		s.RestartAction = RestartNotify
	}
	if s.EmbeddedFailureAction != EmbeddedNone && s.EmbeddedFailureAction != EmbeddedLogOnly {
		s.EmbeddedFailureAction = EmbeddedRecover
	}
	s.Properties, s.Live = bytes.Clone(s.Properties), slices.Clone(s.Live)
	s.Controls = slices.Clone(s.Controls)
	s.Dependencies, s.ReadyTerms = slices.Clone(s.Dependencies), slices.Clone(s.ReadyTerms)
	for i := range s.Dependencies {
		s.Dependencies[i] = slices.Clone(s.Dependencies[i])
	}
	return s
}
