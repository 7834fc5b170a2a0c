//go:build envtest

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/controllers/plan"
)

// ownedGroup is a ready group whose first host holds it.
func ownedGroup(g Gomega, t *testing.T, ns string) (owner *corev1.Pod, monitor client.Client) {
	t.Helper()
	hosts := readyGroup(g, t, ns)
	owner, monitor = &hosts[0], monitorOf(g, t, &hosts[0])
	g.Eventually(func() error { return take(t.Context(), monitor, ns, owner, 1_000) }, soon, "100ms").Should(Succeed())
	one := &understudyv1alpha1.ResourceGroup{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "db"}}
	g.Expect(monitor.Status().Patch(t.Context(), one, client.RawPatch(types.MergePatchType, []byte(
		`{"status":{"owner":{"epoch":1000,"podUID":"`+string(owner.UID)+`","podName":"db-0","state":"Online"}}}`)))).To(Succeed())
	return owner, monitor
}

// asksForOffline waits until the deletion has put an offline plan in force and
// checks that nothing that the owner needs is touched while it renews.
func asksForOffline(g Gomega, t *testing.T, ns string, owner *corev1.Pod, monitor client.Client) {
	t.Helper()
	g.Expect(c.Delete(t.Context(), newGroup(ns, "db"))).To(Succeed())
	g.Eventually(func(g Gomega) {
		g.Expect(take(t.Context(), monitor, ns, owner, 1_000)).To(Succeed())
		one := group(g, t, ns, "db")
		p, err := plan.Decode(get(g, t, ns, one.Status.PlanRevision, &appsv1.ControllerRevision{}).Data.Raw)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(p.Online).To(BeFalse())
		g.Expect(apimeta.FindStatusCondition(one.Status.Conditions, understudyv1alpha1.ConditionRetiring)).
			To(HaveValue(HaveField("Reason", "StoppingOwner")))
	}, soon, "200ms").Should(Succeed())
	g.Consistently(func(g Gomega) {
		g.Expect(take(t.Context(), monitor, ns, owner, 1_000)).To(Succeed())
		for _, p := range pods(g, t, ns, "db") {
			g.Expect(p.DeletionTimestamp).To(BeNil())
		}
		get(g, t, ns, "understudy-db", &rbacv1.Role{})
	}, "3s", "300ms").Should(Succeed())
}

func everythingGone(g Gomega, t *testing.T, ns string) {
	t.Helper()
	g.Eventually(func(g Gomega) {
		gone(g, t, newGroup(ns, "db"))
		gone(g, t, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: leasev1.Name("db")}})
		gone(g, t, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "understudy-db"}})
		gone(g, t, &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "understudy-db"}})
		g.Expect(pods(g, t, ns, "db")).To(BeEmpty())
	}, 2*soon, "100ms").Should(Succeed())
}

// A deleted group waits for its owner to go offline and release.
func TestDeletionWaitsForTheOwner(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	owner, monitor := ownedGroup(g, t, ns)
	asksForOffline(g, t, ns, owner, monitor)
	g.Expect(take(t.Context(), monitor, ns, nil, 1_000)).To(Succeed(), "released")
	for _, name := range []string{"db-0", "db-1"} {
		g.Eventually(func(g Gomega) {
			g.Expect(get(g, t, ns, name, &corev1.Pod{}).DeletionTimestamp).NotTo(BeNil())
		}, soon, "50ms").Should(Succeed())
		// Kubelet's part.
		g.Expect(c.Delete(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}},
			client.GracePeriodSeconds(0))).To(Succeed())
	}
	everythingGone(g, t, ns)
}

// If the owner's node is dead, its lease runs out, and its pod, which no kubelet
// will ever confirm, is removed.
func TestDeletionWithADeadOwner(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	owner, monitor := ownedGroup(g, t, ns)
	asksForOffline(g, t, ns, owner, monitor)
	since := time.Now()
	node(g, t, ns+"-db-0", corev1.ConditionUnknown)
	node(g, t, ns+"-db-1", corev1.ConditionUnknown)
	everythingGone(g, t, ns)
	g.Expect(time.Since(since)).To(BeNumerically(">", leasev1.W(2*time.Second)-time.Second))
}

