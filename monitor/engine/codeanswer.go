// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// answer is what the monitor itself answers to a control call.
type answer struct {
	code    Code
	message string
	output  any // as JSON; nil is no output
}

// object is the output of most codes.
type object map[string]any

// answer does the call as the monitor does, and says whether it could.
func (e *Engine) answer(k *control) bool {
	c := CodeOf(k.target(), "", k.spec.Code)
	if c == nil || c.answer == nil || k.target() == TargetResource && k.r == nil {
		return false
	}
	a := c.answer(e, k)
	f := Finish{Kind: FinishCompleted, Status: a.code, Message: a.message}
	if a.output != nil {
		f.Output = asJSON(a.output)
	}
	e.finishControl(k, f)
	return true
}

func asJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil { // what a plan holds as raw JSON, and is none
		return []byte("{}")
	}
	return b
}

func gives(o any) answer { return answer{output: o} }

func tellSuccess(*Engine, *control) answer { return answer{} }

func tellEmpty(*Engine, *control) answer { return gives(object{}) }

func tellNoProperties(*Engine, *control) answer { return gives(object{"properties": []string{}}) }

// typeOfTarget is the type that is called, or that of the resource.
func (e *Engine) typeOfTarget(k *control) Type {
	if k.r != nil {
		return e.typeOf(k.r.spec.TypeName)
	}
	return e.typeOf(k.ask.TypeName)
}

// characteristicQuorum is CLUS_CHAR_QUORUM (RA section 3.5).
const characteristicQuorum = 0x1

func tellCharacteristics(e *Engine, k *control) answer {
	bits, names := 0, []string{}
	if e.typeOfTarget(k).Quorum {
		bits, names = characteristicQuorum, append(names, "QUORUM")
	}
	return gives(object{"characteristics": bits, "names": names})
}

func tellFlags(*Engine, *control) answer { return gives(object{"flags": 0}) }

// classes are RA section 3.5, CLUSTER_RESOURCE_CLASS.
var classes = map[string]uint32{"Storage": 1, "Network": 2, "User": 0x8000}

func tellClass(e *Engine, k *control) answer {
	t := e.typeOfTarget(k)
	class, known := classes[t.Class]
	if !known {
		t.Class = "Unknown"
	}
	return gives(object{"class": class, "className": t.Class, "subclass": t.Subclass})
}

func tellRequiredDependencies(e *Engine, k *control) answer {
	return gives(object{"requiredDependencies": append([]string{}, e.typeOfTarget(k).RequiredDependencies...)})
}

func tellArbitrationTimeout(e *Engine, k *control) answer {
	longest := time.Duration(0)
	for _, r := range e.resourcesOf(k.ask.TypeName) {
		longest = max(longest, r.spec.ArbitrationTimeout)
	}
	return gives(object{"seconds": int64((longest + time.Second - 1) / time.Second)})
}

func tellFailures(e *Engine, k *control) answer {
	s := e.resourceSnapshot(k.r)
	o := object{
		"failuresInPeriod": len(s.Failures), "totalFailures": s.TotalFailures, "totalRestarts": s.TotalRestarts,
	}
	if s.Verdict != VerdictNone {
		o["verdict"] = s.Verdict
	}
	if s.NextTry != nil {
		o["nextTryTime"] = s.NextTry.WallTime()
	}
	if f := s.LastFailure; f != nil {
		o["lastFailure"] = object{
			"time": f.Time.WallTime(), "reason": f.Reason, "code": f.Code, "codeName": f.Code.String(),
			"message": f.Message, "applicationErrorCode": f.ApplicationErrorCode,
		}
	}
	return gives(o)
}

func tellName(e *Engine, k *control) answer {
	if k.r != nil {
		return gives(object{"name": k.r.spec.Name})
	}
	return gives(object{"name": e.self.Name})
}

func tellID(e *Engine, k *control) answer {
	if k.r != nil {
		return gives(object{"id": k.r.spec.UID})
	}
	return gives(object{"id": e.self.UID})
}

func tellResourceType(_ *Engine, k *control) answer {
	return gives(object{"resourceType": k.r.spec.TypeName})
}

func tellMaintenance(*Engine, *control) answer { return gives(object{"maintenanceMode": false}) }

func tellStateChangeTime(_ *Engine, k *control) answer {
	return gives(object{"stateChangeTime": k.r.since.WallTime()})
}

func tellState(_ *Engine, k *control) answer {
	return gives(object{"state": k.r.state, "code": k.r.state.Code(), "stateChangeTime": k.r.since.WallTime()})
}

func tellGroupState(e *Engine, _ *control) answer {
	s := e.groupState()
	return gives(object{"state": s, "code": s.Code()})
}

func tellGroupCommon(e *Engine, _ *control) answer {
	if len(e.self.Properties) == 0 {
		return gives(object{})
	}
	return gives(e.self.Properties)
}

