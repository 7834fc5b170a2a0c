//go:build envtest

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

// label gives a node a label that only one test knows.
func label(g Gomega, t *testing.T, node, key string) {
	t.Helper()
	g.Expect(c.Patch(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}},
		client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"`+key+`":"yes"}}}`)))).To(Succeed())
}

// atOnce is shorter than the time after which a group looks again by itself.
const atOnce = 5 * time.Second

// A change to a template that no node can take is refused, what runs goes on, and
// a node that gets what it asks for lets it in.
func TestTemplateThatFitsNoNode(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	ownedGroup(g, t, ns)
	changeGroup(g, t, ns, func(s *understudyv1alpha1.ResourceGroupSpec) {
		s.Template.Spec.NodeSelector = map[string]string{ns: "yes"}
	})
	refused(g, t, ns, understudyv1alpha1.ReasonNoPossibleHost, "spec.template.spec: 0 of the ")
	everyHostStays(g, t, ns)
	node(g, t, ns+"-free", corev1.ConditionTrue)
	label(g, t, ns+"-free", ns)
	g.Eventually(func(g Gomega) {
		g.Expect(condition(g, t, ns, understudyv1alpha1.ConditionAccepted)).To(HaveValue(HaveField("Status", metav1.ConditionTrue)))
	}, atOnce, "50ms").Should(Succeed())
}

// A new group that finds too few nodes says so, keeps its pods for an autoscaler to
// see, and follows the nodes.
func TestTooFewNodes(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	one := newGroup(ns, "db")
	one.Spec.Template.Spec.NodeSelector = map[string]string{ns: "yes"}
	one.Spec.Template.Spec.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}
	create(g, t, one, newResource(ns, "db", "redis"))
	accepted(g, t, ns, "db")
	says := func(reason, message string, within time.Duration) {
		t.Helper()
		g.Eventually(func(g Gomega) {
			g.Expect(condition(g, t, ns, understudyv1alpha1.ConditionHostsReady)).To(HaveValue(And(
				HaveField("Status", metav1.ConditionFalse), HaveField("Reason", reason),
				HaveField("Message", ContainSubstring(message)))))
		}, within, "50ms").Should(Succeed())
	}
	says(understudyv1alpha1.ReasonNoPossibleHost, "0 of 2 hosts are ready; 0 of the ", soon)
	g.Eventually(func(g Gomega) { // nothing else is to make it look again
		g.Expect(get(g, t, ns, leasev1.Name("db"), &coordinationv1.Lease{}).Annotations).To(HaveKey(leasev1.KeyReleasedEpoch))
		g.Expect(pods(g, t, ns, "db")).To(HaveLen(2))
	}, soon, "50ms").Should(Succeed())
	node(g, t, ns+"-a", corev1.ConditionTrue)
	label(g, t, ns+"-a", ns)
	says(understudyv1alpha1.ReasonNoPossibleHost, "0 of 2 hosts are ready; 1 of the ", atOnce)
	node(g, t, ns+"-b", corev1.ConditionTrue)
	label(g, t, ns+"-b", ns)
	says(understudyv1alpha1.ReasonHostsMissing, "0 of 2 hosts are ready", atOnce)

	g.Expect(condition(g, t, ns, understudyv1alpha1.ConditionGuardWeakened)).To(HaveValue(And(
		HaveField("Status", metav1.ConditionTrue), HaveField("Message", HaveSuffix("of the container app")))))
	changeGroup(g, t, ns, func(s *understudyv1alpha1.ResourceGroupSpec) { s.Template.Spec.Containers[0].Resources.Limits = nil })
	g.Eventually(func(g Gomega) {
		for _, p := range pods(g, t, ns, "db") { // kubelet's part
			if !p.DeletionTimestamp.IsZero() {
				g.Expect(client.IgnoreNotFound(c.Delete(t.Context(), &p, client.GracePeriodSeconds(0)))).To(Succeed())
			}
		}
		g.Expect(condition(g, t, ns, understudyv1alpha1.ConditionGuardWeakened)).To(BeNil())
	}, soon, "50ms").Should(Succeed())
}

// A group that never ran anything has nothing to lose: its template may ask for nodes
// that only an autoscaler brings, which must see the pods for it. This goes for one that
// got its first resource later than itself, and for the correction of such a template.
func TestTooFewNodesForWhatNeverRan(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	one := newGroup(ns, "db")
	one.Spec.Template.Spec.NodeSelector = map[string]string{ns: "typo"}
	create(g, t, one)
	accepted(g, t, ns, "db")
	create(g, t, newResource(ns, "db", "redis"))
	wait := func(selector string) {
		t.Helper()
		g.Eventually(func(g Gomega) {
			now := pods(g, t, ns, "db")
			g.Expect(now).To(HaveLen(2))
			for _, p := range now {
				g.Expect(p.Spec.NodeSelector).To(HaveKeyWithValue(ns, selector))
			}
			g.Expect(condition(g, t, ns, understudyv1alpha1.ConditionHostsReady)).To(HaveValue(
				HaveField("Reason", understudyv1alpha1.ReasonNoPossibleHost)))
		}, soon, "50ms").Should(Succeed())
		accepted(g, t, ns, "db")
	}
	wait("typo")
	changeGroup(g, t, ns, func(s *understudyv1alpha1.ResourceGroupSpec) {
		s.Template.Spec.NodeSelector[ns] = "yes"
	})
	wait("yes")
}
