// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core

import (
	"encoding/json"
	"reflect"
	"slices"

	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
	"github.com/understudy-dev/understudy/monitor/engine"
	"github.com/understudy-dev/understudy/monitor/ownership"
)

// take gives an input to whom it concerns.
func (c *Core) take(in Input) {
	switch {
	case in.Started != nil:
		c.toOwner(ownership.Event{Started: &ownership.Started{}})
		if c.plan != nil {
			c.acceptPlan(c.planRevision, c.plan)
		}
	case in.Timer != nil:
		// Whatever came, what is due is looked at below.
	case in.Hello != nil:
		c.hello(*in.Hello)
	case in.Guarded != nil:
		c.guarded(*in.Guarded)
	case in.Emptied != nil:
		c.emptied(in.Emptied.Container, in.Emptied.Nonce)
	case in.Stopping != nil:
		c.drain("PodStopping")
	case in.End != nil:
		c.end(in.End.Reason)
	case in.Dumped != nil:
		c.toEngine(engine.Event{Dumped: in.Dumped})
	case in.InitGone != nil:
		c.initGone(*in.InitGone)
	case in.ProviderUp != nil:
		c.container(in.ProviderUp.Container).absent = ""
		c.toEngine(engine.Event{ProviderUp: in.ProviderUp})
	case in.ProviderDown != nil:
		c.toEngine(engine.Event{ProviderDown: in.ProviderDown})
	case in.ProviderAbsent != nil:
		c.providerAbsent(*in.ProviderAbsent)
	case in.Returned != nil:
		c.toEngine(engine.Event{Returned: in.Returned})
	case in.Callback != nil:
		c.toEngine(engine.Event{Callback: in.Callback})
	case in.Tick != nil:
		c.toEngine(engine.Event{Tick: &engine.Tick{Token: uint64(in.Tick.ID)}})
	case in.Observed != nil:
		c.toOwner(ownership.Event{Observed: in.Observed})
	case in.Wrote != nil:
		c.toOwner(ownership.Event{Wrote: in.Wrote})
	case in.Persisted != nil:
		c.toOwner(ownership.Event{Persisted: in.Persisted})
	case in.Group != nil:
		c.takeGroup(*in.Group)
	case in.Plan != nil:
		c.takePlan(*in.Plan)
	case in.ControlCall != nil:
		c.takeCall(*in.ControlCall)
	case in.Endpoint != nil:
		c.seenEndpoint(*in.Endpoint)
	case in.Written != nil:
		c.written(*in.Written)
	}
	c.timers()
}

// seenEndpoint: an owner whose status never got through may have got as far as its endpoint.
func (c *Core) seenEndpoint(e EndpointDocument) {
	c.documents.seenEndpoint(e)
	if e.Epoch > c.endpointEpoch {
		c.endpointEpoch, c.succeeding = e.Epoch, true
	}
}

func (c *Core) takeGroup(g Group) {
	if c.group != nil && c.group.UID != g.UID {
		c.types, c.typesVersion = nil, c.typesVersion+1 // another group of that name
	}
	echo := g.echoes(c.group)
	c.group, c.succeeding = &g, true
	if c.story.heard(g.Status.Owner) {
		echo = false
		c.emit(Effect{Journal: &Journal{}}) // it may be nowhere else when we have spoken
	}
	c.documents.seenHost(g.Status.Hosts[c.config.PodName])
	if echo {
		return
	}
	c.changed = true
	c.seenTypes(g.Status.Types)
	switch revision := g.Status.PlanRevision; revision {
	case c.planRevision:
		if c.wanted != "" { // taken back before it was here
			c.wanted = ""
			c.emit(Effect{FetchPlan: &FetchPlan{}})
		}
	case "", c.wanted, c.refused:
	default:
		c.wanted = revision
		c.emit(Effect{FetchPlan: &FetchPlan{Revision: revision}})
	}
}

