// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"slices"
	"strings"
)

// Target is what a control call is of (the object byte of RA section 6.1).
type Target string

const (
	TargetResource Target = "resource"
	TargetType     Target = "type"
	TargetGroup    Target = "group"
)

// How says who answers a control code (RA section 6.3).
type How string

const (
	// HowMonitor: the monitor, from what it knows.
	HowMonitor How = "monitor"
	// HowProvider: the provider, if it serves control codes at all, and the monitor
	// where the provider answers ERROR_INVALID_FUNCTION.
	HowProvider How = "provider, then monitor"
	// HowOwnership: the owner hands over; not the engine's affair.
	HowOwnership How = "ownership"
	// HowSpec: nobody. It would set what a field of a spec sets.
	HowSpec How = "refused: a field"
	// HowInternal: nobody. The cluster itself tells it, and people cannot.
	HowInternal How = "refused: internal"
)

// Capabilities of a provider, as ProviderUp names them.
const (
	capabilityControl     = "CAPABILITY_RESOURCE_CONTROL"
	capabilityTypeControl = "CAPABILITY_RESOURCE_TYPE_CONTROL"
	capabilityCancel      = "CAPABILITY_CANCEL"
	capabilityAsUser      = "CAPABILITY_AS_USER"
)

// internalBit marks what only the cluster itself may send (RA section 6.1).
const internalBit = 1 << 20

// ControlCode is one code that needs no declaration. RA sections 6.4 to 6.6; numbers
// with the object byte 0x81, which RA section 6.1 leaves free, are ours.
type ControlCode struct {
	// Code is 0 for what WSFC has no code for.
	Code   uint32
	Name   string
	Target Target
	Access Access
	How    How
	// Text is what it answers, as JSON, or what to do instead.
	Text string

	answer func(*Engine, *control) answer
}

// Codes are the control codes that every group, type and resource has, in the order of
// the documentation.
func Codes() []ControlCode {
	return slices.Concat(resourceCodes(), typeCodes(), groupCodes(), refusedCodes())
}

var codes = Codes()

func resourceCodes() []ControlCode {
	read := func(code uint32, name string, how How, text string, f func(*Engine, *control) answer) ControlCode {
		return ControlCode{
			Code: code, Name: name, Target: TargetResource, Access: AccessRead, How: how, Text: text, answer: f,
		}
	}
	write := func(code uint32, name, text string, f func(*Engine, *control) answer) ControlCode {
		c := read(code, name, HowMonitor, text, f)
		c.Access = AccessWrite
		return c
	}
	return []ControlCode{
		read(0x01000000, "UNKNOWN", HowProvider, "nothing: that control codes are processed at all", tellSuccess),
		read(0x01000005, "GET_CHARACTERISTICS", HowProvider,
			"`characteristics`, `names`: QUORUM (1) if the type is quorum-capable", tellCharacteristics),
		read(0x01000009, "GET_FLAGS", HowProvider, "`flags`: 0", tellFlags),
		read(0x0100000d, "GET_CLASS_INFO", HowProvider, "`class`, `className`, `subclass` of the type", tellClass),
		read(0x01000011, "GET_REQUIRED_DEPENDENCIES", HowProvider,
			"`requiredDependencies` of the type: names of types, or `class:Storage`", tellRequiredDependencies),
		read(0x01000019, "GET_FAILURE_INFO", HowMonitor,
			"`failuresInPeriod`, `totalFailures`, `totalRestarts`, `verdict`, `nextTryTime`, `lastFailure`", tellFailures),
		read(0x01000029, "GET_NAME", HowMonitor, "`name`", tellName),
		read(0x01000039, "GET_ID", HowMonitor, "`id`: the UID", tellID),
		read(0x0100002d, "GET_RESOURCE_TYPE", HowMonitor, "`resourceType`", tellResourceType),
		read(0x01000051, "ENUM_COMMON_PROPERTIES", HowMonitor, "`properties`: the names", tellCommonNames),
		read(0x01000055, "GET_RO_COMMON_PROPERTIES", HowMonitor, "those that are only told, by name", tellReadOnlyCommon),
		read(0x01000059, "GET_COMMON_PROPERTIES", HowMonitor, "those that the spec sets, by name", tellCommon),
		read(0x01000061, "VALIDATE_COMMON_PROPERTIES", HowMonitor,
			"nothing; 87 or 13 says what is wrong with the input, an object of properties", validateCommon),
		read(0x01000065, "GET_COMMON_PROPERTY_FMTS", HowMonitor, "the format of each, by name", tellCommonFormats),
		read(0x01000079, "ENUM_PRIVATE_PROPERTIES", HowProvider, "`properties`: the names", tellPrivateNames),
		read(0x0100007d, "GET_RO_PRIVATE_PROPERTIES", HowProvider, "an empty object", tellEmpty),
		read(0x01000081, "GET_PRIVATE_PROPERTIES", HowProvider, "`spec.properties` with defaults", tellPrivate),
		read(0x01000089, "VALIDATE_PRIVATE_PROPERTIES", HowProvider,
			"nothing; 87 says what is wrong with the input, an object of properties: names and formats only", validatePrivate),
		read(0x0100008d, "GET_PRIVATE_PROPERTY_FMTS", HowProvider, "the format of each, by name", tellPrivateFormats),
		read(0x010001e1, "QUERY_MAINTENANCE_MODE", HowMonitor,
			"`maintenanceMode`: false, there is none yet", tellMaintenance),
		read(0x01002d5d, "GET_STATE_CHANGE_TIME", HowMonitor, "`stateChangeTime`", tellStateChangeTime),
		read(0x81000005, "GET_STATE", HowMonitor, "`state`, `code`, `stateChangeTime`", tellState),
		write(0x8140000a, "FAIL",
			"nothing: the resource fails, `SimulatedFailure`, and its restart policy acts as for a true failure",
			simulateFailure),
		write(0x8140000e, "RESET-FAILURES",
			"nothing: its failures are forgotten, and what waits or has given up is tried again at once", resetFailures),
		write(0x81400012, "DUMP",
			"nothing: a dump of its processes is collected, `status.owner.lastDump` says what came of it", collectDump),
	}
}

