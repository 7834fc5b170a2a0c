// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core

import (
	"reflect"
	"slices"
	"time"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/engine"
	"github.com/understudy-dev/understudy/monitor/instant"
	"github.com/understudy-dev/understudy/monitor/ownership"
)

// settle tells ownership what is new for it, and reports whether there was
// anything.
func (c *Core) settle() bool {
	if c.changed {
		c.changed, c.news = false, true
		c.snapshot = c.engine.Snapshot(c.now)
		c.story.seen(c.now, c.snapshot, c.resourceName)
		c.tellStuck()
		c.extendCalls()
		c.seeLocks()
	}
	c.lateClaims()
	c.moves()
	c.callOutcomes()
	c.leave()
	if c.group != nil && c.succeeding {
		c.succeeding = false
		s := c.successionOf(*c.group)
		if text := asJSON(s); text != c.succession {
			c.succession = text
			c.toOwner(ownership.Event{Succession: &s})
		}
	}
	if w := c.wishNow(); c.wish == nil || !reflect.DeepEqual(*c.wish, w) {
		c.wish = &w
		c.toOwner(ownership.Event{Wish: &w})
	}
	if c.proven && !c.anyUnsure() {
		c.proven = false
		c.toOwner(ownership.Event{Stopped: &ownership.Stopped{Revoke: c.revoke, Proven: true}})
	}
	left := c.unstopped()
	// Ownership asks only while a stop of all is due.
	if failed := len(left) > 0 && c.snapshot.Phase == engine.Stopping; failed != c.stopFailed {
		c.stopFailed = failed
		if failed {
			c.toOwner(ownership.Event{Stopped: &ownership.Stopped{Revoke: c.revoke, Left: left}})
		}
	}
	return len(c.queue) > 0 || c.changed
}

func (c *Core) wishNow() ownership.Wish {
	w := ownership.Wish{Unfit: c.unfit(), FailoverThreshold: -1, Hold: c.holdsBack()}
	if c.plan == nil {
		return w
	}
	timing := c.timing()
	w.Timing = &timing
	w.WantOnline = c.wantOnline()
	w.FailoverThreshold = int(c.plan.FailoverThreshold)
	w.FailoverPeriod = time.Duration(c.plan.FailoverPeriodSeconds) * time.Second
	// A person's word comes first: a move needs no threshold, and if it is refused
	// the failover has its turn.
	c.wished = c.moving()
	switch {
	case c.wished != nil:
		w.Release = c.wishRelease(leasev1.CauseMove, c.wished.to, "MoveRequested", "")
	case c.need != nil && c.need.Arbitration():
		// No failure: no threshold counts it. Who took it and lost too hands it on.
		w.Release = c.wishRelease(leasev1.CauseArbitration, "", string(c.need.Reason), c.need.Resource)
	case c.need != nil:
		w.Release = c.wishRelease(leasev1.CauseFailover, "", string(c.need.Reason), c.need.Resource)
	}
	// A hand-over that has begun is finished: stopped resources need nothing any
	// more, which must not bring them online here again.
	s := c.owner.Snapshot()
	if c.release != nil && (s.Role == ownership.Offlining || s.Role == ownership.Owner && !s.Granted && c.wish.Hold) {
		w.Release = c.release
	}
	c.release = w.Release
	return w
}

// wantOnline is what the plan says, or locked mode keeps, until the group is deleted. In
// a namespace that is being deleted no plan can say that, and where kubelet is dead nobody
// asks the pod to end.
func (c *Core) wantOnline() bool {
	return (c.plan.Online || len(c.keptOnline()) > 0) && (c.group == nil || !c.group.Gone && !c.group.Deleting)
}

// wishRelease is a release as it was first wished: when it was detected does not
// change while it waits.
func (c *Core) wishRelease(cause leasev1.Cause, to, reason, resource string) *ownership.Release {
	r := &ownership.Release{Cause: cause, To: to, Reason: c.releaseReason(reason, resource)}
	if old := c.release; old != nil && old.Cause == cause && old.To == to &&
		old.Reason.Reason == r.Reason.Reason && old.Reason.Resource == r.Reason.Resource {
		return old
	}
	return r
}

