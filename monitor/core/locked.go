// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"strings"

	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/engine"
	"github.com/understudy-dev/understudy/monitor/ownership"
)

// locks is what core remembers of locked mode.
type locks struct {
	// entered is when each locked resource entered it, by UID: CLOCK_BOOTTIME.
	entered map[string]int64
	// refused: people were told that the group is kept online.
	refused bool
}

// seeLocks throws moves out of the queue when a resource enters locked mode without the
// flag that leaves them there, and tells once that the group does not go offline.
func (c *Core) seeLocks() {
	entered, by := map[string]int64{}, []string(nil)
	for _, r := range c.snapshot.Locked() {
		since := r.LockedMode.Time.Boot
		entered[r.Spec.UID] = since
		if was, ok := c.locks.entered[r.Spec.UID]; (!ok || was != since) &&
			r.LockedMode.Flags&engine.LockedModeKeepMoveQueue == 0 {
			by = append(by, r.Spec.Name)
		}
	}
	c.locks.entered = entered
	for _, id := range sortedKeys(c.calls) {
		if k := c.calls[id]; len(by) > 0 && k.moving && k.queued != "" && k.finish == nil {
			c.endCall(id, v1alpha1.ReasonRefused, engine.CodeLocked,
				"thrown out of the queue, because "+inLockedMode(by)+": ask again")
		}
	}
	kept := c.keptOnline()
	if len(kept) > 0 && !c.locks.refused {
		c.log(engine.LevelWarning, v1alpha1.ReasonLocked, "the group "+notOffline(kept))
	}
	c.locks.refused = len(kept) > 0
}

// keptOnline are the locked resources for which the group does not go offline although
// it is wanted so. Only what the owner runs counts. The deletion of the group goes on.
func (c *Core) keptOnline() []string {
	phase := c.snapshot.Phase
	if c.plan == nil || c.plan.Online || c.plan.IgnoreLockedMode || phase != engine.Owner && phase != engine.Undecided {
		return nil
	}
	var names []string
	for _, r := range c.snapshot.Locked() {
		if !r.Spec.IgnoreLockedMode {
			names = append(names, r.Spec.Name)
		}
	}
	return names
}

// lockedFor are the locked resources that keep a move from being begun.
func (c *Core) lockedFor(k *call) []string {
	if k.seen.IgnoreLockedMode {
		return nil
	}
	var names []string
	for _, r := range c.snapshot.Locked() {
		names = append(names, r.Spec.Name)
	}
	return names
}

// admitMove lets a move wait, or refuses it, while a resource is locked; it reports
// whether the move goes on to be claimed.
func (c *Core) admitMove(id string, k *call) bool {
	locked := c.lockedFor(k)
	if len(locked) > 0 && !k.seen.Queue {
		c.refuseLocked(id, locked)
		return false
	}
	k.queued = queuedFor(locked)
	return true
}

// queueMove has a claimed move that has not begun wait as long as it must: a resource
// may have been locked meanwhile, or not be so any more.
func (c *Core) queueMove(id string, k *call) {
	locked := c.lockedFor(k)
	if len(locked) > 0 && !k.seen.Queue {
		c.refuseLocked(id, locked)
		return
	}
	if q := queuedFor(locked); q != k.queued {
		k.queued, c.news = q, true
		c.documents.set(callKey(id), Write{Call: c.callDocument(k)}, callClaimed)
	}
}

func (c *Core) refuseLocked(id string, locked []string) {
	c.endCall(id, v1alpha1.ReasonRefused, engine.CodeLocked,
		inLockedMode(locked)+": wait until that ends, or set spec.queue or spec.ignoreLockedMode in another call")
}

// movesQueued says that a move waits.
func (c *Core) movesQueued() bool {
	for _, k := range c.calls {
		if k.moving && k.queued != "" && k.finish == nil {
			return true
		}
	}
	return false
}

// mayMove says that a move can begin: the ownership is whole, and nothing is locked.
func (c *Core) mayMove(k *call) bool {
	return k.moving && k.finish == nil && (len(c.lockedFor(k)) == 0 || c.owner.Snapshot().Role != ownership.Owner)
}

func queuedFor(locked []string) string {
	if len(locked) == 0 {
		return ""
	}
	return fmt.Sprintf("%s (%d): %s", engine.CodeGroupQueued, engine.CodeGroupQueued, inLockedMode(locked))
}

func notOffline(locked []string) string {
	return fmt.Sprintf("does not go offline (%s): %s; it does once that ends, or with spec.ignoreLockedMode",
		engine.CodeLocked, inLockedMode(locked))
}

// inLockedMode names the locked resources, the first of them at least.
func inLockedMode(names []string) string {
	text := strings.Join(names[:min(len(names), maxNames)], ", ")
	if more := len(names) - maxNames; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	if len(names) == 1 {
		return text + " is in locked mode"
	}
	return text + " are in locked mode"
}

// resourceLocked is the condition of a resource that said something of its locked mode.
func resourceLocked(r engine.ResourceSnapshot) Condition {
	m := r.LockedMode
	switch {
	case m == nil:
		return Condition{Type: v1alpha1.ConditionLocked, Absent: true}
	case !m.Locked:
		return Condition{Type: v1alpha1.ConditionLocked, Reason: v1alpha1.ReasonUnlocked}
	}
	return Condition{
		Type: v1alpha1.ConditionLocked, Status: true, Reason: v1alpha1.ReasonLocked,
		Message: fmt.Sprintf("The provider's reason is %d: moves and going offline are refused", m.Reason),
	}
}

// groupLocked is the condition of the group.
func (c *Core) groupLocked() Condition {
	locked := c.snapshot.Locked()
	if len(locked) == 0 {
		for _, r := range c.snapshot.Resources {
			if r.LockedMode != nil {
				return Condition{Type: v1alpha1.ConditionLocked, Reason: v1alpha1.ReasonUnlocked}
			}
		}
		return Condition{Type: v1alpha1.ConditionLocked, Absent: true}
	}
	names := make([]string, 0, len(locked))
	for _, r := range locked {
		names = append(names, r.Spec.Name)
	}
	message := inLockedMode(names) + ": moves and going offline are refused"
	if kept := c.keptOnline(); len(kept) > 0 {
		message = "The group " + notOffline(kept)
	}
	return Condition{Type: v1alpha1.ConditionLocked, Status: true, Reason: v1alpha1.ReasonLocked, Message: message}
}

// signalled are the conditions that follow from the provider's signals of failures.
func signalled(r engine.ResourceSnapshot) []Condition {
	embedded := Condition{Type: v1alpha1.ConditionEmbeddedFailure, Absent: true}
	if r.StatusInformation&engine.StatusEmbeddedFailure != 0 && r.Spec.EmbeddedFailureAction != engine.EmbeddedNone {
		embedded = Condition{
			Type: embedded.Type, Status: true, Reason: v1alpha1.ReasonEmbeddedFailure,
			Message: "The provider says that what the resource hosts has failed",
		}
	}
	network := Condition{Type: v1alpha1.ConditionNetworkLost, Absent: true}
	if r.StatusInformation&engine.StatusNetworkFailure != 0 {
		network = Condition{
			Type: network.Type, Status: true, Reason: v1alpha1.ReasonNetworkLoss,
			Message: "The provider says that the resource has no network on this host",
		}
	}
	return []Condition{embedded, network}
}
