// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"strings"
	"time"

	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/engine"
	"github.com/understudy-dev/understudy/monitor/ownership"
)

// codeHostNotAvailable is ERROR_HOST_NODE_NOT_AVAILABLE (RA section 3.6).
const codeHostNotAvailable engine.Code = 5005

// maxCalls is how many calls of the group a host keeps with their input, which may have
// 64 KiB each and waits for as long as there is no owner. More are refused.
const maxCalls = 128

// call is one ControlCall of the group that is not finished.
type call struct {
	seen ControlCall
	// given: the engine knows it, or it is a move that was taken up.
	given bool
	// crowded: too many others wait, and its input is not kept.
	crowded bool
	// startBy is until when it may be claimed, CLOCK_BOOTTIME; 0: for as long as it waits.
	startBy int64
	// claimed: its claim is stored.
	claimed bool
	// start is when it was claimed, by the wall clock.
	start time.Time
	// deadline is CLOCK_BOOTTIME, 0 until it is claimed; until is the same by the wall
	// clock.
	deadline int64
	until    time.Time
	// epoch under which it is claimed, or ended.
	epoch int64
	// to is the pod UID that a move goes to; empty: the next in line.
	to string
	// moving: the move is claimed and wished.
	moving bool
	// queued says for whom the move waits; empty: for nobody.
	queued string
	// finish is its outcome, until that is stored.
	finish *CallFinish
}

func (c *Core) takeCall(in ControlCall) {
	// The name is for the results on the resource, the UID makes it unique.
	id := in.Name + "/" + in.UID
	if in.Gone || in.Finished {
		c.withdrawCall(id)
		return
	}
	k := c.calls[id]
	if k == nil {
		k = &call{crowded: in.Owner == nil && len(c.calls) >= maxCalls, startBy: c.startBy(in)}
		c.calls[id] = k
	}
	if k.crowded {
		in.Input, in.InputBytes = nil, nil
	}
	k.seen = in
	// The outcome may be known since before the restart of this monitor.
	if f, ok := c.finishes[id]; ok {
		delete(c.finishes, id)
		c.finish(f)
	}
}

// forgetCall: its outcome is stored.
func (c *Core) forgetCall(id string) {
	delete(c.calls, id)
	delete(c.documents, callKey(id))
	c.toEngine(engine.Event{Recorded: &engine.Recorded{ID: id}})
}

// withdrawCall: it was deleted, or its outcome stands, whoever wrote it.
func (c *Core) withdrawCall(id string) {
	delete(c.calls, id)
	delete(c.documents, callKey(id))
	delete(c.finishes, id)
	c.toEngine(engine.Event{Withdrawn: &engine.Withdrawn{ID: id}})
}

// callOutcomes takes up what nobody has claimed, and ends what a lost host left.
func (c *Core) callOutcomes() {
	epoch, owning := c.story.Epoch, c.story.Owning
	for _, id := range sortedKeys(c.calls) {
		k := c.calls[id]
		owner, named := k.seen.Owner, k.seen.HostName != ""
		switch {
		case k.given || k.finish != nil:
		case c.plan == nil:
			// What it is about is not known yet.
		case named && owner == nil:
			c.hostCall(id, k)
		case named && owner.PodUID == c.config.PodUID, owning && owner == nil:
			c.giveCall(id, k)
		case named || !owning:
			// Another host's, which ends it; or the manager, if that is lost.
		case owner.PodUID == c.config.PodUID && owner.Epoch == epoch:
			// Claimed by an earlier life of this monitor: the engine knows whether
			// it was begun, from its journal; a move is begun again.
			c.giveCall(id, k)
		case owner.Epoch < epoch:
			c.inheritCall(id, k)
		}
	}
}

func (c *Core) giveCall(id string, k *call) {
	k.given = true
	if c.tooLate(k) {
		c.notStarted(id, k)
		return
	}
	if k.crowded && k.seen.Owner == nil {
		c.endCall(id, v1alpha1.ReasonRefused, engine.CodeGroupBusy, fmt.Sprintf(
			"%d calls of the group waited before this one: ask again when they are finished", maxCalls))
		return
	}
	if problem := c.badInput(k); problem != "" && k.seen.Owner == nil {
		c.endCall(id, v1alpha1.ReasonRefused, engine.CodeInvalidParameter, problem)
		return
	}
	switch k.handOver() {
	case engine.CodeNameMove:
		c.giveMove(id, k)
		return
	case engine.CodeNameCancel:
		c.claim(id)
		return
	}
	resource := ""
	for _, r := range c.snapshot.Resources {
		if r.Spec.Name == k.seen.ResourceName && (!r.Removed || k.seen.Owner != nil) {
			resource = r.Spec.UID
		}
	}
	if resource == "" && k.seen.ResourceName != "" && k.seen.Owner != nil {
		c.endCall(id, v1alpha1.ReasonOutcomeUnknown, engine.CodeOperationAborted, "the resource "+k.seen.ResourceName+
			" is not there any more, and an earlier life of this monitor had begun the call; it is not run again")
		return
	}
	if resource == "" && k.seen.ResourceName != "" {
		c.endCall(id, v1alpha1.ReasonRefused, engine.CodeResourceNotFound,
			"group "+c.config.Group+" has no accepted resource "+k.seen.ResourceName)
		return
	}
	name, number := controlCode(k.seen.Code)
	c.toEngine(engine.Event{Control: &engine.Control{
		ID: id, Resource: resource, TypeName: k.seen.TypeName, Name: name, Code: number, Input: k.input(),
		Read: k.seen.Read, User: k.seen.AsUser, Timeout: ms(k.seen.TimeoutMilliseconds), Claimed: k.seen.Owner != nil,
	}})
}

