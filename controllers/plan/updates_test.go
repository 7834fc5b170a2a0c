// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/runtime"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/controllers/plan"
)

// updates declares how each property is changed.
func updates(list ...understudyv1alpha1.PropertyUpdate) func(*plan.Input) {
	return volume(func(s *understudyv1alpha1.ResourceTypeSpec) { s.PropertyUpdates = list })
}

func update(name string, how understudyv1alpha1.UpdateMode) understudyv1alpha1.PropertyUpdate {
	return understudyv1alpha1.PropertyUpdate{Name: name, Update: how}
}

// The plan tells monitors what may change while it runs; a type that declares nothing
// leaves plans as they are.
func TestLive(t *testing.T) {
	g := NewWithT(t)
	result, problems := plan.Build(input(updates(update("size", understudyv1alpha1.UpdateLive),
		update("path", understudyv1alpha1.UpdateImmutable), update("low", understudyv1alpha1.UpdateNextOnline),
		update("high", understudyv1alpha1.UpdateLive))))
	g.Expect(problems).To(BeEmpty())
	g.Expect(result.Plan.Resources[0].Live).To(Equal([]string{"high", "size"}))
	result, _ = plan.Build(input())
	g.Expect(string(plan.Encode(result.Plan))).NotTo(ContainSubstring(`"live"`))
}

func TestPropertyUpdatesOfUnknownNames(t *testing.T) {
	for name, want := range map[string]string{
		"sise": `no property "sise" at its root: did you mean "size"?`, "deep": "remove the entry", "size.x": `did you mean "size"?`,
	} {
		g := NewWithT(t)
		r := resourceType("volume")
		r.Spec.PropertyUpdates = []understudyv1alpha1.PropertyUpdate{
			update("size", understudyv1alpha1.UpdateLive), update(name, understudyv1alpha1.UpdateLive),
		}
		_, problems := plan.CheckType(r)
		g.Expect(problems).To(ConsistOf(And(HaveField("Field", "spec.propertyUpdates[1].name"),
			HaveField("Message", ContainSubstring(want)))), name)
	}
}

// What is immutable is compared with the plan in force, defaults included.
func TestImmutable(t *testing.T) {
	immutable := updates(update("size", understudyv1alpha1.UpdateImmutable), update("nested", understudyv1alpha1.UpdateImmutable))
	for name, test := range map[string]struct {
		before, after string
		field         string
	}{
		"as it was":            {`{"path":"/x","size":7}`, `{"path":"/y","size":7}`, ""},
		"the default, written": {`{"path":"/x"}`, `{"path":"/x","size":10}`, ""},
		"a default overridden": {`{"path":"/x"}`, `{"path":"/x","size":11}`, "size"},
		"changed":              {`{"path":"/x","size":7}`, `{"path":"/x","size":8}`, "size"},
		"left to the default":  {`{"path":"/x","size":7}`, `{"path":"/x"}`, "size"},
		"deep inside":          {`{"path":"/x","nested":{"deep":true}}`, `{"path":"/x","nested":{"deep":false}}`, "nested"},
		"order of keys":        {`{"path":"/x","nested":{"deep":true}}`, `{ "nested": {"deep":true}, "path":"/x"}`, ""},
		"added":                {`{"path":"/x"}`, `{"path":"/x","nested":{}}`, "nested"},
		"taken away":           {`{"path":"/x","nested":{}}`, `{"path":"/x"}`, "nested"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			before, problems := plan.Build(input(immutable, properties(test.before)))
			g.Expect(problems).To(BeEmpty())
			inForce := func(in *plan.Input) { in.InForce = &before.Plan }
			_, problems = plan.Build(input(immutable, properties(test.after), inForce))
			if test.field == "" {
				g.Expect(problems).To(BeEmpty())
				return
			}
			g.Expect(problems).To(ConsistOf(And(HaveField("Kind", plan.KindResource), HaveField("Name", "web"),
				HaveField("Field", "spec.properties."+test.field),
				HaveField("Reason", understudyv1alpha1.ReasonImmutableProperty),
				HaveField("Message", ContainSubstring(`delete the ClusterResource "web" and create it anew`)))))
			// Another object of that name may have what it likes.
			_, problems = plan.Build(input(immutable, properties(test.after), inForce,
				func(in *plan.Input) { in.Resources[0].UID = "uid-new" }))
			g.Expect(problems).To(BeEmpty())
		})
	}

	g := NewWithT(t)
	before, _ := plan.Build(input(properties(`{"path":"/x"}`)))
	newDefault := volume(func(s *understudyv1alpha1.ResourceTypeSpec) {
		s.PropertiesSchema = &runtime.RawExtension{Raw: []byte(strings.Replace(schema,
			`"low": {"type": "integer"}`, `"low": {"type": "integer", "default": 1}`, 1))}
		s.PropertyUpdates = []understudyv1alpha1.PropertyUpdate{update("low", understudyv1alpha1.UpdateImmutable)}
	})
	_, problems := plan.Build(input(newDefault, properties(`{"path":"/x"}`), func(in *plan.Input) { in.InForce = &before.Plan }))
	g.Expect(problems).To(BeEmpty(), "a default that the type got later is nobody's change")
}
