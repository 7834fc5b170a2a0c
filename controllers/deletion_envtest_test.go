//go:build envtest

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

// held are the objects that an owner needs until it has stopped.
func held(ns string) []client.Object {
	access := metav1.ObjectMeta{Namespace: ns, Name: "understudy-db"}
	return []client.Object{
		&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: leasev1.Name("db")}},
		&rbacv1.RoleBinding{ObjectMeta: access}, &rbacv1.Role{ObjectMeta: access},
	}
}

// removePod plays the kubelet that ends a pod.
func removePod(g Gomega, t *testing.T, ns, name string) {
	t.Helper()
	g.Eventually(func(g Gomega) {
		g.Expect(get(g, t, ns, name, &corev1.Pod{}).DeletionTimestamp).NotTo(BeNil())
	}, soon, "50ms").Should(Succeed())
	g.Expect(c.Delete(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}},
		client.GracePeriodSeconds(0))).To(Succeed())
}

// staysFor checks that an owner goes on renewing and keeps all that it needs.
func staysFor(g Gomega, t *testing.T, ns, long string, owner *corev1.Pod, monitor client.Client) {
	t.Helper()
	uids := map[string]types.UID{}
	g.Consistently(func(g Gomega) {
		g.Expect(take(t.Context(), monitor, ns, owner, 1_000)).To(Succeed())
		for _, o := range held(ns) {
			kind := fmt.Sprintf("%T", o)
			g.Expect(c.Get(t.Context(), client.ObjectKeyFromObject(o), o)).To(Succeed(), kind)
			if uids[kind] == "" {
				uids[kind] = o.GetUID()
			}
			g.Expect(o.GetUID()).To(Equal(uids[kind]), kind)
		}
	}, long, "200ms").Should(Succeed())
}

// What monitors need and somebody deletes by hand is made again, but for a Lease that
// is held: its owner goes on with it, and only when it is free does it go.
func TestDeletedAccessAndRecord(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	owner, monitor := ownedGroup(g, t, ns)
	old := map[string]types.UID{}
	for _, o := range held(ns) {
		g.Expect(c.Get(t.Context(), client.ObjectKeyFromObject(o), o)).To(Succeed())
		g.Expect(o.GetFinalizers()).To(ConsistOf(understudyv1alpha1.Finalizer), "%T", o)
		old[fmt.Sprintf("%T", o)] = o.GetUID()
		g.Expect(c.Delete(t.Context(), o)).To(Succeed())
	}
	lease := held(ns)[0]
	for _, o := range held(ns)[1:] {
		g.Eventually(func(g Gomega) {
			g.Expect(c.Get(t.Context(), client.ObjectKeyFromObject(o), o)).To(Succeed())
			g.Expect(o.GetUID()).NotTo(Equal(old[fmt.Sprintf("%T", o)]))
			g.Expect(o.GetFinalizers()).To(ConsistOf(understudyv1alpha1.Finalizer))
			g.Expect(take(t.Context(), monitor, ns, owner, 1_000)).To(Succeed())
		}, soon, "50ms").Should(Succeed())
	}
	staysFor(g, t, ns, "5s", owner, monitor)
	g.Expect(c.Get(t.Context(), client.ObjectKeyFromObject(lease), lease)).To(Succeed())
	g.Expect(lease.GetUID()).To(Equal(old["*v1.Lease"]))

	g.Expect(take(t.Context(), monitor, ns, nil, 1_000)).To(Succeed(), "released")
	since := time.Now()
	g.Eventually(func(g Gomega) {
		g.Expect(c.Get(t.Context(), client.ObjectKeyFromObject(lease), lease)).To(Succeed())
		g.Expect(lease.GetUID()).NotTo(Equal(old["*v1.Lease"]))
	}, 2*soon, "50ms").Should(Succeed())
	g.Expect(time.Since(since)).To(BeNumerically(">", leasev1.W(2*time.Second)-200*time.Millisecond),
		"a record that was just released is there to be taken")
}

