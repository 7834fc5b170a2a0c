// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core

import (
	"encoding/json"
	"time"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
	"github.com/understudy-dev/understudy/monitor/engine"
)

// enginePlan is what the engine must know of a plan.
func enginePlan(revision string, killBound time.Duration, p planv1.Plan) engine.Plan {
	out := engine.Plan{Revision: revision, KillBound: killBound, IgnoreLockedMode: p.IgnoreLockedMode}
	for _, r := range p.Resources {
		e := engine.Resource{
			UID: r.UID, Name: r.Name, TypeName: r.Type, Container: r.Container, Generation: r.Generation,
			Properties: r.Properties, Live: r.Live, Dependencies: r.Dependencies, ReadyTerms: r.ReadyTerms,
			DesiredState:   engine.DesiredOffline,
			PendingTimeout: ms(r.PendingTimeout), DeadlockTimeout: ms(r.DeadlockTimeout),
			TerminateTimeout:   ms(r.TerminateTimeout),
			LooksAliveInterval: ms(r.LooksAlivePollInterval), IsAliveInterval: ms(r.IsAlivePollInterval),
			RestartAction: engine.RestartAction(r.RestartAction), RestartThreshold: int64(r.RestartThreshold),
			RestartPeriod: ms(r.RestartPeriod), RestartDelay: ms(r.RestartDelay),
			RetryPeriodOnFailure: ms(r.RetryPeriodOnFailure), IgnoreLockedMode: r.IgnoreLockedMode,
			EmbeddedFailureAction: engine.EmbeddedFailureAction(r.EmbeddedFailureAction),
			ArbitrationTimeout:    ms(r.ArbitrationTimeout),
		}
		if r.Online {
			e.DesiredState = engine.DesiredOnline
		}
		if p := r.DumpPolicy; p != nil {
			e.DumpPolicy = &engine.DumpPolicy{OnDeadlock: p.OnDeadlock, OnFailure: p.OnFailure, Core: p.CoreFiles}
		}
		e.Controls = controlSpecs(r.Controls, false)
		out.Resources = append(out.Resources, e)
	}
	for _, t := range p.Types {
		e := engine.Type{
			Name: t.Name, Class: t.Class, Subclass: t.Subclass, RequiredDependencies: t.RequiredDependencies,
			ControlTimeoutMaximum: ms(t.ControlTimeoutMaximum), Quorum: t.Quorum, Controls: controlSpecs(t.Controls, true),
		}
		for _, name := range sortedKeys(t.PropertyFormats) {
			e.PropertyFormats = append(e.PropertyFormats, engine.PropertyFormat{Name: name, Format: t.PropertyFormats[name]})
		}
		out.Types = append(out.Types, e)
	}
	out.Group = engine.Group{Name: p.Group, UID: p.GroupUID, Properties: json.RawMessage(asJSON(map[string]any{
		"FailoverThreshold": p.FailoverThreshold, "FailoverPeriod": p.FailoverPeriodSeconds / 3600,
		"PersistentState": p.Online,
	}))}
	return out
}

// controlSpecs are the codes of a type, or those of its resources.
func controlSpecs(list []planv1.Control, ofType bool) []engine.ControlSpec {
	var out []engine.ControlSpec
	for _, k := range list {
		if k.Type != ofType {
			continue
		}
		access := engine.AccessRead
		if k.Write {
			access = engine.AccessWrite
		}
		out = append(out, engine.ControlSpec{Name: k.Name, Code: k.Code, Access: access})
	}
	return out
}

func ms(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// timing is that of the accepted plan, or the default one.
func (c *Core) timing() leasev1.Timing {
	if c.plan != nil {
		if t, ok := leasev1.TimingFor(time.Duration(c.plan.LeaseDurationSeconds) * time.Second); ok {
			return t
		}
	}
	t, _ := leasev1.TimingFor(leasev1.DefaultD)
	return t
}
