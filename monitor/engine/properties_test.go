// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"slices"
	"testing"
)

// tuned is a resource with one live property and one that is not.
func tuned(alpha, beta int) Resource {
	return with(controlled("a"), func(r *Resource) {
		r.Live = []string{"alpha"}
		r.Properties = fmt.Appendf(nil, `{"alpha":%d,"beta":%d}`, alpha, beta)
		r.Generation = int64(10*alpha + beta)
	})
}

// inForce says what is known of the properties of what runs.
func (g *rig) inForce(why Reason, stale ...string) {
	g.t.Helper()
	p := g.snap("a").Properties
	if why == ReasonApplied && p == nil {
		return
	}
	g.want(p != nil && p.Reason == why && slices.Equal(p.Stale, stale), "want %s %v, got %+v", why, stale, p)
}

func TestLivePropertiesAreSet(t *testing.T) {
	g := online(t, tuned(1, 1))
	g.inForce(ReasonApplied)
	g.plan(tuned(2, 1))
	g.flying("BeginResourceControl a")
	g.barrierBefore(func(a Action) bool { return a.Call != nil })
	c := g.call(OpBeginResourceControl, "a")
	g.want(c.Control.Code == 0x01400086 && string(c.Control.Input) == `{"alpha":2,"beta":1}` && c.Control.Context > 0 &&
		c.Deadline == g.now.Boot+int64(60*sec), "%+v", c)
	g.inForce(ReasonUpdating, "alpha")
	g.want(g.snap("a").RunningGeneration == 11, "%+v", g.snap("a"))
	g.answer(OpBeginResourceControl, "a", Returned{})
	g.inForce(ReasonApplied)
	g.want(g.snap("a").RunningGeneration == 21 && g.noted(ReasonApplied), "%+v", g.snap("a"))
	g.is("a", Online)
	g.want(len(g.snap("a").ControlResults) == 0, "it is nobody's control call")

	g.plan(tuned(2, 1))
	g.flying() // nothing is new
}

func TestOtherPropertiesWait(t *testing.T) {
	for name, next := range map[string]Resource{
		"not live": tuned(1, 2), "both": tuned(2, 2),
		"taken away": with(tuned(1, 1), func(r *Resource) { r.Properties = nil }),
		"no object":  with(tuned(1, 1), func(r *Resource) { r.Properties = []byte("[1]") }),
	} {
		t.Run(name, func(t *testing.T) {
			g := online(t, tuned(1, 1))
			g.plan(next)
			g.flying()
			g.want(g.snap("a").Properties.Reason == ReasonNextOnline, "%+v", g.snap("a").Properties)
			g.exit("a")
			g.pass(500 * ms)
			g.want(string(g.call(OpOnline, "a").Properties) == string(next.Properties), "not given")
			g.ok(OpOnline, "a")
			g.inForce(ReasonApplied)
		})
	}
}

// What a resource that is not online is given comes with its Online.
func TestPropertiesOfWhatIsNotOnline(t *testing.T) {
	g := ready(t, offline(tuned(1, 1)))
	g.plan(offline(tuned(2, 1)))
	g.flying()
	g.plan(tuned(3, 1))
	g.want(string(g.call(OpOnline, "a").Properties) == `{"alpha":3,"beta":1}`, "properties")
	g.plan(tuned(4, 1))
	g.flying("Online a")
	g.ok(OpOnline, "a")
	g.flying("BeginResourceControl a") // it was on its way
	g.ok(OpBeginResourceControl, "a")
	g.inForce(ReasonApplied)
}

func TestAnswersToNewProperties(t *testing.T) {
	for name, tc := range map[string]struct {
		answer Returned
		want   Reason
	}{
		"stored":       {Returned{Status: 5024}, ReasonNextOnline},
		"not served":   {Returned{Status: 1}, ReasonNextOnline},
		"refused":      {Returned{Status: 13}, ReasonPropertiesRefused},
		"broken":       {Returned{Outcome: Broken}, ReasonPropertiesRefused},
		"out of reach": {Returned{Outcome: Unavailable}, ReasonPropertiesRefused},
	} {
		t.Run(name, func(t *testing.T) {
			g := online(t, tuned(1, 1))
			g.plan(tuned(2, 1))
			g.answer(OpBeginResourceControl, "a", tc.answer)
			g.inForce(tc.want, "alpha")
			g.want(g.noted(ReasonPropertiesRefused) == (tc.want == ReasonPropertiesRefused), "noted")
			g.want(g.snap("a").RunningGeneration == 11, "%+v", g.snap("a"))
			g.pass(2 * sec)
			g.plan(tuned(2, 1))
			g.flying() // the answer stands
			g.plan(tuned(2, 2))
			g.inForce(ReasonNextOnline, "alpha", "beta")
			g.flying()
			g.plan(tuned(3, 1))
			g.flying("BeginResourceControl a")
			g.ok(OpBeginResourceControl, "a")
			g.inForce(ReasonApplied)
		})
	}
}

