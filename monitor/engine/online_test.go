// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"encoding/json"
	"testing"
)

func TestOnlineNeedsEverything(t *testing.T) {
	a, b := res("a"), res("b", "a")
	steps := map[string]func(g *rig){
		"plan":  func(g *rig) { g.plan(a, b) },
		"up":    func(g *rig) { g.up("c", "n") },
		"grant": func(g *rig) { g.grant(7) },
		"guard": func(g *rig) { g.guard("c", 7) },
	}
	for _, order := range [][]string{
		{"plan", "up", "grant", "guard"}, {"guard", "grant", "up", "plan"}, {"grant", "plan", "guard", "up"},
		{"up", "guard", "plan", "grant"}, {"plan", "guard", "grant", "up"},
	} {
		g := newRig(t)
		for _, s := range order {
			g.want(g.call(OpOnline, "a") == nil, "online before %s", s)
			steps[s](g)
			g.want(g.call(OpOnline, "a") == nil || g.call(OpOpen, "a") == nil && s == order[len(order)-1], "online before Open returned")
			if s != order[len(order)-1] {
				g.openAll()
			}
		}
		g.openAll()
		g.flying("Online a")
		g.waits("b", ReasonWaitingDependency, "a")
		g.ok(OpOnline, "a")
		g.flying("Online b")
	}
}

func TestOnlineWaitsForGuardOfItsEpoch(t *testing.T) {
	g := newRig(t)
	g.plan(res("a"))
	g.up("c", "n")
	g.openAll()
	g.guard("c", 4)
	g.grant(5)
	g.flying()
	g.waits("a", ReasonWaitingGuard)
	g.guard("c", 5)
	g.flying("Online a")
}

func TestOnlineCarriesWhatItNeeds(t *testing.T) {
	g := ready(t, with(res("a"), func(r *Resource) { r.Properties = json.RawMessage(`{"x":1}`) }))
	c := g.call(OpOnline, "a")
	g.want(c.Epoch == 1 && string(c.Properties) == `{"x":1}` && c.Generation == 1 && c.Nonce == "c1" && c.ResourceID == "a", "call %+v", c)
}

func TestOnlineOutcomes(t *testing.T) {
	for name, tc := range map[string]struct {
		do   func(g *rig)
		want State
		why  Reason
		kill bool
	}{
		"at once":              {func(g *rig) { g.ok(OpOnline, "a") }, Online, "", false},
		"error":                {func(g *rig) { g.answer(OpOnline, "a", Returned{Status: 5006}) }, Failed, ReasonOnlineFailed, true},
		"broken":               {func(g *rig) { g.answer(OpOnline, "a", Returned{Outcome: Broken}) }, Failed, ReasonOnlineFailed, true},
		"pending":              {func(g *rig) { g.pend("a") }, OnlinePending, "", false},
		"reported online":      {func(g *rig) { g.pend("a"); g.status("a", ReportedOnline, 1) }, Online, "", false},
		"reported failed":      {func(g *rig) { g.pend("a"); g.status("a", ReportedFailed, 1) }, Failed, ReasonReportedFailed, true},
		"wrong direction":      {func(g *rig) { g.pend("a"); g.status("a", ReportedOffline, 1) }, Failed, ReasonWrongDirection, true},
		"wrong direction too":  {func(g *rig) { g.pend("a"); g.status("a", ReportedOfflinePending, 1) }, Failed, ReasonWrongDirection, true},
		"exited while pending": {func(g *rig) { g.pend("a"); g.signal("a", true) }, Failed, ReasonExited, true},
		"signalled":            {func(g *rig) { g.pend("a"); g.signal("a", false) }, Failed, ReasonSignalled, true},
		"no checkpoint":        {func(g *rig) { g.pend("a"); g.pass(10 * sec) }, Failed, ReasonPendingTimeout, true},
		"not here":             {func(g *rig) { g.pend("a"); g.status("a", ReportedCannotComeOnlineOnThisNode, 1) }, Failed, ReasonCannotOnThis, true},
		"not anywhere":         {func(g *rig) { g.pend("a"); g.status("a", ReportedCannotComeOnlineOnAnyNode, 1) }, Failed, ReasonCannotOnAny, true},
		"report before return": {func(g *rig) { g.status("a", ReportedOnline, 1) }, Online, "", false},
		"report, then 997":     {func(g *rig) { g.status("a", ReportedOnline, 1); g.pend("a"); g.pass(20 * sec) }, Online, "", false},
		"report, then error":   {func(g *rig) { g.status("a", ReportedOnline, 1); g.answer(OpOnline, "a", Returned{Status: 5}) }, Failed, ReasonOnlineFailed, true},
	} {
		t.Run(name, func(t *testing.T) {
			g := ready(t, res("a"))
			g.is("a", OnlinePending)
			tc.do(g)
			g.is("a", tc.want)
			g.want((g.call(OpTerminate, "a") != nil) == tc.kill, "Terminate called: %v", !tc.kill)
			if f := g.snap("a").LastFailure; tc.why != "" && (f == nil || f.Reason != tc.why) {
				t.Fatalf("failure %+v, want %s", f, tc.why)
			}
		})
	}
}