// A namespace that is deleted takes its groups down, and its end waits for them:
// nothing that the owner needs goes before it has released.
func TestNamespaceEnds(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	owner, monitor := ownedGroup(g, t, ns)
	g.Expect(c.Delete(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}})).To(Succeed())
	g.Eventually(func(g Gomega) {
		g.Expect(take(t.Context(), monitor, ns, owner, 1_000)).To(Succeed())
		g.Expect(group(g, t, ns, "db").DeletionTimestamp).NotTo(BeNil())
		for _, p := range pods(g, t, ns, "db") {
			g.Expect(p.DeletionTimestamp).NotTo(BeNil(), p.Name)
		}
	}, soon, "100ms").Should(Succeed())
	for _, o := range append(held(ns), newResource(ns, "db", "redis")) { // the part of the namespace's controller
		g.Expect(c.Delete(t.Context(), o)).To(Succeed())
	}
	staysFor(g, t, ns, "4s", owner, monitor)
	removePod(g, t, ns, "db-1")
	g.Expect(take(t.Context(), monitor, ns, nil, 1_000)).To(Succeed(), "released")
	removePod(g, t, ns, "db-0")
	everythingGone(g, t, ns)
	g.Eventually(func(g Gomega) {
		gone(g, t, newResource(ns, "db", "redis"))
		gone(g, t, held(ns)[1])
	}, soon, "50ms").Should(Succeed())
	g.Expect(get(g, t, "", ns, &corev1.Namespace{}).Status.Conditions).To(ContainElement(
		HaveField("Type", BeEquivalentTo(understudyv1alpha1.ConditionGroupRetired))), "Kubernetes looks again")
}

// The owner's node died a moment ago and still counts as ready.
func TestNamespaceEndsWithADeadOwner(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	owner, monitor := ownedGroup(g, t, ns)
	g.Expect(take(t.Context(), monitor, ns, owner, 1_000)).To(Succeed())
	last := time.Now()
	g.Expect(c.Delete(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}})).To(Succeed())
	for _, o := range held(ns) { // the part of the namespace's controller
		g.Expect(c.Delete(t.Context(), o)).To(Succeed())
	}
	removePod(g, t, ns, "db-1")
	everythingGone(g, t, ns)
	g.Expect(time.Since(last)).To(BeNumerically(">", leasev1.W(2*time.Second)-200*time.Millisecond))
}

// Without owner references, which --cascade=orphan takes away, the pods are the group's
// all the same.
func TestOrphaningDeletionWaitsForThePods(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	owner, monitor := ownedGroup(g, t, ns)
	g.Expect(c.Delete(t.Context(), newGroup(ns, "db"), client.PropagationPolicy(metav1.DeletePropagationOrphan))).To(Succeed())
	for _, p := range pods(g, t, ns, "db") { // the part of the garbage collector
		g.Expect(c.Patch(t.Context(), &p, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"ownerReferences":null}}`)))).
			To(Succeed())
	}
	g.Eventually(func() error {
		one := group(g, t, ns, "db")
		one.Finalizers = []string{understudyv1alpha1.Finalizer}
		return c.Update(t.Context(), one)
	}, soon, "20ms").Should(Succeed())
	staysFor(g, t, ns, "2s", owner, monitor)
	g.Expect(take(t.Context(), monitor, ns, nil, 1_000)).To(Succeed(), "released")
	removePod(g, t, ns, "db-1")
	g.Consistently(func(g Gomega) { get(g, t, ns, leasev1.Name("db"), &coordinationv1.Lease{}) }, "1s", "50ms").Should(Succeed())
	removePod(g, t, ns, "db-0")
	everythingGone(g, t, ns)
}

// A foreground deletion, which deletes the pods at once, takes nothing else from the owner.
func TestForegroundDeletionWaitsForTheOwner(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	owner, monitor := ownedGroup(g, t, ns)
	g.Expect(c.Delete(t.Context(), newGroup(ns, "db"), client.PropagationPolicy(metav1.DeletePropagationForeground))).To(Succeed())
	for _, p := range pods(g, t, ns, "db") { // the part of the garbage collector
		g.Expect(c.Delete(t.Context(), &p)).To(Succeed())
	}
	staysFor(g, t, ns, "3s", owner, monitor)
	g.Expect(take(t.Context(), monitor, ns, nil, 1_000)).To(Succeed(), "released")
	removePod(g, t, ns, "db-0")
	removePod(g, t, ns, "db-1")
	g.Eventually(func(g Gomega) {
		g.Expect(group(g, t, ns, "db").Finalizers).To(ConsistOf(metav1.FinalizerDeleteDependents))
	}, soon, "50ms").Should(Succeed())
	g.Expect(c.Patch(t.Context(), group(g, t, ns, "db"), client.RawPatch(types.MergePatchType,
		[]byte(`{"metadata":{"finalizers":null}}`)))).To(Succeed())
	everythingGone(g, t, ns)
}

// What is left of a group whose finalizer somebody removed can be deleted, once its
// owner is silent: it would keep its namespace for ever.
func TestLeftoversOfAGroupThatIsGone(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	owner, monitor := ownedGroup(g, t, ns)
	asksForOffline(g, t, ns, owner, monitor)
	one := newGroup(ns, "db")
	g.Expect(c.Patch(t.Context(), one, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`)))).
		To(Succeed())
	gone(g, t, one)
	for _, o := range held(ns) {
		g.Expect(c.Delete(t.Context(), o)).To(Succeed())
	}
	staysFor(g, t, ns, "4s", owner, monitor)
	last := time.Now()
	g.Eventually(func(g Gomega) {
		for _, o := range held(ns) {
			gone(g, t, o)
		}
	}, soon, "50ms").Should(Succeed())
	g.Expect(time.Since(last)).To(BeNumerically(">", leasev1.W(2*time.Second)-300*time.Millisecond))
}

