// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	apischema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

// userCodeMark is the mark of a user-defined control code: bit 23 by RA section
// 6.2's macro, bit 21 by its architecture page. Either is taken.
const userCodeMark = 1<<23 | 1<<21

// CheckType judges a ResourceType on its own, and compiles its schema.
func CheckType(t *understudyv1alpha1.ResourceType) (*Schema, Problems) {
	spec := field.NewPath("spec")
	problems := Problems{}
	say := reporter{kind: KindType, name: t.Name, problems: &problems}
	s, errs := CompileSchema(t.Spec.PropertiesSchema, spec.Child("propertiesSchema"))
	say.all(errs)
	// The API server holds to this; a type without either must not end the manager.
	if p := t.Spec.Provider; (p.Image == nil) == (p.Inject == nil) {
		say.add(spec.Child("provider"), understudyv1alpha1.ReasonInvalid, "needs exactly one of image and inject")
	}
	if s != nil {
		checkUpdates(say, s, t.Spec.PropertyUpdates, spec.Child("propertyUpdates"))
	}
	checkCodes(say, t.Spec.ControlCodes, spec.Child("controlCodes"))
	return s, problems
}

// checkCodes judges the user-defined control codes of a type.
func checkCodes(say reporter, list []understudyv1alpha1.ControlCode, path *field.Path) {
	codes := map[int64]string{}
	for i, c := range list {
		at := path.Index(i)
		if other, twice := codes[c.Code]; twice {
			say.add(at.Child("code"), understudyv1alpha1.ReasonInvalid, fmt.Sprintf(
				"%d is the code of %s too: give each its own", c.Code, other))
		}
		codes[c.Code] = c.Name
		if c.Code&userCodeMark == 0 {
			say.add(at.Child("code"), understudyv1alpha1.ReasonInvalid, fmt.Sprintf(
				"%d lacks the mark of a user-defined code: take (object << 24) | ((0x200000 + function) << 2) | access", c.Code))
		}
		if slices.Contains(understudyv1alpha1.DefaultControlCodes, c.Name) {
			say.add(at.Child("name"), understudyv1alpha1.ReasonInvalid,
				c.Name+" is a code that every type has: choose another name")
		}
		say.all(checkControlSchema(c.InputSchema, at.Child("inputSchema")))
		say.all(checkControlSchema(c.OutputSchema, at.Child("outputSchema")))
	}
}

// planType is what the monitors are told of a type.
func planType(name string, t *typeInfo) planv1.Type {
	out := planv1.Type{
		Name: name, Class: string(t.spec.Class), Subclass: uint32(t.spec.Subclass),
		ControlTimeoutMaximum: cmp.Or(t.spec.ControlTimeoutMaximumMilliseconds, defaultControlTimeoutMaximum),
		Quorum:                t.spec.Quorum != nil,
		PropertyFormats:       formats(t.schema.structural.Properties),
		Controls:              controls(t.spec.ControlCodes),
	}
	for _, d := range t.spec.RequiredDependencies {
		if d.TypeName != "" {
			out.RequiredDependencies = append(out.RequiredDependencies, d.TypeName)
		} else {
			out.RequiredDependencies = append(out.RequiredDependencies, "class:"+string(d.Class))
		}
	}
	return out
}

// formats are those of properties by name. One that takes a number or a text is a
// text; one that takes anything, an object.
func formats(properties map[string]apischema.Structural) map[string]string {
	if len(properties) == 0 {
		return nil
	}
	out := map[string]string{}
	for name, p := range properties {
		out[name] = cmp.Or(p.Type, "object")
		if p.XIntOrString {
			out[name] = "string"
		}
	}
	return out
}

// controls are the codes of a type and of its resources, sorted by name.
func controls(codes []understudyv1alpha1.ControlCode) []planv1.Control {
	out := slices.Grow([]planv1.Control(nil), len(codes)) // nil for none
	for _, c := range codes {
		out = append(out, planv1.Control{
			Name: c.Name, Code: uint32(c.Code), Write: c.Access != understudyv1alpha1.ControlRead,
			Type:        c.Target == understudyv1alpha1.TargetType,
			InputSchema: inputSchema(c.InputSchema), OutputSchema: outputSchema(c.OutputSchema),
		})
	}
	slices.SortFunc(out, func(x, y planv1.Control) int { return cmp.Compare(x.Name, y.Name) })
	return out
}

// resourceControls are those of its resources alone. Their schemas stand once, with
// the type's.
func resourceControls(codes []understudyv1alpha1.ControlCode) []planv1.Control {
	var out []planv1.Control
	for _, c := range controls(codes) {
		if !c.Type {
			out = append(out, planv1.Control{Name: c.Name, Code: c.Code, Write: c.Write})
		}
	}
	return out
}

// outputSchema is that of an output: a provider may return more than it says.
func outputSchema(raw *runtime.RawExtension) json.RawMessage {
	if raw == nil {
		return nil
	}
	return raw.Raw
}
