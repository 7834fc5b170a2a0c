// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"strings"
	"testing"
)

func TestForeignHandles(t *testing.T) {
	g := online(t, res("a"), with(res("d"), func(r *Resource) { r.Container = "d" }))
	for _, cb := range []Callback{
		{Container: "c", Handle: "d"}, {Container: "d", Handle: "a"}, {Container: "c", Handle: "nobody"}, {Handle: "a"}, {},
	} {
		status, signal, log := cb, cb, cb
		status.SetResourceStatus = &SetResourceStatus{State: ReportedFailed}
		signal.SignalFailure = &SignalFailure{Exited: true}
		log.LogEvent = &LogEvent{Text: "x"}
		r := g.cb(status)
		g.want(r.Code == CodeInvalidHandle && r.ExitState == ExitTerminate, "%+v", r)
		g.want(g.cb(signal).Code == CodeInvalidHandle, "signal")
		g.want(g.cb(log).Code == CodeInvalidHandle && !g.noted(ReasonLog), "log")
	}
	g.is("a", Online)
	g.is("d", Online)
	g.want(g.cb(Callback{Container: "c", Handle: "a"}).Code == CodeInvalidParameter, "no kind")
}

// The size and the rate of what a provider logs are bounded, and what is as bad as an
// error is an Event.
// Shows: LogEvent.
func TestLogEventIsBounded(t *testing.T) {
	g := online(t, res("a"))
	log := func(l Level, s string) {
		g.cb(Callback{Container: "c", Handle: "a", LogEvent: &LogEvent{Level: l, Text: s}})
	}
	note := func() *Note {
		for _, a := range g.last {
			if a.Note != nil && a.Note.Reason == ReasonLog {
				return a.Note
			}
		}
		return nil
	}
	log(LevelInformation, strings.Repeat("é", 400))
	n := note()
	g.want(n != nil && n.Text == "test a: "+strings.Repeat("é", 250) && !n.Event, "%+v", n)
	log(LevelError, "bad")
	g.want(note().Event && note().Level == LevelError, "%+v", note())
	log(LevelWarning, "odd")
	g.want(!note().Event && note().Level == LevelWarning, "%+v", note())
	log(LevelSevere, "bad")
	g.want(note().Event && note().Level == LevelSevere, "%+v", note())
	log(99, "bad")
	g.want(note().Event && note().Level == LevelSevere, "%+v", note())
	passed := 5
	for range 1000 {
		log(LevelInformation, "again")
		if note() != nil {
			passed++
		}
	}
	g.want(passed == maxLogRate, "%d lines in a second", passed)
	g.pass(sec)
	log(LevelInformation, "later")
	g.want(g.noted(ReasonLogDropped) && note() != nil, "dropped lines are not told")
}

func TestMessagesAreBounded(t *testing.T) {
	g := online(t, res("a"))
	g.cb(Callback{Container: "c", Handle: "a", SignalFailure: &SignalFailure{Exited: true, Message: strings.Repeat("x", 1<<20)}})
	g.want(len(g.snap("a").LastFailure.Message) == maxMessage, "%d", len(g.snap("a").LastFailure.Message))
}

func TestClip(t *testing.T) {
	for _, tc := range []struct {
		in   string
		n    int
		want string
	}{{"abc", 3, "abc"}, {"abc", 2, "ab"}, {"aé", 2, "a"}, {"é", 1, ""}, {"\x80\x80\x80", 2, ""}} {
		if got := clip(tc.in, tc.n); got != tc.want {
			t.Errorf("clip(%q, %d) = %q", tc.in, tc.n, got)
		}
	}
}

func TestCodeNames(t *testing.T) {
	if CodeCallTimedOut.String() != "ERROR_RESOURCE_CALL_TIMED_OUT" || Code(424242).String() != "424242" {
		t.Error(CodeCallTimedOut, Code(424242))
	}
	for _, c := range []Code{CodeSuccess, CodeInvalidFunction, CodeInvalidHandle, CodeInvalidData, CodeInvalidParameter,
		CodeOperationAborted, CodeIOPending, CodeResourceNotOnline, CodeResourceNotAvailable, CodeResourceNotFound,
		CodeHostNodeNotOwner, CodeInvalidState, CodeResourceFailed, CodeCannotHostResource, CodeTypeNotSupported,
		CodeMonitorInvalidState, CodeTypeBusy, CodeCallTimedOut, CodeExceptionInCall, CodeProviderFailed, CodeGroupBusy} {
		if !strings.HasPrefix(c.String(), "ERROR_") {
			t.Errorf("%d has no name", uint32(c))
		}
	}
	for _, s := range States {
		if stateOf(s.Code()) != s {
			t.Error(s)
		}
	}
}