// A provider that was asked may have taken it over: what was before is asked for, too.
func TestPropertiesAreTakenBack(t *testing.T) {
	g := online(t, tuned(1, 1))
	g.plan(tuned(2, 1))
	g.plan(tuned(1, 1))
	g.flying("BeginResourceControl a")
	g.inForce(ReasonUpdating)
	g.answer(OpBeginResourceControl, "a", Returned{Outcome: Broken})
	g.want(string(g.call(OpBeginResourceControl, "a").Control.Input) == `{"alpha":1,"beta":1}`, "not taken back")
	notes := g.ok(OpBeginResourceControl, "a")
	g.want(slices.ContainsFunc(notes, func(a Action) bool {
		return a.Note != nil && a.Note.Text == "a took over its new properties: those of before"
	}), "%+v", notes)
	g.inForce(ReasonApplied)
	g.flying()
}

// One call at a time; what came meanwhile follows once.
func TestNewerPropertiesFollow(t *testing.T) {
	g := online(t, tuned(1, 1))
	for alpha := 2; alpha <= 5; alpha++ {
		g.plan(tuned(alpha, 1))
		g.flying("BeginResourceControl a")
	}
	g.ok(OpBeginResourceControl, "a")
	g.want(string(g.call(OpBeginResourceControl, "a").Control.Input) == `{"alpha":5,"beta":1}`, "not the newest")
	g.ok(OpBeginResourceControl, "a")
	g.flying()
	g.inForce(ReasonApplied)
}

func TestPropertiesAreSetLater(t *testing.T) {
	for _, early := range []bool{false, true} {
		g := online(t, tuned(1, 1))
		g.plan(tuned(2, 1))
		context := g.call(OpBeginResourceControl, "a").Control.Context
		if early {
			g.want(g.endCall("c", context, 0, "").Code == CodeSuccess, "code")
			g.inForce(ReasonUpdating, "alpha")
		}
		g.answer(OpBeginResourceControl, "a", Returned{Async: true})
		if !early {
			g.inForce(ReasonUpdating, "alpha")
			g.want(g.endCall("d", context, 0, "").Code == CodeInvalidParameter, "another provider's")
			g.want(g.endCall("c", context, 0, "").Code == CodeSuccess, "code")
		}
		g.inForce(ReasonApplied)
		g.want(g.endCall("c", context, 0, "").Code == CodeInvalidParameter, "twice")
	}
	g := online(t, tuned(1, 1))
	g.plan(tuned(2, 1))
	g.answer(OpBeginResourceControl, "a", Returned{Async: true})
	for range 61 {
		g.pass(sec)
		for _, op := range []Op{OpLooksAlive, OpIsAlive} {
			if g.call(op, "a") != nil {
				g.ok(op, "a")
			}
		}
	}
	g.inForce(ReasonPropertiesRefused, "alpha")
	g.want(g.snap("a").Properties.Asked.Status == CodeCallTimedOut, "%+v", g.snap("a").Properties)
	g.is("a", Online)
}

// A call that is under way delays no stop; what comes after the stop waits for it.
func TestStopWhilePropertiesAreSet(t *testing.T) {
	g := online(t, tuned(1, 1))
	g.plan(tuned(2, 1))
	g.plan(offline(tuned(2, 1)))
	g.flying("BeginResourceControl a", "Offline a")
	g.ok(OpOffline, "a")
	g.is("a", Offline)
	g.plan(tuned(2, 1))
	g.flying("BeginResourceControl a")
	g.waits("a", ReasonWaitingStop)
	g.ok(OpBeginResourceControl, "a")
	g.flying("Online a")

	g = online(t, tuned(1, 1))
	g.plan(tuned(2, 1))
	g.plan()
	g.ok(OpOffline, "a")
	g.flying("BeginResourceControl a")
	g.ok(OpBeginResourceControl, "a")
	g.flying("Close a")
}

