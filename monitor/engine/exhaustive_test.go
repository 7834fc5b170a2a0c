// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// inState is an owner with one resource "a" in that state.
func inState(t *testing.T, s State) *rig {
	t.Helper()
	var g *rig
	switch s {
	case Initializing:
		g = newRig(t)
		g.plan(controlled("a"))
		g.up("c", "c1") // Open is under way
		g.grant(1)
		g.guard("c", 1)
	case Offline:
		g = ready(t, offline(controlled("a")))
	case OnlinePending:
		g = ready(t, controlled("a"))
		g.pend("a")
	case Online:
		g = online(t, controlled("a"))
	case OfflinePending:
		g = online(t, controlled("a"))
		g.plan(offline(controlled("a")))
		g.pendOff("a")
	case Failed:
		g = online(t, controlled("a"))
		g.exit("a") // terminated; waits for the restart
	}
	g.is("a", s)
	return g
}

// stimuli has an event of each kind. A field of Event or Callback that has none
// fails the test: a new kind of event must be thought through in every state.
var stimuli = map[string]Event{
	"Granted":                    {Granted: &Granted{Epoch: 1}},
	"Revoked":                    {Revoked: &Revoked{Mode: Ordered}},
	"PlanChanged":                {PlanChanged: &PlanChanged{}},
	"ProviderUp":                 {ProviderUp: &ProviderUp{Container: "c", Nonce: "c1"}},
	"ProviderDown":               {ProviderDown: &ProviderDown{Container: "c"}},
	"Emptied":                    {Emptied: &Emptied{Container: "c", Nonce: "c2"}},
	"InitGone":                   {InitGone: &InitGone{Container: "c"}},
	"Guarded":                    {Guarded: &Guarded{Container: "c", Epoch: 0}},
	"Returned":                   {Returned: &Returned{Call: 999}},
	"Callback/SetResourceStatus": {Callback: &Callback{ID: 1, Container: "c", Handle: "a", SetResourceStatus: &SetResourceStatus{State: ReportedOnline}}},
	"Callback/SignalFailure":     {Callback: &Callback{ID: 1, Container: "c", Handle: "a", SignalFailure: &SignalFailure{Exited: true}}},
	"Callback/LogEvent":          {Callback: &Callback{ID: 1, Container: "c", Handle: "a", LogEvent: &LogEvent{}}},
	"Callback/EndControlCall":    {Callback: &Callback{ID: 1, Container: "c", EndControlCall: &EndControlCall{Context: 1}}},
	"Control":                    {Control: &Control{ID: "1", Resource: "a", Name: "SAVE"}},
	"Claimed":                    {Claimed: &Claimed{ID: "1", OK: true}},
	"Recorded":                   {Recorded: &Recorded{ID: "1"}},
	"Timer":                      {Timer: &Timer{}},
	"Tick":                       {Tick: &Tick{Token: 1}},
}

// eventKinds lists all kinds of events, by reflection.
func eventKinds() []string {
	var kinds []string
	fields := func(v any) []string {
		var s []string
		for f := range reflect.TypeOf(v).Fields() {
			if f.Type.Kind() == reflect.Pointer {
				s = append(s, f.Name)
			}
		}
		return s
	}
	for _, f := range fields(Event{}) {
		if f == "Callback" {
			for _, c := range fields(Callback{}) {
				kinds = append(kinds, f+"/"+c)
			}
			continue
		}
		kinds = append(kinds, f)
	}
	return kinds
}

// summary is what follows: calls and other actions in order, without those that
// merely follow from a change (Status, Journal, Arm).
func summary(out []Action) string {
	var s []string
	for _, a := range out {
		v := reflect.ValueOf(a)
		for i := range v.NumField() {
			if v.Field(i).IsNil() {
				continue
			}
			switch name := v.Type().Field(i).Name; name {
			case "Status", "Journal", "Arm":
			case "Call":
				s = append(s, string(a.Call.Op))
			case "Reply":
				s = append(s, fmt.Sprintf("Reply(%d,%d)", a.Reply.Code, a.Reply.ExitState))
			case "Note":
				s = append(s, "Note("+string(a.Note.Reason)+")")
			case "Finish":
				s = append(s, fmt.Sprintf("Finish(%d)", a.Finish.Status))
			default:
				s = append(s, name)
			}
		}
	}
	return strings.Join(s, " ")
}