func typeCodes() []ControlCode {
	read := func(code uint32, name string, how How, text string, f func(*Engine, *control) answer) ControlCode {
		return ControlCode{Code: code, Name: name, Target: TargetType, Access: AccessRead, How: how, Text: text, answer: f}
	}
	return []ControlCode{
		read(0x02000000, "UNKNOWN", HowProvider, "as of a resource", tellSuccess),
		read(0x02000005, "GET_CHARACTERISTICS", HowProvider, "as of a resource", tellCharacteristics),
		read(0x02000009, "GET_FLAGS", HowProvider, "as of a resource", tellFlags),
		read(0x0200000d, "GET_CLASS_INFO", HowProvider, "as of a resource", tellClass),
		read(0x02000011, "GET_REQUIRED_DEPENDENCIES", HowProvider, "as of a resource", tellRequiredDependencies),
		read(0x02000015, "GET_ARB_TIMEOUT", HowMonitor,
			"`seconds` that Arbitrate may take, rounded up; 0 if the type is not quorum-capable", tellArbitrationTimeout),
		read(0x02000051, "ENUM_COMMON_PROPERTIES", HowMonitor, "`properties`: the names", tellTypeNames),
		read(0x02000055, "GET_RO_COMMON_PROPERTIES", HowMonitor, "`Name`, `ControlTimeoutMaximum`", tellTypeCommon),
		read(0x02000069, "GET_COMMON_RESOURCE_PROPERTY_FMTS", HowMonitor,
			"the format of each common property of its resources", tellCommonFormats),
		read(0x02000079, "ENUM_PRIVATE_PROPERTIES", HowProvider, "`properties`: none, a type has none", tellNoProperties),
		read(0x0200007d, "GET_RO_PRIVATE_PROPERTIES", HowProvider, "an empty object", tellEmpty),
		read(0x02000081, "GET_PRIVATE_PROPERTIES", HowProvider, "an empty object", tellEmpty),
		read(0x0200008d, "GET_PRIVATE_PROPERTY_FMTS", HowProvider, "an empty object", tellEmpty),
		read(0x02000091, "GET_PRIVATE_RESOURCE_PROPERTY_FMTS", HowProvider,
			"the format of each private property of its resources", tellPrivateFormats),
	}
}

