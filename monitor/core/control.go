// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/engine"
	"github.com/understudy-dev/understudy/monitor/ownership"
)

// codeGroupMoving is ERROR_CLUSTER_GROUP_MOVING (RA section 3.6).
const codeGroupMoving engine.Code = 5908

// controlCode reads spec.code: a name, or a number as text, "0x01000029" or "16777257".
func controlCode(text string) (name string, number uint32) {
	digits, base := text, 10
	if hex, ok := strings.CutPrefix(text, "0x"); ok {
		digits, base = hex, 16
	}
	n, err := strconv.ParseUint(digits, base, 32)
	if err != nil {
		return text, 0
	}
	return "", uint32(n)
}

// handOver is MOVE or CANCEL of the group, which the engine has no part in; empty for
// any other call.
func (k *call) handOver() string {
	if k.seen.ResourceName != "" || k.seen.TypeName != "" {
		return ""
	}
	name, number := controlCode(k.seen.Code)
	if c := engine.CodeOf(engine.TargetGroup, name, number); c != nil && c.How == engine.HowOwnership {
		return c.Name
	}
	return ""
}

// input is what the provider gets.
func (k *call) input() []byte {
	if len(k.seen.InputBytes) > 0 {
		return k.seen.InputBytes
	}
	return k.seen.Input
}

// observedEpoch is the largest that this host knows of, 0 if it knows of none.
func (c *Core) observedEpoch() int64 {
	epoch := c.story.Epoch
	if c.group != nil && c.group.Status.Owner != nil {
		epoch = max(epoch, c.group.Status.Owner.Epoch)
	}
	return epoch
}

// callEpoch is under which epoch a call is claimed, or ended: a standby has none of its
// own, and claims by the one that it observed.
func (c *Core) callEpoch(k *call) int64 {
	switch {
	case k.seen.Owner != nil && k.seen.Owner.PodUID == c.config.PodUID && k.seen.HostName != "":
		return k.seen.Owner.Epoch
	case k.seen.HostName != "":
		return c.observedEpoch()
	}
	return c.story.Epoch
}

// hostCall is a call that names its host, and that nobody has claimed: exactly that host
// does, as owner or as standby. If there is none, the owner says so.
func (c *Core) hostCall(id string, k *call) {
	name := k.seen.HostName
	switch {
	case name == c.config.PodName || name == c.config.NodeName:
		if c.plan != nil && c.observedEpoch() > 0 {
			c.giveCall(id, k)
		}
	case c.story.Owning && c.group != nil && c.group.Status.Succession != nil && !c.isHost(name):
		_, problem := c.destination(name)
		c.endCall(id, v1alpha1.ReasonRefused, codeHostNotAvailable, problem)
	}
}

// isHost: there is a host by that name of a pod or node that is not known to be lost.
func (c *Core) isHost(name string) bool {
	for _, b := range c.group.Status.Succession.Barred {
		if b.PodName == name {
			return false
		}
	}
	for pod, h := range c.group.Status.Hosts {
		if pod == name || h.NodeName == name {
			return true
		}
	}
	_, problem := c.destination(name)
	return problem == ""
}

// cancelMoves carries out CANCEL: every move that has not begun ends (RA section 4.6,
// CancelClusterGroupOperation). One that has begun is not undone: move the group back.
func (c *Core) cancelMoves(id string) {
	var ended []string
	begun := ""
	for _, other := range sortedKeys(c.calls) {
		k := c.calls[other]
		switch {
		case k.handOver() != engine.CodeNameMove || k.finish != nil:
		case k == c.wished && c.owner.Snapshot().Role != ownership.Owner,
			k.seen.Owner != nil && k.seen.Owner.Epoch < c.story.Epoch: // it is how the group came here
			begun = k.seen.Name
		default:
			ended = append(ended, k.seen.Name)
			c.endCall(other, v1alpha1.ReasonRefused, engine.CodeOperationAborted, "cancelled by "+c.calls[id].seen.Name)
		}
	}
	switch {
	case len(ended) > 0:
		c.endCall(id, v1alpha1.ReasonSucceeded, engine.CodeSuccess, "ended: "+strings.Join(ended, ", "))
	case begun != "":
		c.endCall(id, v1alpha1.ReasonFailed, codeGroupMoving,
			begun+" has begun, and is not undone: move the group back afterwards")
	default:
		c.endCall(id, v1alpha1.ReasonFailed, engine.CodeInvalidState, "no move of the group waits")
	}
}

// extendCalls shows the deadlines that providers moved.
func (c *Core) extendCalls() {
	for _, s := range c.snapshot.Controls {
		k := c.calls[s.Control.ID]
		if k == nil || k.finish != nil || !s.Extended || s.Phase != engine.ControlRunning || s.Deadline == k.deadline {
			continue
		}
		k.deadline = s.Deadline
		k.until = c.now.Add(time.Duration(s.Deadline - c.now.Boot)).WallTime().Truncate(time.Microsecond)
		if k.epoch == 0 { // claimed by an earlier life of this monitor
			k.epoch = c.callEpoch(k)
		}
		c.documents.set(callKey(s.Control.ID), Write{Call: c.callDocument(k)}, callClaimed)
	}
}

// badInput says what is wrong with the input of a call; empty: nothing.
func (c *Core) badInput(k *call) string {
	field, n := "spec.input", max(len(k.seen.Input), k.seen.InputSize)
	if len(k.seen.InputBytes) > 0 {
		field, n = "spec.inputBytes", len(k.seen.InputBytes)
	}
	if n > v1alpha1.MaxControlInput {
		as := " as JSON"
		if len(k.seen.InputBytes) > 0 {
			as = ""
		}
		return fmt.Sprintf("%s has %d bytes%s, more than %d: shorten it in another call, or name a file that holds it",
			field, n, as, v1alpha1.MaxControlInput)
	}
	declared := c.declaredCode(k)
	switch {
	case declared == nil || len(declared.InputSchema) == 0:
		return ""
	case len(k.seen.InputBytes) > 0:
		return "spec.inputBytes: the code " + declared.Name + " takes JSON: use spec.input in another call"
	}
	input := k.seen.Input
	if len(input) == 0 {
		input = []byte("{}")
	}
	return misfit(declared.InputSchema, input, "spec.input")
}

// badOutput says in what the output of a code that ran is not what its type declares.
func (c *Core) badOutput(k *call, f engine.Finish) string {
	if f.Kind != engine.FinishCompleted || f.Status != engine.CodeSuccess {
		return ""
	}
	declared := c.declaredCode(k)
	if declared == nil || len(declared.OutputSchema) == 0 {
		return ""
	}
	return misfit(declared.OutputSchema, f.Output, "status.output")
}