func tellTypeCommon(e *Engine, k *control) answer {
	t := e.typeOfTarget(k)
	return gives(object{"Name": t.Name, "ControlTimeoutMaximum": e.controlMaximum(t.Name).Milliseconds()})
}

func tellTypeNames(e *Engine, k *control) answer {
	names := slices.Sorted(maps.Keys(tellTypeCommon(e, k).output.(object)))
	return gives(object{"properties": names})
}

// simulateFailure is FailClusterResource: what follows is what follows from any failure.
func simulateFailure(e *Engine, k *control) answer {
	r := k.r
	if !r.up() || r.terminating || r.kill {
		return answer{code: CodeResourceNotOnline, message: r.spec.Name + " is " + string(r.state) +
			": only what is online, or on its way, can fail"}
	}
	e.fail(r, failure{reason: ReasonSimulated, code: CodeResourceFailed, verified: true,
		message: "a ControlCall asked for a failure"})
	return answer{message: r.outlook(e)}
}

// resetFailures has the policy forget, as if somebody had changed the spec.
func resetFailures(e *Engine, k *control) answer {
	r := k.r
	n := len(r.failures)
	r.resetSeries()
	r.openAt, r.openBackoff = 0, 0
	e.touch(r, true)
	e.again = true
	e.note(LevelInformation, r, ReasonFailuresReset, fmt.Sprintf("%d failures of %s are forgotten", n, r.spec.Name), true)
	return answer{message: fmt.Sprintf("%d failures are forgotten", n)}
}

// collectDump is RequestDump (RA section 1.19), asked for by people.
func collectDump(e *Engine, k *control) answer {
	switch code := e.dumpAsked(k.r); code {
	case CodeSuccess:
		return answer{message: "asked for: status.owner.lastDump says what came of it"}
	case CodeResourcesLacking:
		return answer{code: code, message: "one was collected a moment ago, or is being collected: look at " +
			"status.owner.lastDump"}
	default:
		return answer{code: code, message: "nothing runs in container " + k.r.c.name}
	}
}

// A property is a common property of a resource (RA section 5.1). One without bounds is
// told, and set nowhere.
type property struct {
	name     string
	format   string
	min, max int64
	of       func(Resource, *resource) any
}

func (p property) readOnly() bool { return p.format != "boolean" && p.min == p.max }

const maxDWORD = math.MaxUint32

// milliseconds is a property that is a time; none is what 0 or less stands for.
func milliseconds(name string, least int64, of func(Resource) time.Duration, none int64) property {
	return property{name, "integer", least, maxDWORD, func(s Resource, _ *resource) any {
		if d := of(s); d > 0 {
			return d.Milliseconds()
		}
		return none
	}}
}

// embeddedActions are RA section 3.5, CLUSTER_RESOURCE_EMBEDDED_FAILURE_ACTION.
var embeddedActions = []EmbeddedFailureAction{EmbeddedNone, EmbeddedLogOnly, EmbeddedRecover}

// actions are RA section 3.5, CLUSTER_RESOURCE_RESTART_ACTION.
var actions = []RestartAction{DontRestart, RestartNoNotify, RestartNotify}

var commonProperties = []property{
	{"Name", "string", 0, 0, func(s Resource, _ *resource) any { return s.Name }},
	{"Type", "string", 0, 0, func(s Resource, _ *resource) any { return s.TypeName }},
	{"StatusInformation", "integer", 0, 0, func(_ Resource, r *resource) any { return r.information }},
	{"LastOperationStatusCode", "integer", 0, 0, func(_ Resource, r *resource) any { return r.lastStatus }},
	{"PersistentState", "boolean", 0, 1, func(s Resource, _ *resource) any { return s.DesiredState != DesiredOffline }},
	milliseconds("LooksAlivePollInterval", 10, func(s Resource) time.Duration { return s.LooksAliveInterval }, 0),
	milliseconds("IsAlivePollInterval", 10, func(s Resource) time.Duration { return s.IsAliveInterval }, 0),
	milliseconds("PendingTimeout", 10, func(s Resource) time.Duration { return s.PendingTimeout }, 0),
	milliseconds("DeadlockTimeout", 1000, func(s Resource) time.Duration { return s.DeadlockTimeout }, 0),
	{"RestartAction", "integer", 0, 2, func(s Resource, _ *resource) any {
		return slices.Index(actions, s.RestartAction)
	}},
	{"EmbeddedFailureAction", "integer", 0, 2, func(s Resource, _ *resource) any {
		return slices.Index(embeddedActions, s.EmbeddedFailureAction)
	}},
	{"RestartThreshold", "integer", 0, maxDWORD, func(s Resource, _ *resource) any { return s.RestartThreshold }},
	milliseconds("RestartPeriod", 0, func(s Resource) time.Duration { return s.RestartPeriod }, 0),
	milliseconds("RestartDelay", 0, func(s Resource) time.Duration { return s.RestartDelay }, 0),
	milliseconds("RetryPeriodOnFailure", 0, func(s Resource) time.Duration { return s.RetryPeriodOnFailure }, maxDWORD),
}

