// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core

import (
	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/engine"
	"github.com/understudy-dev/understudy/monitor/ownership"
)

// stopFor is a revoke with what providers are told of it: why, what it is part of, and
// which host is next (RA sections 2.1, 2.4, 6.5).
func (c *Core) stopFor(r ownership.Revoke) *engine.Revoked {
	out := &engine.Revoked{
		Mode: engine.RevokeMode(r.Mode), Reason: string(r.Reason), Destination: c.podName(r.To),
		Cause: engine.StateChangeRundown,
	}
	if r.Reason != ownership.RevokeRelease {
		return out
	}
	switch r.Cause {
	case leasev1.CauseMove:
		out.Cause = engine.StateChangeMove
		if c.wished != nil {
			out.Flags = offlineFlags(c.wished.seen)
		}
	case leasev1.CauseDrain:
		out.Cause, out.Context = engine.StateChangeShutdown, engine.ContextDrain
	case leasev1.CauseOffline:
		out.Cause = engine.StateChangeUnknown
		if c.plan != nil && c.plan.IgnoreLockedMode {
			out.Flags = engine.OfflineIgnoreResourceStatus
		}
	default:
		out.Cause = engine.StateChangeFailover
		if c.need != nil {
			out.Context = engine.ContextOf(c.need.Reason)
		}
	}
	return out
}

func offlineFlags(move ControlCall) (flags uint32) {
	if move.IgnoreLockedMode {
		flags |= engine.OfflineIgnoreResourceStatus
	}
	if move.Queue {
		flags |= engine.OfflineQueueEnabled
	}
	return flags
}

// startFor is a grant with what the first Online under it is told: what the hand-over
// before it was part of.
func (c *Core) startFor(g ownership.Grant) *engine.Granted {
	out := &engine.Granted{Epoch: g.Epoch}
	if g.Cause.Reason != ownership.GrantReleased {
		return out
	}
	switch g.Cause.Cause {
	case leasev1.CauseDrain:
		out.Context = engine.ContextDrain
	case leasev1.CauseMove:
		// The move is the last owner's; it is finished by this one.
		for _, k := range c.calls {
			o := k.seen.Owner
			if k.seen.Code == v1alpha1.CodeMove && k.seen.ResourceName == "" && k.seen.IgnoreLockedMode &&
				o != nil && o.Epoch == g.Cause.PreviousEpoch {
				out.Flags = engine.OnlineIgnoreResourceStatus
			}
		}
	default:
		out.Context = engine.ContextOf(engine.Reason(g.Cause.Release.Reason))
	}
	return out
}

// podName is the host pod with that UID; empty if it is not known.
func (c *Core) podName(uid string) string {
	if c.group == nil || uid == "" {
		return ""
	}
	for name, h := range c.group.Status.Hosts {
		if h.PodUID == uid {
			return name
		}
	}
	return ""
}