func groupCodes() []ControlCode {
	of := func(
		code uint32, name string, access Access, how How, text string, f func(*Engine, *control) answer,
	) ControlCode {
		return ControlCode{Code: code, Name: name, Target: TargetGroup, Access: access, How: how, Text: text, answer: f}
	}
	return []ControlCode{
		of(0x03000029, "GET_NAME", AccessRead, HowMonitor, "`name`", tellName),
		of(0x03000039, "GET_ID", AccessRead, HowMonitor, "`id`: the UID", tellID),
		of(0x03000059, "GET_COMMON_PROPERTIES", AccessRead, HowMonitor, "those that the spec sets, by name", tellGroupCommon),
		of(0x81000005, "GET_STATE", AccessRead, HowMonitor, "`state`, `code`", tellGroupState),
		of(0x81400016, CodeNameMove, AccessWrite, HowOwnership, "nothing: the group goes to another host", nil),
		of(0x8140001a, CodeNameCancel, AccessWrite, HowOwnership,
			"nothing: a MOVE that has not begun ends, with 995", nil),
	}
}

// Names of the codes of a group that the engine has no part in.
const (
	CodeNameMove   = "MOVE"
	CodeNameCancel = "CANCEL"
)

// refusedCodes are those that people know and that are not how things are done here.
func refusedCodes() []ControlCode {
	var out []ControlCode
	field := func(target Target, code uint32, name, text string) {
		out = append(out, ControlCode{Code: code, Name: name, Target: target, Access: AccessWrite, How: HowSpec, Text: text})
	}
	internal := func(target Target, code uint32, name string) {
		out = append(out, ControlCode{Code: code, Name: name, Target: target, Access: AccessWrite, How: HowInternal,
			Text: "the cluster tells it by itself"})
	}
	maintenance := "there is no maintenance mode yet; set `spec.desiredState: Offline` to take it offline"
	for _, t := range []Target{TargetResource, TargetGroup} {
		field(t, 0, "ONLINE", "set `spec.desiredState: Online`")
		field(t, 0, "OFFLINE", "set `spec.desiredState: Offline`")
		field(t, 0, "MAINTENANCE", maintenance)
	}
	field(TargetResource, 0x0140005e, "SET_COMMON_PROPERTIES",
		"set the fields of `spec`, as `spec.restartThreshold` or `spec.isAlivePollIntervalMilliseconds`")
	field(TargetResource, 0x01400086, "SET_PRIVATE_PROPERTIES", "set `spec.properties`")
	field(TargetResource, 0x014001e6, "SET_MAINTENANCE_MODE", maintenance)
	field(TargetResource, 0x01500012, "ADD_DEPENDENCY", "set `spec.dependencies`")
	field(TargetResource, 0x01500016, "REMOVE_DEPENDENCY", "set `spec.dependencies`")
	field(TargetResource, 0x0150001a, "ADD_OWNER", "the group's `spec.template` says which nodes its hosts may have")
	field(TargetResource, 0x0150001e, "REMOVE_OWNER", "the group's `spec.template` says which nodes its hosts may have")
	field(TargetResource, 0x01500026, "SET_NAME", "`metadata.name` does not change: create another ClusterResource")
	field(TargetType, 0x0240005e, "SET_COMMON_PROPERTIES", "set the fields of the ResourceType's `spec`")
	field(TargetType, 0x02400086, "SET_PRIVATE_PROPERTIES", "a type has no private properties")
	field(TargetGroup, 0x0340005e, "SET_COMMON_PROPERTIES", "set the fields of `spec`, as `spec.failoverThreshold`")
	internal(TargetResource, 0x01500006, "DELETE")
	internal(TargetResource, 0x0150000a, "INSTALL_NODE")
	internal(TargetResource, 0x0150000e, "EVICT_NODE")
	internal(TargetResource, 0x0150004a, "INITIALIZE")
	internal(TargetResource, 0x0150004e, "STATE_CHANGE_REASON")
	internal(TargetResource, 0x011020e9, "GET_OPERATION_CONTEXT")
	internal(TargetType, 0x0250000a, "INSTALL_NODE")
	internal(TargetType, 0x0250000e, "EVICT_NODE")
	internal(TargetType, 0x02500036, "STARTING_PHASE1")
	internal(TargetType, 0x0250003a, "STARTING_PHASE2")
	internal(TargetType, 0x02100081, "NOTIFY_MONITOR_SHUTTING_DOWN")
	return out
}

