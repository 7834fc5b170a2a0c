//go:build envtest

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/internal/testpolicy"
)

// A type that is deleted while resources name it stays and names them; what runs goes
// on, new resources are refused, and when the last user is gone it goes.
func TestTypeInUse(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	one := &understudyv1alpha1.ResourceType{
		ObjectMeta: metav1.ObjectMeta{Name: ns},
		Spec: understudyv1alpha1.ResourceTypeSpec{
			Provider: understudyv1alpha1.ProviderSource{Inject: &understudyv1alpha1.InjectedProvider{Command: []string{"/p"}}},
		},
	}
	typed := func(name string) *understudyv1alpha1.ClusterResource {
		r := newResource(ns, "db", name)
		r.Spec.TypeName, r.Spec.Properties = ns, nil
		return r
	}
	create(g, t, one, newGroup(ns, "db"), typed("old"))
	accepted(g, t, ns, "db")
	g.Eventually(func(g Gomega) {
		g.Expect(get(g, t, "", ns, &understudyv1alpha1.ResourceType{}).Finalizers).To(ConsistOf(understudyv1alpha1.Finalizer))
	}, soon, "50ms").Should(Succeed())
	g.Expect(c.Delete(t.Context(), one)).To(Succeed())
	users := func(g Gomega, names ...any) {
		have := get(g, t, "", ns, &understudyv1alpha1.ResourceType{})
		condition := apimeta.FindStatusCondition(have.Status.Conditions, understudyv1alpha1.ConditionDeleting)
		g.Expect(condition).To(HaveValue(And(HaveField("Status", metav1.ConditionTrue),
			HaveField("Reason", understudyv1alpha1.ReasonInUse))))
		for _, name := range names {
			g.Expect(condition.Message).To(ContainSubstring("%s/%s", ns, name))
		}
	}
	g.Eventually(func(g Gomega) { users(g, "old") }, soon, "50ms").Should(Succeed())

	changeGroup(g, t, ns, func(s *understudyv1alpha1.ResourceGroupSpec) { s.FailoverThreshold = nil })
	before := accepted(g, t, ns, "db").Status.PlanRevision
	create(g, t, typed("new"))
	g.Eventually(func(g Gomega) {
		g.Expect(acceptance(g, t, ns, "new")).To(HaveValue(HaveField("Reason", understudyv1alpha1.ReasonTypeDeleting)))
		users(g, "old", "new")
	}, soon, "50ms").Should(Succeed())
	g.Expect(acceptance(g, t, ns, "old")).To(HaveValue(HaveField("Status", metav1.ConditionTrue)), "it is in force")
	g.Expect(group(g, t, ns, "db").Status.PlanRevision).To(Equal(before))

	g.Expect(c.Delete(t.Context(), typed("new"))).To(Succeed())
	g.Eventually(func(g Gomega) { gone(g, t, typed("new")) }, soon, "50ms").Should(Succeed())
	g.Consistently(func(g Gomega) { get(g, t, "", ns, &understudyv1alpha1.ResourceType{}) }, "500ms", "50ms").Should(Succeed())
	g.Expect(c.Delete(t.Context(), typed("old"))).To(Succeed())
	g.Eventually(func(g Gomega) { gone(g, t, one) }, soon, "50ms").Should(Succeed())
}

// The type of the example of the SDK is accepted as it stands.
func TestExampleTypes(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	g.Expect(testpolicy.Apply(t.Context(), c, filepath.Join("..", "examples", "provider-sdk"))).To(Succeed())
	g.Eventually(func(g Gomega) {
		one := get(g, t, "", "link", &understudyv1alpha1.ResourceType{})
		g.Expect(apimeta.FindStatusCondition(one.Status.Conditions, understudyv1alpha1.ConditionAccepted)).
			To(HaveValue(HaveField("Status", metav1.ConditionTrue)))
	}, soon, "50ms").Should(Succeed())
}
