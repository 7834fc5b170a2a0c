// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/runtime"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/controllers/plan"
)

const deepSchema = `{
  "type": "object",
  "properties": {
    "listenPort": {"type": "integer"}, "timeout": {"type": "integer"},
    "users": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}},
    "mounts": {"type": "object", "additionalProperties": {"type": "object", "properties": {"path": {"type": "string"}}}},
    "anything": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
      "properties": {"known": {"type": "object", "properties": {"size": {"type": "integer"}}}}}
  }
}`

func withSchema(schema string) func(*plan.Input) {
	return volume(func(s *understudyv1alpha1.ResourceTypeSpec) { s.PropertiesSchema.Raw = []byte(schema) })
}

// one leaves one resource without dependencies, whose properties are those.
func one(json string) func(*plan.Input) {
	return func(in *plan.Input) {
		in.Resources = in.Resources[1:]
		in.Resources[0].Spec.Properties = &runtime.RawExtension{Raw: []byte(json)}
	}
}

// A name that the schema lacks is answered with the one that was probably meant.
func TestUnknownNames(t *testing.T) {
	for properties, want := range map[string][2]string{
		`{"listenprot":1}`:                     {"listenprot", `did you mean "listenPort"?`},
		`{"TIMEOUT":1}`:                        {"TIMEOUT", `did you mean "timeout"?`},
		`{"colour":1}`:                         {"colour", "remove it"},
		`{"users":[{"name":"a"},{"nam":"b"}]}`: {"users[1].nam", `did you mean "name"?`},
		`{"mounts":{"a":{"paht":"/"}}}`:        {"mounts.a.paht", `did you mean "path"?`},
		`{"anything":{"known":{"sise":1}}}`:    {"anything.known.sise", `did you mean "size"?`},
		// At the root of an object of its own these three would pass.
		`{"kind":"x"}`:       {"kind", "remove it"},
		`{"metadata":{}}`:    {"metadata", "remove it"},
		`{"apiVersion":"x"}`: {"apiVersion", "remove it"},
		`{"a.b[0":1}`:        {"a.b[0", "remove it"},
	} {
		t.Run(properties, func(t *testing.T) {
			g := NewWithT(t)
			_, problems := plan.Build(input(withSchema(deepSchema), one(properties)))
			g.Expect(problems).To(ConsistOf(And(
				HaveField("Name", "disk"), HaveField("Field", "spec.properties."+want[0]),
				HaveField("Message", ContainSubstring("no property of this type")),
				HaveField("Message", ContainSubstring(want[1])))), "%v", problems)
		})
	}
	g := NewWithT(t)
	result, problems := plan.Build(input(withSchema(deepSchema),
		one(`{"users":[{"name":"a"}],"mounts":{"any name":{"path":"/"}},"anything":{"goes":[1]}}`)))
	g.Expect(problems).To(BeEmpty())
	g.Expect(string(result.Plan.Resources[0].Properties)).To(ContainSubstring("goes"), "where the schema says so, all is kept")
}

// What the API server cannot measure has bounds all the same, to the byte.
func TestBounds(t *testing.T) {
	g := NewWithT(t)
	free := withSchema(`{"type":"object","properties":{"a":{"type":"string"}}}`)
	text := func(n int) string { return fmt.Sprintf(`{"a":%q}`, strings.Repeat("x", n-len(`{"a":""}`))) }
	_, problems := plan.Build(input(free, one(text(plan.MaxPropertiesBytes))))
	g.Expect(problems).To(BeEmpty())
	_, problems = plan.Build(input(free, one(text(plan.MaxPropertiesBytes+1))))
	g.Expect(problems).To(ConsistOf(And(HaveField("Field", "spec.properties"),
		HaveField("Message", ContainSubstring("has 32769 bytes, at most 32768 are possible")))))
	grown := withSchema(`{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string","default":"x"}}}`)
	_, problems = plan.Build(input(grown, one(text(plan.MaxPropertiesBytes))))
	g.Expect(problems).To(ConsistOf(HaveField("Message", ContainSubstring("has 32776 bytes"))), "with defaults")

	schema := func(n int) *understudyv1alpha1.ResourceType {
		r := resourceType("volume")
		const empty = `{"type":"object","description":""}`
		r.Spec.PropertiesSchema.Raw = fmt.Appendf(nil, `{"type":"object","description":%q}`, strings.Repeat("x", n-len(empty)))
		return r
	}
	_, problems = plan.CheckType(schema(plan.MaxSchemaBytes))
	g.Expect(problems).To(BeEmpty())
	_, problems = plan.CheckType(schema(plan.MaxSchemaBytes + 1))
	g.Expect(problems).To(ConsistOf(And(HaveField("Field", "spec.propertiesSchema"),
		HaveField("Message", ContainSubstring("has 65537 bytes, at most 65536 are possible")))))
}

