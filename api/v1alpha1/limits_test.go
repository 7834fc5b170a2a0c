// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build envtest

package v1alpha1

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// companions are fields without which a value within its bounds breaks another rule.
var companions = map[string]string{
	"ResourceGroup.spec.stopFailure.cronJobName":            `{stopFailure: {policy: Fence}}`,
	"ResourceGroup.spec.stopFailure.afterSeconds":           `{stopFailure: {policy: Fence, cronJobName: a}}`,
	"ClusterResource.spec.retryPeriodOnFailureMilliseconds": `{restartPeriodMilliseconds: 0}`,
	"ControlCall.spec.resourceName":                         `{code: COUNT}`,
	"ControlCall.spec.typeName":                             `{code: COUNT}`,
	"ControlCall.spec.hostName":                             `{code: COUNT, access: Read}`,
}

func companion(kind, path string) string {
	if strings.HasPrefix(path, ".spec.provider.image") {
		return `{provider: {image: {image: a, command: [/a]}}}` // in place of inject
	}
	return companions[kind+path]
}

// Each bound of each spec holds, at the API server, on both sides: of the schema's own fields, so that none is forgotten.
func TestLimits(t *testing.T) {
	for _, kind := range slices.Sorted(maps.Keys(plurals)) {
		root := readCRD(t, plurals[kind]).Spec.Versions[0].Schema.OpenAPIV3Schema
		spec := root.Properties["spec"]
		visit(".spec", &spec, func(path string, s *apiextensionsv1.JSONSchemaProps) {
			limits(s, func(what string, good bool, value any) {
				t.Run(fmt.Sprintf("%s%s %s", kind, path, what), func(t *testing.T) {
					o := object(t, kind, "limits", companion(kind, path))
					fields := strings.Split(strings.TrimPrefix(path, ".spec."), ".")
					put(t, o.Object["spec"].(map[string]any), &spec, fields, value)
					refused := ""
					if !good {
						refused = strings.ReplaceAll(strings.TrimPrefix(path, "."), "[]", "[0]")
					}
					check(t, api.Create(t.Context(), o, client.DryRunAll), refused)
				})
			})
		})
	}
}

// limits tells the values on both sides of each bound of one field.
func limits(s *apiextensionsv1.JSONSchemaProps, add func(what string, good bool, value any)) {
	if s.Minimum != nil && len(s.Enum) == 0 {
		add("minimum", true, int64(*s.Minimum))
		add("below minimum", false, int64(*s.Minimum)-1)
	}
	if s.Maximum != nil && len(s.Enum) == 0 {
		add("maximum", true, int64(*s.Maximum))
		add("above maximum", false, int64(*s.Maximum)+1)
	}
	if s.MinLength != nil {
		add("minLength", true, text(s, *s.MinLength))
		add("below minLength", false, text(s, *s.MinLength-1))
	}
	if s.MaxLength != nil {
		add("maxLength", true, text(s, *s.MaxLength))
		add("above maxLength", false, text(s, *s.MaxLength+1))
	}
	if s.MinItems != nil {
		add("minItems", true, list(s, *s.MinItems))
		if *s.MinItems > 0 {
			add("below minItems", false, list(s, *s.MinItems-1))
		}
	}
	if s.MaxItems != nil {
		add("maxItems", true, list(s, *s.MaxItems))
		add("above maxItems", false, list(s, *s.MaxItems+1))
	}
}

// text is one of a length that the pattern takes.
func text(s *apiextensionsv1.JSONSchemaProps, length int64) string {
	for _, letter := range []string{"a", "A"} {
		if one := strings.Repeat(letter, int(length)); s.Pattern == "" || regexp.MustCompile(s.Pattern).MatchString(one) {
			return one
		}
	}
	return strings.Repeat("a", int(length)) // below minLength no pattern holds either
}

func list(s *apiextensionsv1.JSONSchemaProps, length int64) []any {
	out := make([]any, length)
	for i := range out {
		out[i] = value(s.Items.Schema, i)
	}
	return out
}

// value is a good one, another for each number.
func value(s *apiextensionsv1.JSONSchemaProps, i int) any {
	switch s.Type {
	case "object":
		out := map[string]any{}
		for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
			below := s.Properties[name]
			if exactlyOne(s) && (len(out) > 0 || len(below.Enum) > 0) {
				continue
			}
			// What is optional and has fields of its own may be Kubernetes', with rules of its own.
			if slices.Contains(s.Required, name) || below.Type != "object" && below.Type != "array" {
				out[name] = value(&below, i)
			}
		}
		return out
	case "boolean":
		return true
	case "array":
		return []any{value(s.Items.Schema, i)}
	case "integer":
		if s.Minimum != nil {
			return int64(*s.Minimum) + int64(i)
		}
		return int64(i)
	}
	if len(s.Enum) > 0 {
		var one any
		_ = yaml.Unmarshal(s.Enum[i%len(s.Enum)].Raw, &one) // it is JSON
		return one
	}
	return fmt.Sprint(text(s, 1), i)
}

// exactlyOne says that an object has one of its fields alone.
func exactlyOne(s *apiextensionsv1.JSONSchemaProps) bool {
	return slices.ContainsFunc(s.XValidations, func(r apiextensionsv1.ValidationRule) bool {
		return strings.HasPrefix(r.Message, "exactly one of the fields")
	})
}

// put sets a field in a spec; lists on the way to it have one good element.
func put(t *testing.T, into map[string]any, s *apiextensionsv1.JSONSchemaProps, path []string, v any) {
	t.Helper()
	name, isItem := strings.CutSuffix(path[0], "[]")
	below := s.Properties[name]
	switch {
	case isItem && len(path) == 1:
		into[name] = []any{v}
	case isItem:
		element := value(below.Items.Schema, 0).(map[string]any)
		put(t, element, below.Items.Schema, path[1:], v)
		into[name] = []any{element}
	case len(path) == 1:
		into[name] = v
	default:
		next, ok := into[name].(map[string]any)
		if !ok {
			next = value(&below, 0).(map[string]any)
		}
		put(t, next, &below, path[1:], v)
		into[name] = next
	}
}
