// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import "testing"

func (g *rig) signalled(uid string, s SignalFailure) Code {
	g.t.Helper()
	return g.cb(Callback{Container: g.containerOf(uid), Handle: uid, SignalFailure: &s}).Code
}

func (g *rig) embedded(uid string) Code {
	g.t.Helper()
	return g.signalled(uid, SignalFailure{Type: FailureEmbedded, ApplicationErrorCode: 42, Message: "the guest hangs"})
}

func (g *rig) networkLoss(uid string) Code {
	g.t.Helper()
	return g.signalled(uid, SignalFailure{Type: FailureNetworkLoss, ApplicationErrorCode: 43, Message: "no carrier"})
}

func acting(uid string, a EmbeddedFailureAction, deps ...string) Resource {
	return with(res(uid, deps...), func(r *Resource) { r.EmbeddedFailureAction = a })
}

// Shows: SignalFailure.
func TestEmbeddedFailureByAction(t *testing.T) {
	for _, action := range []EmbeddedFailureAction{EmbeddedNone, EmbeddedLogOnly} {
		g := online(t, acting("a", action))
		for range 2 {
			g.want(g.embedded("a") == CodeSuccess, "%s", action)
			g.is("a", Online)
			g.flying()
		}
		g.want(!g.noted(ReasonEmbeddedFailure), "%s: told twice", action)
		s := g.snap("a")
		g.want(s.StatusInformation == StatusEmbeddedFailure && s.TotalFailures == 0, "%s: %+v", action, s)
		g.exit("a")
		g.want(g.snap("a").StatusInformation == 0, "%s: not cleared", action)
	}
	g := online(t, acting("a", EmbeddedNone), acting("b", EmbeddedLogOnly))
	g.embedded("a")
	g.want(!g.noted(ReasonEmbeddedFailure), "None is told")
	g.embedded("b")
	g.want(g.noted(ReasonEmbeddedFailure), "LogOnly is not told")
	s := g.e.Snapshot(g.now)
	g.want(s.StatusInformation() == GroupEmbeddedFailure, "group %x", s.StatusInformation())
}

// Recover takes it down in order, and the restart policy counts a failure.
//
// Shows: SignalFailure.
func TestEmbeddedFailureRecovers(t *testing.T) {
	g := online(t, res("a"), res("b", "a"))
	g.want(g.embedded("a") == CodeSuccess, "code")
	g.flying("Offline b") // no IsAlive: it would answer for a itself
	f := g.snap("a").LastFailure
	g.want(f.Reason == ReasonEmbeddedFailure && f.ApplicationErrorCode == 42 && f.Verified, "%+v", f)
	g.want(g.embedded("a") == CodeSuccess, "twice")
	g.ok(OpOffline, "b")
	off := g.call(OpOffline, "a")
	g.want(off.Flags == OfflineDueToEmbeddedFailure|OfflineDoNotUpdatePersistentState && off.Context == ContextEmbeddedFailure, "%+v", off)
	g.want(g.embedded("a") == CodeInvalidState, "while it stops")
	g.ok(OpOffline, "a")
	g.is("a", Failed)
	s := g.snap("a")
	g.want(s.TotalFailures == 1 && len(s.Failures) == 1 && s.Verdict == VerdictRestart && s.StatusInformation == 0, "%+v", s)
	g.pass(500 * ms)
	g.want(g.call(OpOnline, "a").Context == ContextEmbeddedFailure, "%+v", g.call(OpOnline, "a"))
	g.onlineAll()
	g.is("b", Online)
	g.embedded("a") // one too many
	g.ok(OpOffline, "b")
	g.ok(OpOffline, "a")
	g.want(g.need.Failover && !g.need.Immediate && g.need.Reason == ReasonEmbeddedFailure, "%+v", g.need)
}

