// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// codeOnline is typedOnline with providers that serve control codes.
func codeOnline(t *testing.T, capabilities ...string) *rig {
	t.Helper()
	g := newRig(t)
	g.typedPlan(with(controlled("a"), func(r *Resource) { r.Properties = []byte(`{"path":"/x"}`) }))
	g.send(Event{ProviderUp: &ProviderUp{Container: "c", Nonce: "c1", Capabilities: capabilities}})
	g.openAll()
	g.grant(1)
	g.guard("c", 1)
	g.onlineAll()
	g.is("a", Online)
	return g
}

// asking is a call of a code that needs no declaration.
func asking(c ControlCode) Control {
	k := Control{ID: "1", Name: c.Name}
	switch c.Target {
	case TargetResource:
		k.Resource = "a"
	case TargetType:
		k.TypeName = "test"
	}
	return k
}

// Every code of the table is answered without any code of the provider, by name and by
// number, also on a standby if it only reads, or refused with what to do.
func TestCodesNeedNoProvider(t *testing.T) {
	numbers := map[string]string{}
	for _, c := range Codes() {
		t.Run(fmt.Sprint(c.Target, " ", c.Name), func(t *testing.T) {
			if c.Code != 0 {
				key := fmt.Sprint(c.Target, c.Code)
				if numbers[key] != "" {
					t.Errorf("0x%08x is %s too", c.Code, numbers[key])
				}
				numbers[key] = c.Name
				if write := c.Code&3 == 2; c.How != HowInternal && write != (c.Access == AccessWrite) {
					t.Errorf("0x%08x has access %s", c.Code, c.Access)
				}
				if c.How == HowInternal && c.Code&internalBit == 0 {
					t.Errorf("0x%08x is not internal", c.Code)
				}
			}
			g := codeOnline(t)
			ask := asking(c)
			if strings.HasPrefix(c.Name, "VALIDATE") {
				ask.Input = []byte(`{}`)
			}
			ask.Read = c.Access == AccessRead
			g.ask(ask)
			f := g.finished("1")
			switch c.How {
			case HowSpec:
				g.want(f.Kind == FinishRefused && f.Status == CodeInvalidRequest && strings.Contains(f.Message, c.Text), "%+v", f)
				return
			case HowInternal:
				g.want(f.Kind == FinishRefused && f.Status == CodeAccessDenied, "%+v", f)
				return
			case HowOwnership:
				g.want(f.Kind == FinishRefused && f.Status == CodeInvalidFunction, "%+v", f)
				return
			}
			g.want(g.claims() == 1, "not claimed first")
			g.claim("1", true)
			f = g.finished("1")
			g.want(f != nil && f.Kind == FinishCompleted && f.Status == CodeSuccess, "%+v", f)
			g.want(len(f.Output) == 0 || json.Valid(f.Output), "%s", f.Output)
			text := string(f.Output)

			ask.ID, ask.Name, ask.Code = "2", "", c.Code
			if c.Access == AccessRead {
				g.send(Event{Recorded: &Recorded{ID: "1"}})
				g.ask(ask)
				g.claim("2", true)
				f = g.finished("2")
				g.want(f != nil && (string(f.Output) == text || c.Name == "GET_FAILURE_INFO"), "by number: %s, by name: %s", f.Output, text)
			}
			s := newRig(t)
			s.typedPlan(controlled("a"))
			ask.ID = "3"
			s.ask(ask)
			if c.Access == AccessWrite {
				s.want(s.finished("3").Status == CodeHostNodeNotOwner, "a standby: %+v", s.finished("3"))
				return
			}
			s.claim("3", true)
			s.want(s.finished("3") != nil && s.finished("3").Kind == FinishCompleted, "a standby")
		})
	}
}

func (g *rig) output(ask Control) string {
	g.t.Helper()
	ask.ID = fmt.Sprint("o", len(g.record))
	g.ask(ask)
	g.claim(ask.ID, true)
	f := g.finished(ask.ID)
	g.want(f != nil && f.Kind == FinishCompleted, "%+v", f)
	if f.Status != CodeSuccess {
		return fmt.Sprint(uint32(f.Status), " ", f.Message)
	}
	return string(f.Output)
}