// A schema that asks for secrets, or for names without end, is refused where it does.
func TestRefusedSchemas(t *testing.T) {
	const secret = `{"type":"string","format":"password"}`
	for schema, field := range map[string]string{
		`{"type":"object","properties":{"a":` + secret + `}}`:                                                 "properties[a].format",
		`{"type":"object","properties":{"a":{"type":"array","items":` + secret + `}}}`:                        "properties[a].items.format",
		`{"type":"object","properties":{"a":{"type":"object","additionalProperties":` + secret + `}}}`:        "properties[a].additionalProperties.format",
		`{"type":"object","properties":{"a":{"type":"object","properties":{"b":` + secret + `}}}}`:            "properties[a].properties[b].format",
		`{"type":"object","properties":{"a":{"type":"string","allOf":[{"format":"password"}]}}}`:              "properties[a].allOf[0].format",
		`{"type":"object","properties":{"a":{"type":"string","anyOf":[{},{"format":"password"}]}}}`:           "properties[a].anyOf[1].format",
		`{"type":"object","properties":{"a":{"type":"string","oneOf":[{"format":"password"}]}}}`:              "properties[a].oneOf[0].format",
		`{"type":"object","properties":{"a":{"type":"string","not":{"format":"password"}}}}`:                  "properties[a].not.format",
		`{"type":"object","patternProperties":{"a":` + secret + `}}`:                                          "patternProperties[a].format",
		`{"type":"object","properties":{"a":{"type":"array","items":[` + secret + `]}}}`:                      "properties[a].items[0].format",
		`{"type":"object","properties":{"a":{"type":"array","additionalItems":` + secret + `}}}`:              "properties[a].additionalItems.format",
		`{"type":"object","definitions":{"a":` + secret + `}}`:                                                "definitions[a].format",
		`{"type":"object","dependencies":{"a":` + secret + `}}`:                                               "dependencies[a].format",
		`{"type":"object","x-kubernetes-preserve-unknown-fields":true}`:                                       "x-kubernetes-preserve-unknown-fields",
		`{"type":"object","additionalProperties":{"type":"string"}}`:                                          "additionalProperties",
		`{"type":"object","x-kubernetes-embedded-resource":true,"x-kubernetes-preserve-unknown-fields":true}`: "x-kubernetes-embedded-resource",
	} {
		t.Run(schema, func(t *testing.T) {
			g := NewWithT(t)
			r := resourceType("volume")
			r.Spec.PropertiesSchema.Raw = []byte(schema)
			_, problems := plan.CheckType(r)
			message := "template bring the Secret there"
			if !strings.HasSuffix(field, "format") {
				message = "must not be at the root"
			}
			g.Expect(problems).To(ContainElement(And(HaveField("Field", "spec.propertiesSchema."+field),
				HaveField("Message", ContainSubstring(message)))), "%v", problems)
		})
	}
	g := NewWithT(t)
	r := resourceType("volume")
	r.Spec.PropertiesSchema.Raw = []byte(deepSchema)
	_, problems := plan.CheckType(r)
	g.Expect(problems).To(BeEmpty())
	r.Spec.PropertiesSchema.Raw = []byte(`{"type":"object","properties":{"password":{"type":"string","format":"date-time"}}}`)
	_, problems = plan.CheckType(r)
	g.Expect(problems).To(BeEmpty(), "a name decides nothing, it may be that of a file")
}
