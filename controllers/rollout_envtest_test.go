//go:build envtest

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"testing"

	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/internal/builders"
)

// With OnDelete a new template reaches a host when somebody deletes it, and not before.
func TestUpdateOnDelete(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	readyGroup(g, t, ns)
	changeGroup(g, t, ns, func(s *understudyv1alpha1.ResourceGroupSpec) {
		s.UpdateStrategy.Type = understudyv1alpha1.UpdateOnDelete
		s.Template.Spec.Containers[0].Image = "example.test/app:2"
	})
	accepted(g, t, ns, "db")
	everyHostStays(g, t, ns)
	g.Expect(hostsMessage(g, t, ns, "db")).To(ContainSubstring("2 of an earlier template stay until somebody deletes them"))
	g.Expect(c.Delete(t.Context(), get(g, t, ns, "db-1", &corev1.Pod{}), client.GracePeriodSeconds(0))).To(Succeed())
	g.Eventually(func(g Gomega) {
		g.Expect(get(g, t, ns, "db-2", &corev1.Pod{}).Spec.Containers[0].Image).To(Equal("example.test/app:2"))
	}, soon, "50ms").Should(Succeed())
	everyHostStays(g, t, ns)
}

// A group is scaled as a Deployment is, and the disruption controller finds by the
// same way how many hosts its budget is about.
func TestScale(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	readyGroup(g, t, ns)
	db := group(g, t, ns, "db")
	budget := get(g, t, ns, "understudy-db", &policyv1.PodDisruptionBudget{})
	g.Expect(budget.Spec.MaxUnavailable.IntValue()).To(Equal(1))
	g.Expect(budget.Spec.Selector.MatchLabels).To(Equal(builders.Labels("db")))

	scale := &autoscalingv1.Scale{}
	g.Eventually(func(g Gomega) {
		g.Expect(c.SubResource("scale").Get(t.Context(), db, scale)).To(Succeed())
		g.Expect(scale.Spec.Replicas).To(BeEquivalentTo(2))
		g.Expect(scale.Status.Replicas).To(BeEquivalentTo(2))
		selector, err := labels.Parse(scale.Status.Selector)
		g.Expect(err).NotTo(HaveOccurred())
		for _, p := range pods(g, t, ns, "db") {
			g.Expect(selector.Matches(labels.Set(p.Labels))).To(BeTrue())
		}
		g.Expect(selector.Matches(labels.Set(builders.Labels("other")))).To(BeFalse())
	}, soon, "50ms").Should(Succeed())
	g.Eventually(func() error {
		g.Expect(c.SubResource("scale").Get(t.Context(), db, scale)).To(Succeed())
		scale.Spec.Replicas = 3
		return c.SubResource("scale").Update(t.Context(), db, client.WithSubResourceBody(scale))
	}, soon, "50ms").Should(Succeed())
	g.Eventually(func(g Gomega) {
		g.Expect(pods(g, t, ns, "db")).To(HaveLen(3))
		g.Expect(group(g, t, ns, "db").Status.HostCount).To(BeEquivalentTo(3))
	}, soon, "50ms").Should(Succeed())

	g.Expect(c.Delete(t.Context(), budget)).To(Succeed())
	g.Eventually(func(g Gomega) {
		get(g, t, ns, "understudy-db", &policyv1.PodDisruptionBudget{})
	}, soon, "50ms").Should(Succeed())
}

// A number whose pod could not be created after it was taken is never used again: a
// host of that name may have been there.
func TestNumbersAreNotUsedAgain(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	readyGroup(g, t, ns)
	forbid(g, t, ns, "pods", "request.dryRun", admissionregistrationv1.Create)
	g.Eventually(func() error {
		return c.Create(t.Context(), &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, GenerateName: "any-"},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "example.test/c"}}},
		})
	}, soon, "50ms").Should(MatchError(ContainSubstring("forbids")))
	g.Expect(c.Delete(t.Context(), get(g, t, ns, "db-1", &corev1.Pod{}), client.GracePeriodSeconds(0))).To(Succeed())
	var taken int64
	g.Eventually(func(g Gomega) {
		taken = group(g, t, ns, "db").Status.NextHost
		g.Expect(taken).To(BeNumerically(">", 2))
	}, soon, "50ms").Should(Succeed())
	g.Expect(c.Delete(t.Context(), &admissionregistrationv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "pods." + ns},
	})).To(Succeed())
	g.Eventually(func(g Gomega) {
		hosts := pods(g, t, ns, "db")
		g.Expect(hosts).To(HaveLen(2))
		names := []string{hosts[0].Name, hosts[1].Name}
		g.Expect(names).To(ContainElement("db-0"))
		for number := range taken {
			if number > 0 {
				g.Expect(names).NotTo(ContainElement(builders.PodName("db", number)))
			}
		}
	}, 3*soon, "100ms").Should(Succeed())
}
