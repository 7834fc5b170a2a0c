// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import "testing"

var _ = everywhere("Withdrawn", Event{Withdrawn: &Withdrawn{ID: "1"}},
	"Initializing:", "Offline:", "OnlinePending:", "Online:", "OfflinePending:", "Failed:")

func (g *rig) withdraw(id string) { g.t.Helper(); g.send(Event{Withdrawn: &Withdrawn{ID: id}}) }

// A call that is deleted while it runs is cancelled once, if its provider can, and
// nobody is told what became of it but its resource.
func TestCancel(t *testing.T) {
	for name, can := range map[string]bool{"can": true, "cannot": false} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t)
			g.plan(controlled("a"))
			var capabilities []string
			if can {
				capabilities = []string{capabilityCancel}
			}
			g.send(Event{ProviderUp: &ProviderUp{Container: "c", Nonce: "c1", Capabilities: capabilities}})
			g.openAll()
			g.grant(1)
			g.guard("c", 1)
			g.onlineAll()
			context := g.later("1", false, 0)
			g.withdraw("1")
			if !can {
				g.flying()
				return
			}
			g.flying("Cancel a")
			g.answer(OpCancel, "a", Returned{})
			g.want(g.noted(ReasonCancelled), "not noted")
			g.withdraw("1")
			g.flying()
			h := restored(t, g)
			h.grant(1)
			h.up("c", "c1")
			h.answer(OpOpen, "a", Returned{State: ReportedOnline})
			h.want(h.endCall("c", context, CodeOperationAborted, "").Code == CodeSuccess, "end")
			h.want(h.finished("1") == nil && len(h.e.Snapshot(h.now).Controls) == 0, "somebody is told")
			r := h.snap("a").ControlResults
			h.want(len(r) == 1 && r[0].Status == CodeOperationAborted, "%+v", r)
		})
	}
}

// Cancel is best effort: a provider that hangs in it goes on.
func TestCancelThatHangs(t *testing.T) {
	g := newRig(t)
	g.plan(controlled("a"))
	g.send(Event{ProviderUp: &ProviderUp{Container: "c", Nonce: "c1", Capabilities: []string{capabilityCancel}}})
	g.openAll()
	g.grant(1)
	g.guard("c", 1)
	g.onlineAll()
	g.later("1", false, 0)
	g.withdraw("1")
	g.healthy(cancelTimeout)
	g.want(g.noted(ReasonCancelled) || len(g.e.calls) == 0, "still under way")
	g.want(len(g.restarts()) == 0, "killed for it")
	g.is("a", Online)
}

func TestWithdrawnBeforeItBegins(t *testing.T) {
	g := online(t, controlled("a"))
	g.ask(Control{ID: "1", Resource: "a", Name: "SAVE"})
	g.withdraw("1")
	g.claim("1", true)
	g.flying()
	g.ask(Control{ID: "2", Resource: "a", Name: "SAVE"})
	g.claim("2", true)
	g.answer(OpBeginResourceControl, "a", Returned{})
	g.withdraw("2")
	g.want(len(g.e.controls) == 0, "kept")
}