// A Lease of somebody else under the name of the record is said, and does not keep the
// group from being deleted.
func TestLeaseInTheWay(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	inTheWay := bare(ns, leasev1.Name("db"))
	create(g, t, inTheWay, newGroup(ns, "db"), newResource(ns, "db", "redis"))
	g.Eventually(func(g Gomega) {
		lost := apimeta.FindStatusCondition(group(g, t, ns, "db").Status.Conditions, understudyv1alpha1.ConditionOwnerLost)
		g.Expect(lost).To(HaveValue(HaveField("Reason", understudyv1alpha1.ReasonRecordUnreadable)))
		g.Expect(lost.Message).To(ContainSubstring("not Understudy's"))
	}, soon, "50ms").Should(Succeed())
	g.Expect(c.Delete(t.Context(), newGroup(ns, "db"))).To(Succeed())
	g.Eventually(func(g Gomega) { gone(g, t, newGroup(ns, "db")) }, soon, "50ms").Should(Succeed())
	g.Expect(get(g, t, ns, inTheWay.Name, bare(ns, "")).UID).To(Equal(inTheWay.UID), "it is not ours to delete")
}

// What keeps the manager from writing an offline plan does not keep a group.
func TestDeletionWithoutAnotherPlan(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	owner, monitor := ownedGroup(g, t, ns)
	none := corev1.ResourceList{"count/controllerrevisions.apps": resource.MustParse("0")}
	full := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "full"}, Spec: corev1.ResourceQuotaSpec{Hard: none},
	}
	create(g, t, full)
	full.Status = corev1.ResourceQuotaStatus{Hard: none, Used: none}
	g.Expect(c.Status().Update(t.Context(), full)).To(Succeed(), "the part of the quota's controller")
	g.Eventually(func() error { // the API server knows of the quota
		return c.Create(t.Context(), &appsv1.ControllerRevision{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, GenerateName: "probe-"}, Revision: 1,
			Data: runtime.RawExtension{Raw: []byte(`{}`)},
		})
	}, soon, "50ms").Should(MatchError(ContainSubstring("quota")))
	g.Expect(c.Delete(t.Context(), newGroup(ns, "db"))).To(Succeed())
	staysFor(g, t, ns, "2s", owner, monitor)
	removePod(g, t, ns, "db-1")
	g.Expect(take(t.Context(), monitor, ns, nil, 1_000)).To(Succeed(), "released")
	removePod(g, t, ns, "db-0")
	everythingGone(g, t, ns)
}
