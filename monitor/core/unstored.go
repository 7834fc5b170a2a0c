// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core

import (
	"slices"

	"github.com/understudy-dev/understudy/monitor/engine"
)

// Answerable reports whether all of effects that waits for a journal which cannot be stored has
// another answer: the end of a control call has none, so that its monitor has to end.
func Answerable(effects []Effect) bool {
	return !slices.ContainsFunc(effects, func(e Effect) bool { return e.Reply != nil && e.Reply.Otherwise == 0 })
}

// Unstored is what is answered in place of an effect that waits for a journal which could not be
// stored, since nothing is begun that the next life would not know of: a reply to the provider, or
// what came of the call. Both are nil for an effect that does not wait.
func (e Effect) Unstored() (*engine.Reply, *engine.Returned) {
	switch {
	case e.Reply != nil:
		return &engine.Reply{ID: e.Reply.ID, Code: e.Reply.Otherwise}, nil
	case e.Call != nil && (e.Call.Op == engine.OpOnline || e.Call.Op == engine.OpArbitrate || e.Call.Control != nil):
		return nil, &engine.Returned{
			Call: e.Call.ID, Outcome: engine.Unavailable,
			Message: "the journal cannot be written: look at the node's disk and memory",
		}
	}
	return nil, nil
}