func TestEveryEventInEveryState(t *testing.T) {
	seen := 0
	for _, s := range States {
		for _, kind := range eventKinds() {
			ev, ok := stimuli[kind]
			if !ok {
				t.Fatalf("no stimulus for %s", kind)
			}
			g := inState(t, s)
			g.calls = nil
			g.send(ev)
			state := "gone"
			if r := g.e.find("a"); r != nil {
				state = string(r.state)
			}
			got := strings.TrimSpace(state + ": " + summary(g.last))
			want, listed := outcomes[string(s)][kind]
			switch {
			case !listed:
				t.Errorf("%s × %s is not listed: %q", s, kind, got)
			case want != got:
				t.Errorf("%s × %s: %q, want %q", s, kind, got, want)
			}
			seen++
		}
	}
	listed := 0
	for _, m := range outcomes {
		listed += len(m)
	}
	if seen != listed || len(stimuli) != len(eventKinds()) {
		t.Errorf("%d pairs, %d listed, %d stimuli", seen, listed, len(stimuli))
	}
}

// Every kind that Event has is counted and dispatched.
func TestEveryKindIsDispatched(t *testing.T) {
	for kind, ev := range stimuli {
		if ev.kinds() != 1 {
			t.Errorf("%s is not counted", kind)
		}
	}
	g := newRig(t)
	g.send(Event{})
	g.want(g.noted(ReasonBadEvent), "an empty event")
	g.send(Event{Timer: &Timer{}, Tick: &Tick{}})
	g.want(g.noted(ReasonBadEvent) && !slices.ContainsFunc(g.last, func(a Action) bool { return a.Tock != nil }), "two kinds")
}

// everywhere adds an event to the tables: what it does in each state, in the order of
// States. What is rare stands with the tests of its own file.
func everywhere(kind string, stimulus Event, want ...string) struct{} {
	stimuli[kind] = stimulus
	for i, s := range States {
		outcomes[string(s)][kind] = want[i]
	}
	return struct{}{}
}

// everySame is everywhere for what changes nothing, whatever the state.
func everySame(kind string, stimulus Event, want string) struct{} {
	var all []string
	for _, s := range States {
		all = append(all, strings.TrimSpace(string(s)+": "+want))
	}
	return everywhere(kind, stimulus, all...)
}