func TestCodeOutputs(t *testing.T) {
	g := codeOnline(t)
	for _, tc := range []struct {
		ask  Control
		want string
	}{
		{Control{Resource: "a", Name: "GET_CHARACTERISTICS"}, `{"characteristics":1,"names":["QUORUM"]}`},
		{Control{TypeName: "test", Name: "GET_ARB_TIMEOUT"}, `{"seconds":0}`},
		{Control{Resource: "a", Name: "GET_CLASS_INFO"}, `{"class":1,"className":"Storage","subclass":1073741824}`},
		{Control{Resource: "a", Name: "GET_REQUIRED_DEPENDENCIES"}, `{"requiredDependencies":["class:Storage"]}`},
		{Control{Resource: "a", Name: "GET_NAME"}, `{"name":"a"}`},
		{Control{Resource: "a", Name: "GET_ID"}, `{"id":"a"}`},
		{Control{Resource: "a", Name: "GET_STATE"}, `{"code":2,"state":"Online","stateChangeTime":"2023-11-14T22:13:20Z"}`},
		{Control{Resource: "a", Name: "GET_RO_COMMON_PROPERTIES"},
			`{"LastOperationStatusCode":0,"Name":"a","StatusInformation":0,"Type":"test"}`},
		{Control{Resource: "a", Name: "GET_COMMON_PROPERTIES"}, `{"DeadlockTimeout":60000,"EmbeddedFailureAction":2,"IsAlivePollInterval":30000,` +
			`"LooksAlivePollInterval":5000,"PendingTimeout":10000,"PersistentState":true,"RestartAction":2,` +
			`"RestartDelay":500,"RestartPeriod":900000,"RestartThreshold":1,"RetryPeriodOnFailure":3600000}`},
		{Control{Resource: "a", Name: "ENUM_PRIVATE_PROPERTIES"}, `{"properties":["path","size"]}`},
		{Control{Resource: "a", Name: "GET_PRIVATE_PROPERTIES"}, `{"path":"/x"}`},
		{Control{Resource: "a", Name: "GET_PRIVATE_PROPERTY_FMTS"}, `{"path":"string","size":"integer"}`},
		{Control{TypeName: "test", Name: "GET_PRIVATE_RESOURCE_PROPERTY_FMTS"}, `{"path":"string","size":"integer"}`},
		{Control{TypeName: "Test", Name: "GET_RO_COMMON_PROPERTIES"}, `{"ControlTimeoutMaximum":30000,"Name":"test"}`},
		{Control{Name: "GET_NAME"}, `{"name":"db"}`},
		{Control{Name: "GET_ID"}, `{"id":"g"}`},
		{Control{Name: "GET_STATE"}, `{"code":0,"state":"Online"}`},
		{Control{Name: "GET_COMMON_PROPERTIES"}, `{"FailoverThreshold":2}`},
		{Control{Resource: "a", Name: "VALIDATE_COMMON_PROPERTIES", Input: []byte(`{"RestartThreshold":3,"PersistentState":false}`)}, ``},
		{Control{Resource: "a", Name: "VALIDATE_COMMON_PROPERTIES", Input: []byte(`{"Name":"b"}`)},
			"87 spec.input.Name: it is only told, and cannot be set"},
		{Control{Resource: "a", Name: "VALIDATE_COMMON_PROPERTIES", Input: []byte(`{"Color":1}`)},
			"87 spec.input.Color: there is no such common property"},
		{Control{Resource: "a", Name: "VALIDATE_COMMON_PROPERTIES", Input: []byte(`{"PendingTimeout":9}`)},
			"13 spec.input.PendingTimeout: must be from 10 to 4294967295"},
		{Control{Resource: "a", Name: "VALIDATE_COMMON_PROPERTIES", Input: []byte(`{"PendingTimeout":"9"}`)},
			"87 spec.input.PendingTimeout: must be of format integer, not string"},
		{Control{Resource: "a", Name: "VALIDATE_COMMON_PROPERTIES", Input: []byte(`[]`)},
			"87 spec.input must be an object of properties by name"},
		{Control{Resource: "a", Name: "VALIDATE_PRIVATE_PROPERTIES", Input: []byte(`{"path":"/y","size":3}`)}, ``},
		{Control{Resource: "a", Name: "VALIDATE_PRIVATE_PROPERTIES", Input: []byte(`{"pats":"/y"}`)},
			"87 spec.input.pats: there is no such private property"},
		{Control{Resource: "a", Name: "VALIDATE_PRIVATE_PROPERTIES", Input: []byte(`{"size":1.5}`)},
			"87 spec.input.size: must be of format integer, not number"},
	} {
		if got := g.output(tc.ask); got != tc.want {
			t.Errorf("%+v: %s, want %s", tc.ask, got, tc.want)
		}
	}
	old := online(t, controlled("a")) // a plan without types
	if got := old.output(Control{Resource: "a", Name: "GET_CHARACTERISTICS"}); got != `{"characteristics":0,"names":[]}` {
		t.Error(got)
	}
	if got := old.output(Control{Resource: "a", Name: "GET_CLASS_INFO"}); got != `{"class":0,"className":"Unknown","subclass":0}` {
		t.Error(got)
	}
	if got := old.output(Control{Resource: "a", Name: "GET_PRIVATE_PROPERTIES"}); got != `{}` {
		t.Error(got)
	}
}