// inheritCall ends a call that an earlier owner claimed. A move is done when the
// group is here; of any other call nobody knows the outcome, and it is not run
// again.
func (c *Core) inheritCall(id string, k *call) {
	if k.handOver() != engine.CodeNameMove {
		c.endCall(id, v1alpha1.ReasonOutcomeUnknown, engine.CodeOperationAborted,
			"host "+k.seen.Owner.PodName+
				" was lost, or handed over, while the call was under way; it is not run again")
		return
	}
	if !c.story.Online {
		return
	}
	if d := k.seen.Destination; d != "" && d != c.config.PodName && d != c.config.NodeName {
		c.endCall(id, v1alpha1.ReasonFailed, engine.CodeHostNodeNotOwner,
			"the group is online on "+c.config.PodName+" instead")
		return
	}
	c.endCall(id, v1alpha1.ReasonSucceeded, engine.CodeSuccess, "the group is online on "+c.config.PodName)
}

func (c *Core) giveMove(id string, k *call) {
	if d := k.seen.Destination; d != "" {
		to, problem := c.destination(d)
		if problem != "" {
			c.endCall(id, v1alpha1.ReasonRefused, codeHostNotAvailable, problem)
			return
		}
		if to == c.config.PodUID {
			c.endCall(id, v1alpha1.ReasonSucceeded, engine.CodeSuccess, "the group is there already")
			return
		}
		k.to = to
	}
	if c.admitMove(id, k) {
		c.claim(id)
	}
}

// destination finds a host by the name of its pod or node.
func (c *Core) destination(name string) (uid, problem string) {
	if c.group == nil || c.group.Status.Succession == nil {
		return "", "the hosts of the group are not known yet: try again"
	}
	s := c.group.Status.Succession
	for _, list := range [][]v1alpha1.Successor{s.Line, s.Reserve} {
		for _, h := range list {
			if h.PodName == name || h.NodeName == name {
				return h.PodUID, ""
			}
		}
	}
	for _, b := range s.Barred {
		if b.PodName == name {
			return "", "host " + name + " is barred: " + b.Reason
		}
	}
	return "", "the group has no host " + name + ": name one of its host pods, or the node of one"
}

// claim makes it durable that this host runs the call, before it is run.
func (c *Core) claim(id string) {
	k := c.calls[id]
	if k == nil {
		c.toEngine(engine.Event{Claimed: &engine.Claimed{ID: id}})
		return
	}
	k.start = c.now.WallTime()
	left := ms(k.seen.TimeoutMilliseconds)
	if !k.seen.Start.IsZero() { // claimed by an earlier life of this monitor
		left = min(left, max(0, k.seen.Start.Add(left).Sub(k.start)))
		k.start = k.seen.Start
	}
	k.deadline = c.now.Boot + int64(left)
	k.until, k.epoch = c.now.WallTime().Add(left).Truncate(time.Microsecond), c.callEpoch(k)
	c.documents.set(callKey(id), Write{Call: c.callDocument(k)}, callClaimed)
}

// callClaimed marks the document of a call that is under way.
const callClaimed = "claimed"

func (c *Core) callDocument(k *call) *CallDocument {
	return &CallDocument{
		Name: k.seen.Name, UID: k.seen.UID, Start: k.start, Queued: k.queued, Finish: k.finish, Deadline: k.until,
		Unclaimed: k.finish != nil && k.seen.Owner == nil,
		Owner: v1alpha1.ControlCallOwner{
			Epoch: k.epoch, PodUID: c.config.PodUID, PodName: c.config.PodName, NodeName: c.config.NodeName,
		},
	}
}

// callWritten takes in whether a claim, or an outcome, is stored.
func (c *Core) callWritten(id string, w Written) {
	k := c.calls[id]
	if k == nil {
		return
	}
	doc, stored := c.documents[w.Key], w.Outcome == WriteDone
	k.claimed = k.claimed || stored
	switch {
	case k.finish != nil && w.Outcome == WriteSuperseded && doc.sent.Call.Unclaimed:
		c.dropCall(id)
		c.toEngine(engine.Event{Recorded: &engine.Recorded{ID: id}})
	case k.finish != nil && (stored && doc.done == doc.version || w.Outcome == WriteSuperseded):
		c.forgetCall(id)
	case k.finish != nil:
	case w.Outcome != WriteSuperseded && c.tooLate(k):
		c.toEngine(engine.Event{Claimed: &engine.Claimed{ID: id}})
		c.notStarted(id, k)
	case k.handOver() == "":
		if stored || w.Outcome == WriteSuperseded {
			c.toEngine(engine.Event{Claimed: &engine.Claimed{ID: id, OK: stored}})
		}
		if w.Outcome == WriteSuperseded {
			c.dropCall(id)
		}
	case stored && k.handOver() == engine.CodeNameCancel:
		c.cancelMoves(id)
	case stored:
		k.moving = true
	case w.Outcome == WriteSuperseded:
		c.dropCall(id)
	}
}

