// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core

import (
	"time"

	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/engine"
)

// startBy is the end of the time to claim a call, by the clock that goes on evenly.
func (c *Core) startBy(in ControlCall) int64 {
	if in.StartBy.IsZero() {
		return 0
	}
	return max(c.now.Boot+int64(in.StartBy.Sub(c.now.WallTime())), 1)
}

// tooLate: its time to be claimed is over, and it is not.
func (c *Core) tooLate(k *call) bool {
	return k.startBy != 0 && k.startBy <= c.now.Boot && !k.claimed && k.seen.Owner == nil
}

// lateClaims ends the calls whose claims would be sent anew after their time. One that left in
// time and is stored counts, whenever that is heard.
func (c *Core) lateClaims() {
	for _, id := range sortedKeys(c.calls) {
		k, doc := c.calls[id], c.documents[callKey(id)]
		if doc != nil && doc.want.Call.Finish == nil && doc.flying == 0 && doc.done != doc.version && c.tooLate(k) {
			c.toEngine(engine.Event{Claimed: &engine.Claimed{ID: id}})
			c.notStarted(id, k)
		}
	}
}

// notStarted ends it. Its claim may be stored after all, and nobody hear of it: without that
// answer nothing was begun, and if it is another host's, that one decides.
func (c *Core) notStarted(id string, k *call) {
	k.start, k.until = time.Time{}, time.Time{}
	c.endCall(id, v1alpha1.ReasonNotStarted, engine.CodeCallTimedOut, "it was not begun by "+
		k.seen.StartBy.UTC().Format(time.RFC3339)+", as spec.startingDeadlineSeconds has it, and is not run any more")
}