// What is on its way down is given nothing any more, and what a provider does later
// of its own accord is not waited for.
func TestPropertiesOfWhatGoesDown(t *testing.T) {
	g := online(t, tuned(1, 1), res("b", "a"))
	g.plan(offline(tuned(2, 1)), res("b", "a"))
	g.flying("Offline b")

	g = online(t, tuned(1, 1))
	g.plan(tuned(2, 1))
	context := g.call(OpBeginResourceControl, "a").Control.Context
	g.answer(OpBeginResourceControl, "a", Returned{Async: true})
	g.exit("a")
	g.want(g.endCall("c", context, 0, "").Code == CodeInvalidParameter, "code")
	g.want(g.snap("a").StopProven, "not stopped")
	g.pass(500 * ms)
	g.flying("Online a")
}

// Terminate ends a call that sets properties, or the container's end does.
func TestTerminateWhilePropertiesAreSet(t *testing.T) {
	g := online(t, tuned(1, 1))
	g.plan(tuned(2, 1))
	g.signal("a", true)
	g.ok(OpTerminate, "a")
	g.flying("BeginResourceControl a")
	g.answer(OpBeginResourceControl, "a", Returned{Status: CodeOperationAborted})
	g.want(g.snap("a").StopProven, "not stopped")
	g.pass(500 * ms)
	g.flying("Online a")

	g = online(t, tuned(1, 1))
	g.plan(tuned(2, 1))
	g.signal("a", true)
	g.ok(OpTerminate, "a")
	g.pass(sec)
	g.want(len(g.restarts()) == 1 && g.restarts()[0].Reason == ReasonTerminateFailed, "%+v", g.restarts())
}

// A monitor that was restarted sets again what it was setting, and knows what it had
// been told before. A journal that says nothing of properties, as one of old does, says
// that all are as planned.
func TestPropertiesAfterARestart(t *testing.T) {
	restart := func(g *rig) *rig {
		h := newRig(t)
		h.now = g.now
		h.e = Restore(Config{}, roundTrip(t, g.e.Snapshot(g.now)))
		h.up("c", "c1")
		h.answer(OpOpen, "a", Returned{State: ReportedOnline})
		h.grant(1)
		h.is("a", Online)
		return h
	}
	g := online(t, tuned(1, 1))
	g.plan(tuned(2, 1))
	g = restart(g)
	g.flying("BeginResourceControl a")
	g.ok(OpBeginResourceControl, "a")
	g = restart(g)
	g.flying()
	g.inForce(ReasonApplied)

	g.plan(tuned(2, 2))
	g = restart(g)
	g.inForce(ReasonNextOnline, "beta")
	g.plan(tuned(3, 1))
	g.answer(OpBeginResourceControl, "a", Returned{Status: 13})
	g = restart(g)
	g.flying()
	g.inForce(ReasonPropertiesRefused, "alpha")

	// The plan went back while nobody knew whether the call had worked.
	g.plan(tuned(4, 1))
	g = restart(g)
	g.plan(tuned(2, 1))
	g.ok(OpBeginResourceControl, "a")
	g.want(string(g.call(OpBeginResourceControl, "a").Control.Input) == `{"alpha":2,"beta":1}`, "%v", g.inFlight())
}

// Offline never reached the provider before the monitor died, and is not wanted any more:
// what goes on running goes on with what it had.
func TestPropertiesOfWhatIsFoundOnlineAgain(t *testing.T) {
	g := online(t, tuned(1, 1))
	g.plan(tuned(1, 2))
	g.plan(offline(tuned(1, 2)))
	g.flying("Offline a")
	h := newRig(t)
	h.now = g.now
	h.e = Restore(Config{}, roundTrip(t, g.e.Snapshot(g.now)))
	h.up("c", "c1")
	h.plan(tuned(1, 2))
	h.answer(OpOpen, "a", Returned{State: ReportedOnline})
	h.grant(1)
	h.is("a", Online)
	h.inForce(ReasonNextOnline, "beta")
}

// Whatever happens while properties are set happens as if they were not.
func TestEveryEventWhilePropertiesAreSet(t *testing.T) {
	for _, kind := range eventKinds() {
		g := online(t, tuned(1, 1))
		g.plan(tuned(2, 1))
		g.flying("BeginResourceControl a")
		g.send(stimuli[kind])
		state := "gone"
		if r := g.e.find("a"); r != nil {
			state = string(r.state)
		}
		got := state + ": " + summary(g.last)
		if got[len(got)-1] == ' ' {
			got = got[:len(got)-1]
		}
		if want := outcomes["Online"][kind]; got != want {
			t.Errorf("%s: %q, want %q", kind, got, want)
		}
	}
}