// A provider is asked first for what is its own, if it serves control codes at all, and
// what it leaves to the monitor the monitor answers, whether that comes at once or later.
//
// Shows: BeginResourceControl, BeginResourceTypeControl.
func TestProviderAnswersFirst(t *testing.T) {
	for _, c := range Codes() {
		if c.How != HowProvider {
			continue
		}
		t.Run(fmt.Sprint(c.Target, " ", c.Name), func(t *testing.T) {
			op, capability, uid := OpBeginResourceControl, capabilityControl, "a"
			if c.Target == TargetType {
				op, capability, uid = OpBeginResourceTypeControl, capabilityTypeControl, ""
			}
			ask := asking(c)
			ask.Input = []byte(`{}`)
			for name, end := range map[string]func(*rig, Code){
				"at once": func(g *rig, s Code) { g.answer(op, uid, Returned{Status: s, Output: []byte("mine")}) },
				"later": func(g *rig, s Code) {
					context := g.call(op, uid).Control.Context
					g.answer(op, uid, Returned{Async: true})
					g.cb(Callback{Container: "c", EndControlCall: &EndControlCall{
						Type: uid == "", Context: context, Status: s, Output: []byte("mine"),
					}})
				},
			} {
				g := codeOnline(t, capability)
				g.ask(ask)
				g.claim("1", true)
				g.want(g.call(op, uid) != nil && g.call(op, uid).Control.Code == c.Code, "%s: not asked", name)
				end(g, CodeSuccess)
				f := g.finished("1")
				g.want(f != nil && string(f.Output) == "mine", "%s: %+v", name, f)
				g = codeOnline(t, capability)
				g.ask(ask)
				g.claim("1", true)
				end(g, CodeInvalidFunction)
				f = g.finished("1")
				g.want(f != nil && f.Kind == FinishCompleted && f.Status == CodeSuccess && string(f.Output) != "mine", "%s: %+v", name, f)
			}
		})
	}
}

// A code that the type declares is the provider's alone: its ERROR_INVALID_FUNCTION stands.
func TestDeclaredCodeHasNoDefault(t *testing.T) {
	g := codeOnline(t, capabilityControl)
	g.ask(Control{ID: "1", Resource: "a", Name: "SAVE"})
	g.claim("1", true)
	g.answer(OpBeginResourceControl, "a", Returned{Status: CodeInvalidFunction})
	f := g.finished("1")
	g.want(f != nil && f.Kind == FinishCompleted && f.Status == CodeInvalidFunction, "%+v", f)
}

