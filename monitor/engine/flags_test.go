// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import "testing"

// What core knows of a stop reaches each Offline and Terminate.
func TestStopSaysWhy(t *testing.T) {
	g := online(t, res("a"), res("b"))
	g.send(Event{Revoked: &Revoked{
		Mode: Ordered, Cause: StateChangeMove, Context: ContextDrain, Destination: "h2", Flags: OfflineIgnoreResourceStatus,
	}})
	off := g.call(OpOffline, "a")
	g.want(off.Reason == StateChangeMove && off.Context == ContextDrain && off.Destination == "h2" &&
		off.Flags == OfflineIgnoreResourceStatus|OfflineDoNotUpdatePersistentState, "%+v", off)
	g.send(Event{Revoked: &Revoked{Mode: Emergency, Cause: StateChangeRundown}})
	g.want(g.call(OpTerminate, "a").Reason == StateChangeRundown, "%+v", g.call(OpTerminate, "a"))
}

func TestOfflineBySpecSaysSo(t *testing.T) {
	g := online(t, res("a"), res("b", "a"))
	g.plan(offline(res("a")), res("b", "a"))
	off := g.call(OpOffline, "b")
	g.want(off.Flags == OfflineDoNotUpdatePersistentState, "b is wanted online: %+v", off)
	g.ok(OpOffline, "b")
	off = g.call(OpOffline, "a")
	g.want(off.Flags == 0 && off.Reason == StateChangeUnknown && off.Destination == "", "%+v", off)
}

// The first Online under an ownership is told how that came about; a restart is not.
func TestOnlineSaysItsContext(t *testing.T) {
	g := newRig(t)
	g.plan(res("a"), offline(res("b")))
	g.up("c", "c1")
	g.openAll()
	g.send(Event{Granted: &Granted{Epoch: 3, Context: ContextNetworkDisconnect, Flags: OnlineIgnoreResourceStatus}})
	h := newRig(t)
	h.now = g.now
	h.e = Restore(Config{}, roundTrip(t, g.e.Snapshot(g.now)))
	g.guard("c", 3)
	on := g.call(OpOnline, "a")
	g.want(on.Context == ContextNetworkDisconnect && on.Flags == OnlineIgnoreResourceStatus, "%+v", on)
	g.ok(OpOnline, "a")
	g.exit("a")
	g.pass(500 * ms)
	on = g.call(OpOnline, "a")
	g.want(on.Context == ContextNone && on.Flags == 0, "a restart: %+v", on)
	g.ok(OpOnline, "a")
	g.plan(offline(res("a")), offline(res("b")))
	g.ok(OpOffline, "a")
	g.plan(res("a"), offline(res("b")))
	g.want(g.call(OpOnline, "a").Context == ContextNone, "by spec: %+v", g.call(OpOnline, "a"))
	g.want(h.e.grant.Context == ContextNetworkDisconnect, "lost over a restart of the monitor")
	g = online(t, res("a"))
	g.send(Event{Granted: &Granted{Epoch: 2, Context: ContextDrain}})
	g.want(g.call(OpTerminate, "a").Reason == StateChangeRundown, "%+v", g.call(OpTerminate, "a"))
	g.guard("c", 2)
	g.ok(OpTerminate, "a")
	g.want(g.call(OpOnline, "a").Context == ContextDrain, "%+v", g.call(OpOnline, "a"))
}

// What a resource lacked is told by bits, as long as it is Failed.
//
// Shows: SetResourceStatus, SetResourceStatusEx.
func TestFailedReportSaysWhatIsMissing(t *testing.T) {
	for flags, want := range map[uint32]struct {
		bits  uint64
		group uint64
		code  Code
	}{
		0:                           {0, 0, CodeResourceFailed},
		ReportInsufficientMemory:    {StatusLacksMemory, GroupLacksResources, CodeResourcesLacking},
		ReportInsufficientProcessor: {StatusLacksProcessor, GroupLacksResources, CodeResourcesLacking},
		ReportInsufficientOther:     {StatusLacksOther, GroupLacksResources, CodeResourcesLacking},
		ReportNetworkNotAvailable:   {StatusNetworkFailure, GroupNetworkFailure, CodeResourceFailed},
		0x80:                        {0, 0, CodeResourceFailed},
	} {
		report := func(g *rig, ex bool) {
			g.cb(Callback{Container: "c", Handle: "a", SetResourceStatus: &SetResourceStatus{
				Ex: ex, State: ReportedFailed, CheckPoint: 1, Flags: flags, ApplicationErrorCode: 9,
			}})
		}
		g := ready(t, res("a"))
		g.pend("a")
		report(g, true)
		s, all := g.snap("a"), g.e.Snapshot(g.now)
		g.want(s.State == Failed && s.StatusInformation == want.bits && all.StatusInformation() == want.group &&
			s.LastOperationStatusCode == want.code && s.ApplicationErrorCode == 9 && s.StatusFlags == flags, "%x: %+v", flags, s)
		g.want(s.LastFailure.Code == want.code && s.LastFailure.ApplicationErrorCode == 9, "%+v", s.LastFailure)
		g.ok(OpTerminate, "a")
		g.pass(500 * ms)
		g.is("a", OnlinePending)
		s = g.snap("a")
		g.want(s.StatusInformation == 0 && s.LastOperationStatusCode == 0 && s.ApplicationErrorCode == 0 && s.StatusFlags == 0, "%+v", s)
		g.ok(OpOnline, "a")
		g.is("a", Online)

		old := ready(t, res("a"))
		old.pend("a")
		report(old, false)
		old.want(old.snap("a").StatusInformation == 0, "the older form has no flags")

		off := online(t, res("a"))
		off.plan(offline(res("a")))
		off.pendOff("a")
		report(off, true)
		off.want(off.snap("a").StatusInformation == want.bits && off.snap("a").LastOperationStatusCode == want.code, "%+v", off.snap("a"))
	}
}
