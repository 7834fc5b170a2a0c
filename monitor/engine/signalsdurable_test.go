// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"testing"
)

// durable: the journal has it before it is answered.
func durable(acts []Action) bool {
	barrier := slices.IndexFunc(acts, func(a Action) bool { return a.Journal != nil && a.Journal.Barrier })
	reply := slices.IndexFunc(acts, func(a Action) bool { return a.Reply != nil })
	return barrier >= 0 && barrier < reply
}

// What a provider said of an embedded failure or a lost network is told by nobody else.
func TestSignalsAreDurable(t *testing.T) {
	g := newRig(t)
	g.plan(res("a"))
	g.up("c", "c1")
	g.openAll()
	g.grant(1)
	g.guard("c", 1)
	g.onlineAll()
	g.is("a", Online)
	for _, typ := range []FailureType{FailureNetworkLoss, FailureEmbedded} {
		acts := g.send(Event{Callback: &Callback{ID: 9, Container: "c", Handle: "a", SignalFailure: &SignalFailure{Type: typ}}})
		if !durable(acts) {
			t.Errorf("failure of type %d is answered before the journal has it", typ)
		}
	}
}