// dropCall: it is another host's, as far as we know. The watch brings it again, unless it
// was faster than the answer.
func (c *Core) dropCall(id string) {
	k := c.calls[id]
	delete(c.calls, id)
	delete(c.documents, callKey(id))
	if k.seen.Owner != nil {
		c.calls[id] = &call{seen: k.seen}
	}
}

// finish is the engine's word on a call.
func (c *Core) finish(f engine.Finish) {
	reason := v1alpha1.ReasonFailed
	switch f.Kind {
	case engine.FinishCompleted:
		if f.Status == engine.CodeSuccess {
			reason = v1alpha1.ReasonSucceeded
		}
	case engine.FinishRefused:
		reason = v1alpha1.ReasonRefused
	case engine.FinishTimedOut:
		reason = v1alpha1.ReasonTimedOut
	case engine.FinishUnknown:
		reason = v1alpha1.ReasonOutcomeUnknown
	}
	k := c.calls[f.ID]
	if k == nil {
		c.finishes[f.ID] = f
	} else {
		if problem := c.badOutput(k, f); problem != "" {
			f.Message = cut(problem + ": " + f.Message)
		}
		k.finish = c.outcome(reason, f.Status, f.Message)
		k.finish.Output, k.finish.BytesReturned = f.Output, f.BytesReturned
		c.storeEnd(f.ID, k)
	}
	c.changed = true
}

func (c *Core) endCall(id, reason string, code engine.Code, message string) {
	k := c.calls[id]
	k.moving = false
	k.finish = c.outcome(reason, code, cut(message))
	c.storeEnd(id, k)
}

// storeEnd has the outcome written, and kept for the group if it is the group's.
func (c *Core) storeEnd(id string, k *call) {
	k.given, c.news = true, true
	if k.epoch == 0 {
		k.epoch = c.callEpoch(k)
	}
	if k.seen.ResourceName == "" && k.seen.TypeName == "" && c.story.Owning {
		c.story.called(k)
		c.emit(Effect{Journal: &Journal{}})
	}
	c.documents.set(callKey(id), Write{Call: c.callDocument(k)}, urgent)
}

func (c *Core) outcome(reason string, code engine.Code, message string) *CallFinish {
	return &CallFinish{
		Reason: reason, StatusCode: int64(code), StatusName: code.String(), Message: message, Time: c.now.WallTime(),
	}
}

// moving is the move that is wished for now, nil if there is none. One at a time:
// the others wait until the group has come to rest.
func (c *Core) moving() *call {
	for _, id := range sortedKeys(c.calls) {
		if k := c.calls[id]; c.mayMove(k) {
			return k
		}
	}
	return nil
}

// moves ends a move that is refused, or that took too long. One that is carried
// out is ended by the new owner.
func (c *Core) moves() {
	s := c.owner.Snapshot()
	for _, id := range sortedKeys(c.calls) {
		k := c.calls[id]
		if !k.moving || k.finish != nil {
			continue
		}
		switch {
		case s.Role == ownership.Owner && s.NotReleased != "" && k == c.wished:
			c.endCall(id, v1alpha1.ReasonRefused, codeHostNotAvailable, s.NotReleased)
		case s.Role == ownership.Owner && c.now.Boot >= k.deadline && k.queued != "":
			c.endCall(id, v1alpha1.ReasonTimedOut, engine.CodeCallTimedOut, "waited to its end: "+k.queued)
		case s.Role == ownership.Owner && c.now.Boot >= k.deadline:
			c.endCall(id, v1alpha1.ReasonTimedOut, engine.CodeCallTimedOut, "the group could not be released in time")
		case c.stopFailed && c.now.Boot >= k.deadline:
			c.endCall(id, v1alpha1.ReasonTimedOut, engine.CodeCallTimedOut,
				"the stop is not proven, so the group is kept; it goes on: "+strings.Join(c.unstopped(), ", "))
		case s.Role == ownership.Owner:
			c.queueMove(id, k)
		}
	}
}

// regiveMoves: the epoch is over, and no move is wished for any more. Whoever owns
// the group next judges what became of them, also if it is this host.
func (c *Core) regiveMoves() {
	for _, k := range c.calls {
		if k.moving && k.finish == nil {
			k.given, k.moving = false, false
		}
	}
}

func (c *Core) nextCallDeadline() int64 {
	next := int64(0)
	for _, k := range c.calls {
		if k.moving && k.finish == nil && k.deadline > c.now.Boot && (next == 0 || k.deadline < next) {
			next = k.deadline
		}
	}
	return next
}

func callKey(id string) string { return "call/" + id }