func tellCommonNames(*Engine, *control) answer {
	names := make([]string, 0, len(commonProperties))
	for _, p := range commonProperties {
		names = append(names, p.name)
	}
	return gives(object{"properties": names})
}

func commonValues(r *resource, readOnly bool) answer {
	o := object{}
	for _, p := range commonProperties {
		if p.readOnly() == readOnly {
			o[p.name] = p.of(r.spec, r)
		}
	}
	return gives(o)
}

func tellReadOnlyCommon(_ *Engine, k *control) answer { return commonValues(k.r, true) }

func tellCommon(_ *Engine, k *control) answer { return commonValues(k.r, false) }

func tellCommonFormats(*Engine, *control) answer {
	o := object{}
	for _, p := range commonProperties {
		o[p.name] = p.format
	}
	return gives(o)
}

// input reads the properties that a call gives.
func (k *control) input() (map[string]json.RawMessage, answer) {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(k.ask.Input, &m); err != nil || m == nil {
		return nil, answer{code: CodeInvalidParameter, message: "spec.input must be an object of properties by name"}
	}
	return m, answer{}
}

func validateCommon(_ *Engine, k *control) answer {
	given, bad := k.input()
	if given == nil {
		return bad
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		i := slices.IndexFunc(commonProperties, func(p property) bool { return p.name == name })
		if i < 0 {
			return answer{code: CodeInvalidParameter, message: "spec.input." + name + ": there is no such common property"}
		}
		if a := commonProperties[i].validate(given[name]); a.code != CodeSuccess {
			return a
		}
	}
	return answer{}
}

func (p property) validate(v json.RawMessage) answer {
	at := "spec.input." + p.name + ": "
	if p.readOnly() {
		return answer{code: CodeInvalidParameter, message: at + "it is only told, and cannot be set"}
	}
	if f := formatOf(v); f != p.format {
		return answer{code: CodeInvalidParameter, message: at + "must be of format " + p.format + ", not " + f}
	}
	var n int64
	if p.format == "integer" && (json.Unmarshal(v, &n) != nil || n < p.min || n > p.max) {
		return answer{code: CodeInvalidData, message: fmt.Sprintf("%smust be from %d to %d", at, p.min, p.max)}
	}
	return answer{}
}

func tellPrivate(_ *Engine, k *control) answer {
	if len(k.r.spec.Properties) == 0 {
		return gives(object{})
	}
	return gives(k.r.spec.Properties)
}

func tellPrivateNames(e *Engine, k *control) answer {
	names := map[string]bool{}
	for _, f := range e.typeOfTarget(k).PropertyFormats {
		names[f.Name] = true
	}
	for name := range topLevel(k.r.spec.Properties) {
		names[name] = true
	}
	return gives(object{"properties": append([]string{}, slices.Sorted(maps.Keys(names))...)})
}

func tellPrivateFormats(e *Engine, k *control) answer {
	o := object{}
	for _, f := range e.typeOfTarget(k).PropertyFormats {
		o[f.Name] = f.Format
	}
	return gives(o)
}

// validatePrivate checks names and formats: only the manager knows the whole schema.
func validatePrivate(e *Engine, k *control) answer {
	given, bad := k.input()
	if given == nil {
		return bad
	}
	formats := e.typeOfTarget(k).PropertyFormats
	for _, name := range slices.Sorted(maps.Keys(given)) {
		i := slices.IndexFunc(formats, func(f PropertyFormat) bool { return f.Name == name })
		at := "spec.input." + name + ": "
		switch {
		case len(formats) == 0: // a plan of old
		case i < 0:
			return answer{code: CodeInvalidParameter, message: at + "there is no such private property"}
		default:
			want, got := formats[i].Format, formatOf(given[name])
			if !fits(want, got) {
				return answer{code: CodeInvalidParameter, message: at + "must be of format " + want + ", not " + got}
			}
		}
	}
	return answer{}
}

// fits: what may be a number or a text has the format of a text, and what may be
// anything that of an object; null is for the schema to judge.
func fits(want, got string) bool {
	return got == want || got == "null" || want == "object" ||
		got == "integer" && (want == "number" || want == "string")
}

// formatOf names the format of a JSON value.
func formatOf(v json.RawMessage) string {
	var x any
	if json.Unmarshal(v, &x) != nil {
		return "none"
	}
	switch x := x.(type) {
	case string:
		return "string"
	case bool:
		return "boolean"
	case float64:
		if x == math.Trunc(x) {
			return "integer"
		}
		return "number"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	}
	return "null"
}
