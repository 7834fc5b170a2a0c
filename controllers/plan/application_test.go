// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"encoding/json"
	"os"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/runtime"

	applicationv1 "github.com/understudy-dev/understudy/api/application/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/controllers/plan"
)

// application makes the properties those of the built-in type.
func application(in *plan.Input) {
	in.Types["application"] = resourceType("volume")
	in.Types["application"].Name = "application"
	in.Types["application"].Spec.PropertiesSchema = &runtime.RawExtension{Raw: applicationv1.Schema()}
	web(func(s *understudyv1alpha1.ClusterResourceSpec) { s.TypeName = "application" })(in)
}

// What the provider of the built-in type refuses never gets as far as a plan, and the
// answer names the field. A test of the provider reads the same table.
func TestBadApplicationProperties(t *testing.T) {
	g := NewWithT(t)
	text, err := os.ReadFile("../../api/application/v1/testdata/bad-properties.json")
	g.Expect(err).NotTo(HaveOccurred())
	var table []struct {
		Properties     json.RawMessage
		Field, Manager string
	}
	g.Expect(json.Unmarshal(text, &table)).To(Succeed())
	g.Expect(table).NotTo(BeEmpty())
	for _, c := range table {
		t.Run(c.Field+" "+c.Manager, func(t *testing.T) {
			g := NewWithT(t)
			_, problems := plan.Build(input(application, properties(string(c.Properties))))
			g.Expect(problems).To(ContainElement(And(
				HaveField("Kind", plan.KindResource), HaveField("Name", "web"),
				HaveField("Field", "spec.properties."+c.Field), HaveField("Message", ContainSubstring(c.Manager)),
			)), "%s", c.Properties)
		})
	}
}

// Each kind of check passes.
func TestApplicationProperties(t *testing.T) {
	for _, check := range []string{
		`{"process":{}}`, `{"exec":{"command":["x"]}}`, `{"tcp":{"port":1}}`, `{"http":{"port":1}}`, `{"grpc":{"port":1}}`,
	} {
		g := NewWithT(t)
		_, problems := plan.Build(input(application, properties(
			`{"command":["x"],"ready":`+check+`,"looksAlive":`+check+`,"isAlive":`+check+`}`)))
		g.Expect(problems).To(BeEmpty(), check)
	}
}
