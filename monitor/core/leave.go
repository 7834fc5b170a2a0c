// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core

import (
	"time"

	"github.com/understudy-dev/understudy/monitor/engine"
	"github.com/understudy-dev/understudy/monitor/instant"
	"github.com/understudy-dev/understudy/monitor/ownership"
)

// callPatience is how long a monitor that is replaced waits for the ends of control
// calls, and until they are stored: nobody would know the outcome after it.
const callPatience = 10 * time.Second

// end: this process itself was asked to end. Kubelet asks the monitor last when it
// ends a pod. So as long as a supervised container is there, the monitor alone is
// being replaced, and nothing is handed over: what runs goes on under its guard.
func (c *Core) end(reason string) {
	c.asked = true
	if !c.anyConnected() {
		c.drain(reason)
		return
	}
	c.askedAt, c.validAsked = c.now, c.owner.Snapshot().ValidUntil
}

// replaceable says that the next monitor may come: this one owns nothing, or has
// just renewed, so that nearly all of the guard is left for the change.
func (c *Core) replaceable() bool {
	s := c.owner.Snapshot()
	switch s.Role {
	case ownership.Observer:
		return true
	case ownership.Owner:
		return s.ValidUntil > c.validAsked && (!c.callUnderWay() || c.now.HolderElapsed(c.askedAt) > callPatience)
	}
	return false
}

func (c *Core) callUnderWay() bool {
	for _, k := range c.calls {
		if k.given && k.queued == "" {
			return true
		}
	}
	return false
}

// drain begins the hand-over of a host that goes away. There is no way back.
func (c *Core) drain(reason string) {
	if c.draining != (instant.Instant{}) {
		return
	}
	c.draining = c.now
	// Kubelet has counted since the first request; but if that time is over and the pod
	// lives, it was not the pod that was to end.
	if c.drained != (instant.Instant{}) && c.now.Boot-c.drained.Boot < int64(ms(c.config.GraceMilliseconds)) {
		c.draining = c.drained
	}
	c.changed = true
	c.emit(Effect{Journal: &Journal{}})
	c.toOwner(ownership.Event{Drain: &ownership.Drain{Reason: c.releaseReason(reason, "")}})
}

// rushAt is when an orderly stop has used up its time: what is left of the grace
// period is needed to terminate (Ownership section 8). 0: never.
func (c *Core) rushAt() int64 {
	if c.draining == (instant.Instant{}) || c.rushed || c.config.GraceMilliseconds == 0 {
		return 0
	}
	return c.draining.Boot + int64(ms(c.config.GraceMilliseconds-rushMilliseconds)-c.slowestTerminate())
}

// rushMilliseconds of the grace period are left for the kill and its proof.
const rushMilliseconds = 2000

// leave terminates when the grace period runs out, and lets the containers end
// once nothing is owned and nothing runs.
func (c *Core) leave() {
	if c.draining == (instant.Instant{}) {
		if c.asked && c.replaceable() {
			c.finishLife()
		}
		return
	}
	if at := c.rushAt(); at != 0 && at <= c.now.Boot {
		c.rushed = true
		c.toEngine(engine.Event{Revoked: &engine.Revoked{
			Mode: engine.Emergency, Reason: "GracePeriod",
			Cause: engine.StateChangeShutdown, Context: engine.ContextDrain,
		}})
	}
	// A monitor that holds nothing and hears of no container has nothing to wait
	// for: what may run somewhere is bound by its guard, not by this process.
	role := c.owner.Snapshot().Role
	lost := (role == ownership.Starting || role == ownership.Clearing) && !c.anyConnected()
	if !c.exiting && (role == ownership.Observer || lost) {
		c.exiting = true
		for _, name := range c.config.Containers {
			c.emit(Effect{Exit: &Exit{Container: name}})
		}
	}
}

// depart ends the life of a host that goes away once its last words are stored: with the
// pod all else that knows them goes.
func (c *Core) depart() {
	if c.exiting && c.asked && !c.anyConnected() && !c.done && !c.waitWords(c.documents.unstored()) {
		c.finishLife()
	}
}

// finishLife ends this life of the monitor: for good if the pod ends; if only its
// containers did, another life begins with the new ones.
func (c *Core) finishLife() {
	if !c.done {
		c.done = true
		c.emit(Effect{Done: &Done{}})
	}
}
