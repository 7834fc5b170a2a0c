// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build envtest

package controllers_test

import (
	"context"
	"testing"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

// An immutable property is compared with the plan in force, which stays there.
func TestImmutableProperty(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	resourceType := &understudyv1alpha1.ResourceType{
		ObjectMeta: metav1.ObjectMeta{Name: "immutable-" + ns},
		Spec: understudyv1alpha1.ResourceTypeSpec{
			Provider: understudyv1alpha1.ProviderSource{Inject: &understudyv1alpha1.InjectedProvider{Command: []string{"/p"}}},
			PropertiesSchema: &runtime.RawExtension{Raw: []byte(
				`{"type":"object","properties":{"path":{"type":"string"},"size":{"type":"integer"}}}`)},
			PropertyUpdates: []understudyv1alpha1.PropertyUpdate{{Name: "path", Update: understudyv1alpha1.UpdateImmutable}},
		},
	}
	resource := newResource(ns, "db", "store")
	resource.Spec.TypeName = resourceType.Name
	resource.Spec.Properties.Raw = []byte(`{"path":"/a","size":1}`)
	create(g, t, resourceType, newGroup(ns, "db"), resource)
	t.Cleanup(func() { _ = c.Delete(context.Background(), resourceType) })
	before := accepted(g, t, ns, "db").Status.PlanRevision

	change := func(properties string) {
		t.Helper()
		o := &understudyv1alpha1.ClusterResource{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "store"}}
		g.Expect(c.Patch(t.Context(), o, client.RawPatch("application/merge-patch+json",
			[]byte(`{"spec":{"properties":`+properties+`}}`)))).To(Succeed())
	}
	is := func(status metav1.ConditionStatus, reason string) {
		t.Helper()
		g.Eventually(func(g Gomega) {
			o := get(g, t, ns, "store", &understudyv1alpha1.ClusterResource{})
			g.Expect(acceptance(g, t, ns, "store")).To(And(HaveField("Status", status), HaveField("Reason", reason),
				HaveField("ObservedGeneration", o.Generation)))
		}, soon, "50ms").Should(Succeed())
	}
	change(`{"path":"/b","size":2}`)
	is(metav1.ConditionFalse, understudyv1alpha1.ReasonImmutableProperty)
	condition := acceptance(g, t, ns, "store")
	g.Expect(condition.Message).To(HavePrefix("spec.properties.path: cannot change while the resource exists"))
	g.Expect(condition.Message).NotTo(ContainSubstring("/a"), "no values")
	g.Expect(group(g, t, ns, "db").Status.PlanRevision).To(Equal(before))

	change(`{"path":"/a","size":2}`)
	is(metav1.ConditionTrue, understudyv1alpha1.ReasonAccepted)
	g.Expect(group(g, t, ns, "db").Status.PlanRevision).NotTo(Equal(before))
}