// releaseReason tells the next owner how the interruption began.
func (c *Core) releaseReason(reason, resource string) leasev1.Reason {
	r := leasev1.Reason{Reason: reason}
	if resource != "" {
		r.Resource = c.resourceName(resource)
	}
	r.DetectedTime = c.story.interruptedAt(c.now)
	return r
}

const (
	// unfitActive is why a host is not ready on which something runs that nobody brought online;
	// unfitElsewhere, why the others are not until that is gone.
	unfitActive    = "UnexpectedlyActive"
	unfitElsewhere = "ActiveElsewhere"
)

// strayOn is a host other than self that may take the group and says that something runs there
// which nobody brought online, or "". Nothing is brought online anywhere until that is gone
// (Ownership section 8). Of a host that is barred, or not there any more, it is not known.
func strayOn(s v1alpha1.ResourceGroupStatus, self string) string {
	if s.Succession == nil {
		return ""
	}
	for _, one := range slices.Concat(s.Succession.Line, s.Succession.Reserve) {
		if h := s.Hosts[one.PodName]; h.PodUID == one.PodUID && h.PodUID != self && h.Reason == unfitActive {
			return one.PodName
		}
	}
	return ""
}

// unfit says why this host could not own the group; empty if it can.
func (c *Core) unfit() string {
	// First, because it is for the other hosts as well.
	for _, r := range c.snapshot.Resources {
		if r.UnexpectedlyActive {
			return unfitActive
		}
	}
	switch {
	case c.plan == nil:
		return "NoPlan"
	case c.draining != (instant.Instant{}):
		return "Draining"
	}
	for _, name := range c.plan.Containers {
		if k := c.container(name); !k.connected {
			return "ContainerMissing"
		}
	}
	for _, k := range c.snapshot.Containers {
		if k.StopFailed {
			return "StopFailed"
		}
		if !k.Up && c.planned(k.Name) {
			return unfitProvider
		}
	}
	for _, r := range c.snapshot.Resources {
		if !r.Opened && !r.Removed {
			return "NotOpened"
		}
	}
	if c.group != nil && !c.story.Owning && strayOn(c.group.Status, c.config.PodUID) != "" {
		return unfitElsewhere
	}
	return ""
}

func (c *Core) planned(container string) bool {
	return slices.Contains(c.plan.Containers, container)
}

// unstopped names the containers of which it could not be proven that what was to
// stop there has stopped.
func (c *Core) unstopped() []string {
	var left []string
	for _, k := range c.snapshot.Containers {
		if k.StopFailed {
			left = append(left, "container "+k.Name)
		}
	}
	return left
}

func (c *Core) successionOf(g Group) ownership.Succession {
	s := ownership.Succession{OwnerEpoch: c.endpointEpoch}
	if g.Status.Owner != nil {
		s.OwnerEpoch = max(s.OwnerEpoch, g.Status.Owner.Epoch)
	}
	bar := func(uid, reason string) {
		if s.Barred == nil {
			s.Barred = map[string]string{}
		}
		s.Barred[uid] = reason
	}
	if list := g.Status.Succession; list != nil {
		s.Line, s.Reserve = uids(list.Line), uids(list.Reserve)
		for _, b := range list.Barred {
			bar(b.PodUID, b.Reason)
		}
	}
	for _, name := range sortedKeys(g.Status.Hosts) {
		if h := g.Status.Hosts[name]; h.Ready {
			s.Ready = append(s.Ready, h.PodUID)
		}
	}
	// An owner does not give the group up to hosts that will not take it.
	if stray := strayOn(g.Status, c.config.PodUID); stray != "" {
		for _, uid := range slices.Concat(s.Line, s.Reserve) {
			bar(uid, unfitActive+" on "+stray)
		}
	}
	return s
}

func uids(list []v1alpha1.Successor) []string {
	out := make([]string, 0, len(list))
	for _, s := range list {
		out = append(out, s.PodUID)
	}
	return out
}

func (c *Core) slowestTerminate() time.Duration {
	slowest := time.Duration(0)
	if c.plan != nil {
		for _, r := range c.plan.Resources {
			slowest = max(slowest, ms(r.TerminateTimeout))
		}
	}
	return slowest
}