func TestEmbeddedFailureEndsAnotherWay(t *testing.T) {
	t.Run("Offline fails", func(t *testing.T) {
		g := online(t, res("a"))
		g.embedded("a")
		g.answer(OpOffline, "a", Returned{Status: 5})
		g.is("a", Failed)
		g.ok(OpTerminate, "a")
		g.want(g.snap("a").Verdict == VerdictRestart && len(g.snap("a").Failures) == 1, "%+v", g.snap("a"))
		g.pass(500 * ms)
		g.flying("Online a")
	})
	t.Run("the provider dies", func(t *testing.T) {
		g := online(t, res("a"))
		g.embedded("a")
		g.empty("c", "c2")
		g.is("a", Failed)
		g.want(len(g.snap("a").Failures) == 1, "%+v", g.snap("a"))
	})
	t.Run("it fails by itself", func(t *testing.T) {
		g := online(t, res("a"), res("b", "a"))
		g.embedded("a") // waits for b
		g.signal("a", true)
		g.is("a", Failed)
		g.want(len(g.snap("a").Failures) == 1 && g.snap("a").LastFailure.Reason == ReasonExited, "%+v", g.snap("a"))
	})
	t.Run("the ownership ends", func(t *testing.T) {
		g := online(t, res("a"))
		g.embedded("a")
		g.revoke(Ordered)
		g.ok(OpOffline, "a")
		g.is("a", Offline)
		g.want(len(g.snap("a").Failures) == 0, "%+v", g.snap("a"))
	})
	t.Run("it is not wanted any more", func(t *testing.T) {
		g := online(t, res("a"))
		g.embedded("a")
		g.plan(offline(res("a")))
		g.ok(OpOffline, "a")
		g.is("a", Offline)
	})
	t.Run("the monitor is replaced meanwhile", func(t *testing.T) {
		for name, wait := range map[string]bool{"before Offline": true, "in Offline": false} {
			rs := []Resource{res("a")}
			if wait {
				rs = append(rs, res("b", "a"))
			}
			g := online(t, rs...)
			g.embedded("a")
			h := newRig(t)
			h.now = g.now
			h.e = Restore(Config{}, roundTrip(t, g.e.Snapshot(g.now)))
			h.up("c", "c1")
			for range rs {
				for _, r := range rs {
					if h.call(OpOpen, r.UID) != nil {
						h.answer(OpOpen, r.UID, Returned{State: h.snap(r.UID).State.Code()})
					}
				}
			}
			h.grant(1)
			for _, uid := range []string{"b", "a"} {
				switch {
				case h.call(OpOffline, uid) != nil:
					h.ok(OpOffline, uid)
				case h.e.find(uid) != nil && h.snap(uid).State == OfflinePending:
					h.status(uid, ReportedOffline, 1)
				}
			}
			h.is("a", Failed)
			h.want(h.snap("a").Verdict == VerdictRestart, "%s: %+v", name, h.snap("a"))
		}
	})
}

// Shows: SignalFailure.
func TestNetworkLoss(t *testing.T) {
	t.Run("alive", func(t *testing.T) {
		g := online(t, res("a"))
		g.want(g.networkLoss("a") == CodeSuccess && g.noted(ReasonNetworkLoss), "code")
		g.flying("IsAlive a")
		g.ok(OpIsAlive, "a")
		g.is("a", Online)
		s := g.e.Snapshot(g.now)
		g.want(g.snap("a").StatusInformation == StatusNetworkFailure && s.StatusInformation() == GroupNetworkFailure, "bits")
		g.want(!g.noted(ReasonFalseAlarm) && !g.need.Failover, "%+v", g.need)
		g.revoke(Ordered)
		g.want(g.call(OpOffline, "a").Flags&OfflineIgnoreNetworkConnectivity != 0, "%+v", g.call(OpOffline, "a"))
	})
	t.Run("not alive", func(t *testing.T) {
		g := online(t, res("a"))
		g.networkLoss("a")
		g.answer(OpIsAlive, "a", Returned{})
		g.is("a", Failed)
		f := g.snap("a").LastFailure
		g.want(f.Reason == ReasonNetworkLoss && f.ApplicationErrorCode == 43, "%+v", f)
		g.want(g.need.Failover && g.need.Immediate && g.need.Reason == ReasonNetworkLoss, "%+v", g.need)
		// No other host can take it: it is restarted in place.
		g.want(g.call(OpTerminate, "a").Reason == StateChangeFailover, "%+v", g.call(OpTerminate, "a"))
		g.ok(OpTerminate, "a")
		g.pass(500 * ms)
		on := g.call(OpOnline, "a")
		g.want(on.Context == ContextNetworkDisconnect && on.Flags == OnlineIgnoreNetworkConnectivity, "%+v", on)
		g.ok(OpOnline, "a")
		g.want(!g.need.Failover && g.snap("a").StatusInformation == 0, "the need stands")
		g.networkLoss("a")
		g.pass(500 * ms) // no answer
		g.want(g.need.Immediate && g.snap("a").Verdict == VerdictRetry, "%+v", g.snap("a"))
	})
	t.Run("never fails over", func(t *testing.T) {
		g := online(t, with(res("a"), func(r *Resource) { r.RestartAction = RestartNoNotify }))
		g.networkLoss("a")
		g.answer(OpIsAlive, "a", Returned{})
		g.want(!g.need.Failover && g.snap("a").Verdict == VerdictRestart, "%+v", g.need)
	})
	t.Run("then a general failure", func(t *testing.T) {
		g := online(t, res("a"))
		g.networkLoss("a")
		g.signal("a", false)
		g.answer(OpIsAlive, "a", Returned{})
		g.want(g.snap("a").LastFailure.Reason == ReasonNetworkLoss, "%+v", g.snap("a").LastFailure)
	})
}

func TestSignalsOutOfPlace(t *testing.T) {
	for _, s := range States {
		g := inState(t, s)
		want := CodeInvalidState
		if s == Online {
			want = CodeSuccess
		}
		g.want(g.networkLoss("a") == want, "%s", s)
		g.want(g.embedded("a") == want, "%s", s)
	}
	g := online(t, res("a"))
	g.want(g.signalled("a", SignalFailure{Type: 9}) == CodeInvalidParameter, "type 9")
	g.is("a", Online)
}