// outcomes is what each event does to a resource in each state, on its owner: the
// state after it, and the actions. Revoked is an ordered one, Emptied and InitGone
// are unasked for, PlanChanged removes the resource, SetResourceStatus says Online,
// and SignalFailure that the program has ended.
var outcomes = map[string]map[string]string{
	"Initializing": {
		"Granted":                    "Initializing:",
		"Revoked":                    "Initializing:",
		"PlanChanged":                "Initializing:",
		"ProviderUp":                 "Initializing:",
		"ProviderDown":               "Initializing: Note(ProviderLost) Restart",
		"Emptied":                    "Initializing:",
		"InitGone":                   "Initializing: Note(ContainerLost) Need",
		"Guarded":                    "Initializing:",
		"Returned":                   "Initializing:",
		"Callback/SetResourceStatus": "Initializing: Note(UnexpectedReport) Reply(5023,1)",
		"Callback/SignalFailure":     "Initializing: Reply(5023,0)",
		"Callback/LogEvent":          "Initializing: Note(Log) Reply(0,0)",
		"Callback/EndControlCall":    "Initializing: Reply(87,0)",
		"Control":                    "Initializing: Finish(5006)",
		"Claimed":                    "Initializing:",
		"Recorded":                   "Initializing:",
		"Timer":                      "Initializing:",
		"Tick":                       "Initializing: Tock",
	},
	"Offline": {
		"Granted":                    "Offline:",
		"Revoked":                    "Offline: Proven",
		"PlanChanged":                "Offline: Close",
		"ProviderUp":                 "Offline:",
		"ProviderDown":               "Offline: Note(ProviderLost) Restart",
		"Emptied":                    "Offline:",
		"InitGone":                   "Offline: Note(ContainerLost)",
		"Guarded":                    "Offline:",
		"Returned":                   "Offline:",
		"Callback/SetResourceStatus": "Offline: Note(UnexpectedReport) Reply(5023,1)",
		"Callback/SignalFailure":     "Offline: Reply(5023,0)",
		"Callback/LogEvent":          "Offline: Note(Log) Reply(0,0)",
		"Callback/EndControlCall":    "Offline: Reply(87,0)",
		"Control":                    "Offline: Claim",
		"Claimed":                    "Offline:",
		"Recorded":                   "Offline:",
		"Timer":                      "Offline:",
		"Tick":                       "Offline: Tock",
	},
	"OnlinePending": {
		"Granted":                    "OnlinePending:",
		"Revoked":                    "OfflinePending: Terminate",
		"PlanChanged":                "OfflinePending: Terminate",
		"ProviderUp":                 "OnlinePending:",
		"ProviderDown":               "Failed: Note(ProviderLost) Restart Note(ProviderLost)",
		"Emptied":                    "Failed: Note(ProviderLost)",
		"InitGone":                   "Failed: Note(ContainerLost) Note(ContainerLost) Need",
		"Guarded":                    "OnlinePending:",
		"Returned":                   "OnlinePending:",
		"Callback/SetResourceStatus": "Online: Reply(0,0)",
		"Callback/SignalFailure":     "Failed: Note(Exited) Reply(0,0) Terminate",
		"Callback/LogEvent":          "OnlinePending: Note(Log) Reply(0,0)",
		"Callback/EndControlCall":    "OnlinePending: Reply(87,0)",
		"Control":                    "OnlinePending: Claim",
		"Claimed":                    "OnlinePending:",
		"Recorded":                   "OnlinePending:",
		"Timer":                      "OnlinePending:",
		"Tick":                       "OnlinePending: Tock",
	},
	"Online": {
		"Granted":                    "Online:",
		"Revoked":                    "OfflinePending: Offline",
		"PlanChanged":                "OfflinePending: Offline",
		"ProviderUp":                 "Online:",
		"ProviderDown":               "Failed: Note(ProviderLost) Restart Note(ProviderLost)",
		"Emptied":                    "Failed: Note(ProviderLost)",
		"InitGone":                   "Failed: Note(ContainerLost) Note(ContainerLost) Need",
		"Guarded":                    "Online:",
		"Returned":                   "Online:",
		"Callback/SetResourceStatus": "Online: Note(UnexpectedReport) Reply(5023,0)",
		"Callback/SignalFailure":     "Failed: Note(Exited) Reply(0,0) Terminate",
		"Callback/LogEvent":          "Online: Note(Log) Reply(0,0)",
		"Callback/EndControlCall":    "Online: Reply(87,0)",
		"Control":                    "Online: Claim",
		"Claimed":                    "Online:",
		"Recorded":                   "Online:",
		"Timer":                      "Online:",
		"Tick":                       "Online: Tock",
	},
	"OfflinePending": {
		"Granted":                    "OfflinePending:",
		"Revoked":                    "OfflinePending:",
		"PlanChanged":                "OfflinePending:",
		"ProviderUp":                 "OfflinePending:",
		"ProviderDown":               "OfflinePending: Note(ProviderLost) Restart",
		"Emptied":                    "Offline:",
		"InitGone":                   "OfflinePending: Note(ContainerLost)",
		"Guarded":                    "OfflinePending:",
		"Returned":                   "OfflinePending:",
		"Callback/SetResourceStatus": "Failed: Note(WrongDirection) Reply(0,1) Terminate",
		"Callback/SignalFailure":     "OfflinePending: Reply(5023,0)",
		"Callback/LogEvent":          "OfflinePending: Note(Log) Reply(0,0)",
		"Callback/EndControlCall":    "OfflinePending: Reply(87,0)",
		"Control":                    "OfflinePending: Claim",
		"Claimed":                    "OfflinePending:",
		"Recorded":                   "OfflinePending:",
		"Timer":                      "OfflinePending:",
		"Tick":                       "OfflinePending: Tock",
	},
	"Failed": {
		"Granted":                    "Failed:",
		"Revoked":                    "Failed: Restart",
		"PlanChanged":                "Failed: Close",
		"ProviderUp":                 "Failed:",
		"ProviderDown":               "Failed: Note(ProviderLost) Restart",
		"Emptied":                    "Failed:",
		"InitGone":                   "Failed: Note(ContainerLost) Need",
		"Guarded":                    "Failed:",
		"Returned":                   "Failed:",
		"Callback/SetResourceStatus": "Failed: Note(UnexpectedReport) Reply(5023,1)",
		"Callback/SignalFailure":     "Failed: Reply(5023,0)",
		"Callback/LogEvent":          "Failed: Note(Log) Reply(0,0)",
		"Callback/EndControlCall":    "Failed: Reply(87,0)",
		"Control":                    "Failed: Claim",
		"Claimed":                    "Failed:",
		"Recorded":                   "Failed:",
		"Timer":                      "Failed:",
		"Tick":                       "Failed: Tock",
	},
}