func TestUnknownCodes(t *testing.T) {
	g := codeOnline(t)
	for _, tc := range []struct {
		ask  Control
		want Code
		says string
	}{
		{Control{Resource: "a", Name: "NOPE"}, CodeInvalidFunction, "the type test declares no control code NOPE, it has: PEEK, SAVE; and there are: UNKNOWN, "},
		{Control{Resource: "a", Code: 0x01000004}, CodeInvalidFunction, "no control code 0x01000004"},
		{Control{Resource: "a"}, CodeInvalidFunction, "no control code 0x00000000"},
		{Control{Resource: "a", Code: 0x01502122}, CodeAccessDenied, "0x01502122 is internal"},
		{Control{TypeName: "test", Name: "FAIL"}, CodeInvalidFunction, "it has: PREPARE, LIST; and there are"},
		{Control{Name: "GET_FLAGS"}, CodeInvalidFunction, "a group has no control code GET_FLAGS, it has: GET_NAME, "},
	} {
		tc.ask.ID = "1"
		g.ask(tc.ask)
		f := g.finished("1")
		g.want(f.Kind == FinishRefused && f.Status == tc.want && strings.Contains(f.Message, tc.says), "%+v", f)
		for _, r := range g.snap("a").ControlResults {
			g.want(r.Name != "", "a result without a name is no status: %+v", r)
		}
		g.send(Event{Recorded: &Recorded{ID: "1"}})
	}
}

// FAIL is a failure as any other: it is counted, terminated, restarted, and at the
// threshold asks for a failover.
func TestSimulatedFailure(t *testing.T) {
	g := codeOnline(t)
	fail := func(id string) *Finish {
		g.ask(Control{ID: id, Resource: "a", Name: "FAIL"})
		g.claim(id, true)
		return g.finished(id)
	}
	f := fail("1")
	g.want(f.Status == CodeSuccess && strings.Contains(f.Message, "restarted"), "%+v", f)
	g.is("a", Failed)
	s := g.snap("a")
	g.want(s.LastFailure.Reason == ReasonSimulated && len(s.Failures) == 1 && s.Verdict == VerdictRestart, "%+v", s)
	g.want(fail("again").Status == CodeResourceNotOnline && len(g.snap("a").Failures) == 1, "what failed fails twice")
	g.ok(OpTerminate, "a")
	g.pass(500 * ms)
	g.ok(OpOnline, "a")
	g.is("a", Online)
	fail("2")
	g.want(g.need.Failover && g.need.Resource == "a", "%+v", g.need)
	g.ok(OpTerminate, "a")
	g.waits("a", ReasonWaitingRetry)

	g.ask(Control{ID: "3", Resource: "a", Name: "RESET-FAILURES"})
	g.claim("3", true)
	g.want(g.finished("3").Status == CodeSuccess && !g.need.Failover, "%+v", g.finished("3"))
	g.flying("Online a")
	g.want(len(g.snap("a").Failures) == 0, "failures are not forgotten")
	g.ok(OpOnline, "a")
	fail("4")
	g.want(g.snap("a").Verdict == VerdictRestart, "the threshold counts from the reset: %+v", g.snap("a"))
}

// A monitor that dies between the claim and the journal does not simulate a failure again.
func TestSimulatedFailureOnce(t *testing.T) {
	g := codeOnline(t)
	g.ask(Control{ID: "1", Resource: "a", Name: "FAIL"})
	s := roundTrip(t, g.e.Snapshot(g.now))
	g.claim("1", true)
	h := newRig(t)
	h.e, h.now = Restore(Config{}, s), g.now
	h.grant(1)
	h.up("c", "c1")
	h.answer(OpOpen, "a", Returned{State: ReportedOnline})
	h.ask(Control{ID: "1", Resource: "a", Name: "FAIL", Claimed: true})
	f := h.finished("1")
	h.want(f != nil && f.Kind == FinishUnknown, "%+v", f)
	h.is("a", Online)
}