// pend answers Online with 997.
func (g *rig) pend(uid string) {
	g.t.Helper()
	g.answer(OpOnline, uid, Returned{Status: CodeIOPending})
}

func TestCheckPointRestartsPendingTimeout(t *testing.T) {
	g := ready(t, res("a"))
	g.pend("a")
	for i := range uint32(5) {
		g.pass(9 * sec)
		answer := g.status("a", ReportedOnlinePending, i)
		g.want(answer.Code == CodeSuccess && answer.ExitState == ExitContinue, "not told to continue")
	}
	g.is("a", OnlinePending)
	g.pass(9 * sec)
	g.status("a", ReportedOnlinePending, 4) // the same one: no progress
	g.pass(999 * ms)
	g.is("a", OnlinePending)
	g.pass(ms)
	g.is("a", Failed)
	g.want(g.snap("a").LastOperationStatusCode == CodeCallTimedOut, "code")
	g.want(g.status("a", ReportedOnline, 9).ExitState == ExitTerminate, "told to go on after Terminate")
	g.ok(OpTerminate, "a")
	g.want(g.status("a", ReportedOnline, 9).ExitState == ExitTerminate, "told to go on after Terminate")
	g.is("a", Failed)
}

func TestReportWithNothingPending(t *testing.T) {
	g := online(t, res("a"))
	for _, s := range []int32{ReportedOnline, ReportedOffline, ReportedFailed, ReportedOnlinePending} {
		first := s == ReportedOnline
		rep := g.status("a", s, 3)
		g.want(rep.ExitState == ExitContinue && rep.Code == CodeInvalidState, "reply %+v", rep)
		g.want(g.noted(ReasonUnexpectedReport) == first, "noted once, not for each of a flood")
		g.is("a", Online)
		g.flying()
	}
	g.want(g.status("a", 77, 1).Code == CodeInvalidParameter, "a value that is not in the contract")
}

func TestReportKeepsWhatIsSaid(t *testing.T) {
	g := ready(t, res("a"))
	g.pend("a")
	g.cb(Callback{Container: "c", Handle: "a", SetResourceStatus: &SetResourceStatus{
		Ex: true, State: ReportedOnlinePending, CheckPoint: 4, ApplicationErrorCode: 77, Flags: 0x10}})
	s := g.snap("a")
	g.want(s.CheckPoint == 4 && s.ApplicationErrorCode == 77 && s.StatusFlags == 0x10, "snapshot %+v", s)
	g.cb(Callback{Container: "c", Handle: "a", SetResourceStatus: &SetResourceStatus{State: ReportedOnlinePending, CheckPoint: 5}})
	s = g.snap("a")
	g.want(s.CheckPoint == 5 && s.ApplicationErrorCode == 77, "the older form has no error code: %+v", s)
}

func TestStatusActions(t *testing.T) {
	g := ready(t, res("a"))
	g.pend("a")
	g.status("a", ReportedOnlinePending, 1)
	got := g.statusAction()
	g.want(got != nil && !got.Urgent && len(got.Resources) == 1, "a checkpoint is not urgent: %+v", got)
	g.want(!g.journalled(), "a checkpoint is not worth an fsync")
	g.status("a", ReportedOnline, 2)
	got = g.statusAction()
	g.want(got != nil && got.Urgent && got.Group, "a state is urgent: %+v", got)
	g.want(g.journalled(), "a state is journalled")
	g.send(Event{Tick: &Tick{Token: 9}})
	g.want(len(g.last) == 1 && g.last[0].Tock != nil && g.last[0].Tock.Token == 9, "tick: %+v", g.last)
}

func (g *rig) statusAction() *Status {
	for _, a := range g.last {
		if a.Status != nil {
			return a.Status
		}
	}
	return nil
}

func (g *rig) journalled() bool {
	for _, a := range g.last {
		if a.Journal != nil {
			return true
		}
	}
	return false
}