// A plan that somebody deleted is put there again, also in a group where nothing
// else happens.
func TestDeletedRevisionIsMended(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	create(g, t, newGroup(ns, "db"), newResource(ns, "db", "redis"))
	name := accepted(g, t, ns, "db").Status.PlanRevision
	revision := get(g, t, ns, name, &appsv1.ControllerRevision{})
	p, err := plan.Decode(revision.Data.Raw)
	g.Expect(err).NotTo(HaveOccurred())
	g.Eventually(func(g Gomega) { g.Expect(pods(g, t, ns, "db")).To(HaveLen(2)) }, soon, "50ms").Should(Succeed())
	quiet := func() { // until nothing else wakes the manager
		g.Eventually(func(g Gomega) {
			g.Expect(requestsOf.of(ns)).To(BeEmpty())
		}, soon, "2500ms").Should(Succeed())
	}
	for _, one := range []string{name, p.HostRevision} {
		quiet()
		before := get(g, t, ns, one, &appsv1.ControllerRevision{})
		g.Expect(c.Delete(t.Context(), before.DeepCopy())).To(Succeed())
		g.Eventually(func(g Gomega) {
			again := get(g, t, ns, one, &appsv1.ControllerRevision{})
			g.Expect(again.UID).NotTo(Equal(before.UID))
			g.Expect(again.Data.Raw).To(MatchJSON(before.Data.Raw))
		}, soon, "50ms").Should(Succeed())
	}
}

// A group whose plan is gone for good can be deleted: its owner is told by the
// deletion of its pod.
func TestDeletionWithoutThePlan(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	owner, monitor := ownedGroup(g, t, ns)
	g.Eventually(func() error { // refused, so that it is not put there again
		one := group(g, t, ns, "db")
		one.Spec.Template.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "x", MountPath: "/understudy/x"}}
		return c.Update(t.Context(), one)
	}, soon, "20ms").Should(Succeed())
	g.Eventually(func(g Gomega) {
		g.Expect(apimeta.IsStatusConditionFalse(
			group(g, t, ns, "db").Status.Conditions, understudyv1alpha1.ConditionAccepted)).To(BeTrue())
	}, soon, "50ms").Should(Succeed())
	g.Expect(c.Delete(t.Context(), &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{
		Namespace: ns, Name: group(g, t, ns, "db").Status.PlanRevision,
	}})).To(Succeed())
	g.Expect(c.Delete(t.Context(), newResource(ns, "db", "redis"))).To(Succeed())
	g.Eventually(func(g Gomega) {
		g.Expect(take(t.Context(), monitor, ns, owner, 1_000)).To(Succeed())
		g.Expect(acceptance(g, t, ns, "redis")).To(HaveValue(And(
			HaveField("Reason", understudyv1alpha1.ReasonDeleting),
			HaveField("Message", And(ContainSubstring("was deleted"), ContainSubstring("ResourceGroup db"))))))
	}, soon, "200ms").Should(Succeed())
	g.Expect(c.Delete(t.Context(), newGroup(ns, "db"))).To(Succeed())
	g.Eventually(func(g Gomega) {
		g.Expect(take(t.Context(), monitor, ns, owner, 1_000)).To(Succeed())
		for _, name := range []string{"db-0", "db-1"} {
			g.Expect(get(g, t, ns, name, &corev1.Pod{}).DeletionTimestamp).NotTo(BeNil())
		}
	}, soon, "200ms").Should(Succeed())
	g.Expect(take(t.Context(), monitor, ns, nil, 1_000)).To(Succeed(), "released")
	for _, name := range []string{"db-0", "db-1"} { // kubelet's part
		g.Expect(c.Delete(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}},
			client.GracePeriodSeconds(0))).To(Succeed())
	}
	everythingGone(g, t, ns)
}