// echoes tells whether a group differs from the one before by no more than what its owner
// says of itself, of which nobody makes anything while the owner is the same but who follows
// it (see story.heard), and what hosts say, which concerns the succession alone, but for what runs
// there that nobody brought online.
func (g *Group) echoes(before *Group) bool {
	if before == nil || strayOn(before.Status, "") != strayOn(g.Status, "") {
		return false
	}
	was, is := *before, *g
	was.ResourceVersion = is.ResourceVersion
	was.Status.Conditions, was.Status.Hosts = is.Status.Conditions, is.Status.Hosts
	if a, b := was.Status.Owner, is.Status.Owner; a != nil && b != nil && a.Epoch == b.Epoch {
		was.Status.Owner = b
	}
	return reflect.DeepEqual(was, is)
}

// takePlan accepts a plan, all or nothing. One that this monitor cannot carry
// out is left alone, and the one before goes on.
func (c *Core) takePlan(p Plan) {
	if p.Revision != c.wanted {
		return
	}
	c.wanted = ""
	if p.Plan == nil {
		c.refused = p.Revision
		c.log(engine.LevelError, "PlanUnreadable", "plan "+p.Revision+": "+p.Error)
		return
	}
	if reason := c.refuse(*p.Plan); reason != "" {
		c.refused = p.Revision
		c.log(engine.LevelError, "PlanRefused", "plan "+p.Revision+": "+reason)
		return
	}
	c.acceptPlan(p.Revision, p.Plan)
	c.emit(Effect{Journal: &Journal{}})
}

func (c *Core) refuse(p planv1.Plan) string {
	switch {
	case p.Version > planv1.Version:
		return "it is of a newer format than this monitor knows: upgrade the monitor"
	case p.Namespace != c.config.Namespace || p.Group != c.config.Group:
		return "it is for group " + p.Namespace + "/" + p.Group
	}
	for _, name := range p.Containers {
		if !slices.Contains(c.config.Containers, name) {
			return "container " + name + " does not run under this monitor: the host pod must be replaced"
		}
	}
	return ""
}

func (c *Core) acceptPlan(revision string, p *planv1.Plan) {
	c.plan, c.planRevision = p, revision
	c.changed = true
	c.toEngine(engine.Event{PlanChanged: &engine.PlanChanged{Plan: enginePlan(revision, c.timing().K, *p)}})
}

func (c *Core) note(n engine.Note) {
	c.emit(Effect{Log: &Log{
		Level: n.Level, Component: component(n.Reason), Resource: c.resourceName(n.Resource),
		Reason: string(n.Reason), Text: n.Text, Event: n.Event,
	}})
}

// component is the tag of the cluster log, RA section 9: a provider's own words
// are told from the engine's.
func component(r engine.Reason) string {
	if r == engine.ReasonLog {
		return "RES"
	}
	return "RCM"
}

func (c *Core) fact(f ownership.Fact) {
	level := engine.LevelInformation
	switch f.Kind {
	case ownership.FactStopFailed, ownership.FactUnreadable, ownership.FactDiskFailed, ownership.FactRewound:
		level = engine.LevelError
	case ownership.FactSelfStop, ownership.FactExpired, ownership.FactLost, ownership.FactNotReleased,
		ownership.FactDeleted, ownership.FactEngineSilent, ownership.FactNotReadopted:
		level = engine.LevelWarning
	}
	switch f.Kind {
	case ownership.FactReleased, ownership.FactLost, ownership.FactExpired:
		c.regiveMoves()
	}
	c.story.fact(c.now, f)
	c.emit(Effect{Log: &Log{
		Level: level, Component: "OWN", Reason: string(f.Kind), Text: f.Message,
		Event: f.Kind != ownership.FactRaceLost,
	}})
}

// log says something of the whole group, and tells it by an Event.
func (c *Core) log(level engine.Level, reason, text string) {
	c.emit(Effect{Log: &Log{Level: level, Component: "RCM", Reason: reason, Text: text, Event: true}})
}

// resourceName is the name of a resource by its UID.
func (c *Core) resourceName(uid string) string {
	if c.plan != nil {
		for _, r := range c.plan.Resources {
			if r.UID == uid {
				return r.Name
			}
		}
	}
	for _, r := range c.snapshot.Resources {
		if r.Spec.UID == uid {
			return r.Spec.Name
		}
	}
	return uid
}

// asJSON tells whether something that is told again is new.
func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