// CodeOf finds a code that needs no declaration, by name, or by number if name is empty;
// nil if there is none.
func CodeOf(target Target, name string, code uint32) *ControlCode {
	i := slices.IndexFunc(codes, func(c ControlCode) bool {
		return c.Target == target && (name != "" && c.Name == name || name == "" && code != 0 && c.Code == code)
	})
	if i < 0 {
		return nil
	}
	return &codes[i]
}

// findCode finds the code of a call, and says whether it is one that the type declares:
// those come first. What is none, or nobody's to call, is an error.
func (e *Engine) findCode(k *control) (declared bool, code Code, why string) {
	own := e.declaredCodes(k)
	i := slices.IndexFunc(own, func(s ControlSpec) bool {
		return k.ask.Name != "" && s.Name == k.ask.Name || k.ask.Name == "" && s.Code == k.ask.Code
	})
	if i >= 0 {
		k.spec = own[i]
		return true, CodeSuccess, ""
	}
	target := k.target()
	asked := k.asked()
	c := CodeOf(target, k.ask.Name, k.ask.Code)
	switch {
	case c == nil && k.ask.Name == "" && k.ask.Code&internalBit != 0, c != nil && c.How == HowInternal:
		return false, CodeAccessDenied, "the code " + asked + " is internal: the cluster tells it by itself"
	case c != nil && c.How == HowSpec:
		return false, CodeInvalidRequest, "the code " + asked + " is no control call here: " + c.Text
	case c == nil || c.How == HowOwnership:
		return false, CodeInvalidFunction, e.unknownCode(k, asked, own)
	}
	k.spec = ControlSpec{Name: c.Name, Code: c.Code, Access: c.Access}
	return false, CodeSuccess, ""
}

// declaredCodes are those that the type declares for what is called.
func (e *Engine) declaredCodes(k *control) []ControlSpec {
	switch {
	case k.r != nil:
		return k.r.spec.Controls
	case k.target() == TargetType:
		return e.typeOf(k.ask.TypeName).Controls
	}
	return nil
}

func (e *Engine) unknownCode(k *control, asked string, own []ControlSpec) string {
	text := "a group has no control code " + asked + ", it has: "
	if k.target() != TargetGroup {
		name := k.ask.TypeName
		if k.r != nil {
			name = k.r.spec.TypeName
		}
		declared := make([]string, 0, len(own))
		for _, c := range own {
			declared = append(declared, c.Name)
		}
		text = "the type " + name + " declares no control code " + asked + ", it has: " +
			cmp.Or(strings.Join(declared, ", "), "none") + "; and there are: "
	}
	var names []string
	for _, c := range codes {
		if c.Target == k.target() && c.How != HowSpec && c.How != HowInternal {
			names = append(names, c.Name)
		}
	}
	return text + strings.Join(names, ", ")
}

// asksProvider: the call goes to the provider. One that nobody has to declare only if the
// provider is there and serves such calls, and in the caller's name only if it can.
func (e *Engine) asksProvider(k *control) bool {
	declared, _, _ := e.findCode(k)
	if declared {
		return true
	}
	c := CodeOf(k.target(), k.spec.Name, 0)
	if c == nil || c.How != HowProvider {
		return false
	}
	capability := capabilityControl
	if k.target() == TargetType {
		capability = capabilityTypeControl
	}
	on, _ := e.runner(k)
	return on != nil && on.can(capability) && (k.ask.User == nil || on.can(capabilityAsUser))
}

// typeOf is what the plan says of a type, or next to nothing.
func (e *Engine) typeOf(name string) Type {
	for _, t := range e.types {
		if strings.EqualFold(t.Name, name) {
			return t
		}
	}
	return Type{Name: name}
}