// A call in somebody's name goes to a provider that can act so, or nowhere.
//
// Shows: BeginResourceControlAsUser, BeginResourceTypeControlAsUser.
func TestControlAsUser(t *testing.T) {
	who := &User{Name: "kim", UID: "7", Groups: []string{"dba"}}
	for _, tc := range []struct {
		ask Control
		op  Op
	}{
		{Control{ID: "1", Resource: "a", Name: "SAVE", User: who}, OpBeginResourceControlAsUser},
		{Control{ID: "1", TypeName: "test", Name: "PREPARE", User: who}, OpBeginResourceTypeControlAsUser},
	} {
		g := codeOnline(t, capabilityControl, capabilityTypeControl)
		g.ask(tc.ask)
		f := g.finished("1")
		g.want(f != nil && f.Kind == FinishRefused && f.Status == CodeNotImplemented &&
			strings.Contains(f.Message, capabilityAsUser), "%+v", f)
		g = codeOnline(t, capabilityAsUser)
		g.ask(tc.ask)
		g.claim("1", true)
		c := g.call(tc.op, tc.ask.Resource)
		g.want(c != nil && c.Control.User != nil && slices.Equal(c.Control.User.Groups, who.Groups), "%+v", c)
		g.answer(tc.op, tc.ask.Resource, Returned{Output: []byte("x")})
		g.want(g.finished("1") != nil && string(g.finished("1").Output) == "x", "%+v", g.finished("1"))
	}
	// The monitor does what it does as itself.
	g := codeOnline(t, capabilityControl)
	g.ask(Control{ID: "1", Resource: "a", Name: "GET_NAME", User: who})
	g.claim("1", true)
	g.want(g.finished("1") != nil && g.finished("1").Status == CodeSuccess, "%+v", g.finished("1"))
	// A provider that serves codes, and not as a user, is not asked in its own name.
	g.ask(Control{ID: "2", Resource: "a", Name: "GET_FLAGS", User: who})
	g.claim("2", true)
	g.want(g.finished("2") != nil && string(g.finished("2").Output) == `{"flags":0}`, "%+v", g.finished("2"))
}

// ERROR_MORE_DATA tells how much there would be; else it is the output that says so.
func TestMoreData(t *testing.T) {
	for _, async := range []bool{false, true} {
		for status, want := range map[Code]uint32{CodeMoreData: 70000, CodeSuccess: 0} {
			g := online(t, controlled("a"))
			g.ask(Control{ID: "1", Resource: "a", Name: "SAVE"})
			g.claim("1", true)
			context := g.call(OpBeginResourceControl, "a").Control.Context
			g.answer(OpBeginResourceControl, "a", Returned{Async: async, Status: status, BytesReturned: 70000})
			if async {
				g.cb(Callback{Container: "c", EndControlCall: &EndControlCall{Context: context, Status: status, BytesReturned: 70000}})
			}
			f := g.finished("1")
			g.want(f != nil && f.BytesReturned == want, "%+v", f)
		}
	}
}

const docFile = "../../docs/control-calls.md"

// The documentation has the table. UPDATE_DOCS=1 writes it.
func TestCodeTableIsDocumented(t *testing.T) {
	b, err := os.ReadFile(docFile)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for _, target := range []Target{TargetResource, TargetType, TargetGroup, ""} {
		name := string(target)
		table := "| code | number | access | who | output |\n|---|---|---|---|---|\n"
		if target == "" {
			name, table = "refused", "| code | number | of | |\n|---|---|---|---|\n"
		}
		for _, c := range Codes() {
			number := "none"
			if c.Code != 0 {
				number = fmt.Sprintf("`0x%08X`", c.Code)
			}
			refused := c.How == HowSpec || c.How == HowInternal
			switch {
			case refused && target == "":
				table += fmt.Sprintf("| %#q | %s | %s | %s |\n", c.Name, number, c.Target, c.Text)
			case !refused && c.Target == target:
				table += fmt.Sprintf("| %#q | %s | %s | %s | %s |\n", c.Name, number, c.Access, c.How, c.Text)
			}
		}
		begin, end := "<!-- codes: "+name+" -->\n", "<!-- end -->\n"
		before, rest, found := strings.Cut(text, begin)
		_, after, closed := strings.Cut(rest, end)
		if !found || !closed {
			t.Fatalf("%s lacks %q", docFile, begin)
		}
		text = before + begin + table + end + after
	}
	if text == string(b) {
		return
	}
	if os.Getenv("UPDATE_DOCS") == "" {
		t.Fatalf("%s is not up to date: run UPDATE_DOCS=1 go test ./monitor/engine -run TestCodeTableIsDocumented", docFile)
	}
	if err := os.WriteFile(docFile, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
