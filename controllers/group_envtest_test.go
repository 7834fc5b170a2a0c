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
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/controllers/plan"
	"github.com/understudy-dev/understudy/internal/builders"
)

// soon is how long a test waits for what should happen at once.
const soon = 10 * time.Second

func newGroup(ns, name string) *understudyv1alpha1.ResourceGroup {
	return &understudyv1alpha1.ResourceGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name},
		Spec: understudyv1alpha1.ResourceGroupSpec{
			LeaseDurationSeconds: 2,
			Service: &understudyv1alpha1.GroupService{
				Ports: []understudyv1alpha1.GroupServicePort{{Port: 6379}},
			},
			Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
				Containers: []corev1.Container{{
					Name: "app", Image: "example.test/app:1",
					SecurityContext: &corev1.SecurityContext{
						RunAsNonRoot: ptr.To(true), AllowPrivilegeEscalation: ptr.To(false),
						Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
						SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
					},
				}},
			}},
		},
	}
}

func newResource(ns, group, name string, dependencies ...string) *understudyv1alpha1.ClusterResource {
	r := &understudyv1alpha1.ClusterResource{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name},
		Spec: understudyv1alpha1.ClusterResourceSpec{
			GroupName: group, TypeName: "application", ContainerName: "app",
			Properties: &runtime.RawExtension{Raw: []byte(`{"command":["sleep","1"]}`)},
		},
	}
	for _, d := range dependencies {
		r.Spec.Dependencies = append(r.Spec.Dependencies, understudyv1alpha1.Dependency{AnyOf: []string{d}})
	}
	return r
}

func create(g Gomega, t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, o := range objects {
		g.Expect(c.Create(t.Context(), o)).To(Succeed(), o.GetName())
	}
}

// get reads an object and fails the surrounding Eventually if that fails.
func get[T client.Object](g Gomega, t *testing.T, ns, name string, o T) T {
	g.Expect(c.Get(t.Context(), types.NamespacedName{Namespace: ns, Name: name}, o)).To(Succeed())
	return o
}

func group(g Gomega, t *testing.T, ns, name string) *understudyv1alpha1.ResourceGroup {
	return get(g, t, ns, name, &understudyv1alpha1.ResourceGroup{})
}

// accepted waits until a group's present generation is in force.
func accepted(g Gomega, t *testing.T, ns, name string) *understudyv1alpha1.ResourceGroup {
	t.Helper()
	var out *understudyv1alpha1.ResourceGroup
	g.Eventually(func(g Gomega) {
		out = group(g, t, ns, name)
		condition := apimeta.FindStatusCondition(out.Status.Conditions, understudyv1alpha1.ConditionAccepted)
		g.Expect(condition).NotTo(BeNil())
		g.Expect(condition.Status).To(Equal(metav1.ConditionTrue), condition.Message)
		g.Expect(condition.ObservedGeneration).To(Equal(out.Generation))
		g.Expect(out.Status.PlanRevision).NotTo(BeEmpty())
	}, soon, "50ms").Should(Succeed())
	return out
}

func pods(g Gomega, t *testing.T, ns, group string) []corev1.Pod {
	var list corev1.PodList
	g.Expect(c.List(t.Context(), &list, client.InNamespace(ns),
		client.MatchingLabels{understudyv1alpha1.LabelGroup: group})).To(Succeed())
	return list.Items
}

// A group and a resource become all that monitors need: plan, access, record,
// hosts, Service.
func TestGroupIsPrepared(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	create(g, t, newGroup(ns, "db"), newResource(ns, "db", "redis"))
	have := accepted(g, t, ns, "db")

	revision := get(g, t, ns, have.Status.PlanRevision, &appsv1.ControllerRevision{})
	p, err := plan.Decode(revision.Data.Raw)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(plan.Name(p)).To(Equal(revision.Name), "the name is the content's")
	g.Expect(p.Resources).To(HaveLen(1))
	g.Expect(string(p.Resources[0].Properties)).To(ContainSubstring(`"stopSignal":"TERM"`), "defaults are in the plan")

	resource := get(g, t, ns, "redis", &understudyv1alpha1.ClusterResource{})
	g.Expect(string(resource.Spec.Properties.Raw)).NotTo(ContainSubstring("stopSignal"), "and not in the spec")
	g.Expect(resource.Finalizers).To(ContainElement(understudyv1alpha1.Finalizer))

	role := get(g, t, ns, "understudy-db", &rbacv1.Role{})
	g.Expect(role.Rules).To(ContainElement(HaveField("ResourceNames", ContainElement(revision.Name))))
	g.Expect(role.ResourceVersion < have.ResourceVersion).To(BeTrue())

	g.Eventually(func(g Gomega) {
		g.Expect(pods(g, t, ns, "db")).To(HaveLen(2), hostsMessage(g, t, ns, "db"))
	}, soon, "50ms").Should(Succeed())
	g.Expect(group(g, t, ns, "db").Status.NextHost).To(BeEquivalentTo(2))

	service := get(g, t, ns, "db", &corev1.Service{})
	g.Expect(service.Spec.Selector).To(BeEmpty())
	slice := get(g, t, ns, "db-understudy", &discoveryv1.EndpointSlice{})
	g.Expect(slice.Labels).To(HaveKeyWithValue(discoveryv1.LabelServiceName, "db"))
	g.Expect(slice.Endpoints).To(BeEmpty())
}

// A plan of a later release, which was taken back, is made anew in our own format.
func TestPlanOfALaterRelease(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	create(g, t, newGroup(ns, "db"), newResource(ns, "db", "redis"))
	have := accepted(g, t, ns, "db")
	later := &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{
		Namespace: ns, Name: "db-later", Labels: builders.Labels("db"),
	}}
	later.Data.Raw = []byte(`{"version":99,"resources":"of another shape"}`)
	create(g, t, later)
	patch := client.RawPatch(types.MergePatchType, []byte(`{"status":{"planRevision":"db-later"}}`))
	g.Expect(c.Status().Patch(t.Context(), group(g, t, ns, "db"), patch)).To(Succeed())
	g.Eventually(func(g Gomega) {
		g.Expect(group(g, t, ns, "db").Status.PlanRevision).To(Equal(have.Status.PlanRevision))
	}, soon, "50ms").Should(Succeed())
}

// The record is created unheld and released only after it stood still for W.
func TestRecordIsReleasedAfterW(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	create(g, t, newGroup(ns, "db"))
	var created, released time.Time
	g.Eventually(func(g Gomega) {
		lease := get(g, t, ns, leasev1.Name("db"), &coordinationv1.Lease{})
		if created.IsZero() {
			created = time.Now()
			g.Expect(lease.Annotations).NotTo(HaveKey(leasev1.KeyReleasedEpoch))
			g.Expect(lease.Spec.HolderIdentity).To(HaveValue(BeEmpty()))
		}
		g.Expect(lease.Annotations).To(HaveKeyWithValue(leasev1.KeyReleasedEpoch, lease.Annotations[leasev1.KeyEpoch]))
		released = time.Now()
	}, soon, "20ms").Should(Succeed())
	g.Expect(released.Sub(created)).To(BeNumerically(">", leasev1.W(2*time.Second)-100*time.Millisecond))
}

// A bad spec is answered on the object that must change; the plan stays.
func TestBadSpecKeepsTheLastPlan(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	create(g, t, newGroup(ns, "db"), newResource(ns, "db", "disk"), newResource(ns, "db", "redis", "disk"))
	have := accepted(g, t, ns, "db")
	g.Eventually(func(g Gomega) { g.Expect(pods(g, t, ns, "db")).To(HaveLen(2), hostsMessage(g, t, ns, "db")) }, soon, "50ms").Should(Succeed())
	before := pods(g, t, ns, "db")

	disk := get(g, t, ns, "disk", &understudyv1alpha1.ClusterResource{})
	disk.Spec.Properties = &runtime.RawExtension{Raw: []byte(`{"comand":["sleep","1"]}`)}
	g.Expect(c.Update(t.Context(), disk)).To(Succeed())
	g.Eventually(func(g Gomega) {
		condition := apimeta.FindStatusCondition(
			get(g, t, ns, "disk", &understudyv1alpha1.ClusterResource{}).Status.Conditions, understudyv1alpha1.ConditionAccepted)
		g.Expect(condition).To(HaveValue(And(
			HaveField("Status", metav1.ConditionFalse),
			HaveField("Reason", understudyv1alpha1.ReasonInvalid),
			HaveField("Message", ContainSubstring("spec.properties.comand")))))
		condition = apimeta.FindStatusCondition(group(g, t, ns, "db").Status.Conditions, understudyv1alpha1.ConditionAccepted)
		g.Expect(condition).To(HaveValue(And(
			HaveField("Reason", understudyv1alpha1.ReasonGroupRejected),
			HaveField("Message", And(ContainSubstring("ClusterResource disk"), ContainSubstring("goes on as it is"))))))
		condition = apimeta.FindStatusCondition(
			get(g, t, ns, "redis", &understudyv1alpha1.ClusterResource{}).Status.Conditions, understudyv1alpha1.ConditionAccepted)
		g.Expect(condition).To(HaveValue(HaveField("Status", metav1.ConditionTrue)), "unchanged, still in force")
	}, soon, "50ms").Should(Succeed())
	g.Expect(group(g, t, ns, "db").Status.PlanRevision).To(Equal(have.Status.PlanRevision))

	// A host that goes now is replaced from the last accepted template.
	g.Expect(c.Delete(t.Context(), &before[0], client.GracePeriodSeconds(0))).To(Succeed())
	g.Eventually(func(g Gomega) {
		now := pods(g, t, ns, "db")
		g.Expect(now).To(HaveLen(2))
		g.Expect(now).To(ContainElement(HaveField("Name", "db-2")), "numbers are never used again")
	}, soon, "50ms").Should(Succeed())
}

// A group that never had a plan does not say that one stays in force.
func TestRefusedFromTheStart(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	bad := newResource(ns, "db", "bad")
	bad.Spec.ContainerName = "nosuch"
	create(g, t, newGroup(ns, "db"), newResource(ns, "db", "good"), bad)
	nothing := HaveValue(And(HaveField("Status", metav1.ConditionFalse),
		HaveField("Message", ContainSubstring("until then nothing of the group starts"))))
	g.Eventually(func(g Gomega) {
		g.Expect(acceptance(g, t, ns, "bad")).To(nothing)
		g.Expect(acceptance(g, t, ns, "good")).To(nothing)
		g.Expect(apimeta.FindStatusCondition(
			group(g, t, ns, "db").Status.Conditions, understudyv1alpha1.ConditionAccepted)).To(nothing)
	}, soon, "50ms").Should(Succeed())
}

// Deletion ends with nothing left, the Lease last.
func TestGroupIsDeleted(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	create(g, t, newGroup(ns, "db"), newResource(ns, "db", "redis"))
	accepted(g, t, ns, "db")
	g.Eventually(func(g Gomega) { g.Expect(pods(g, t, ns, "db")).To(HaveLen(2), hostsMessage(g, t, ns, "db")) }, soon, "50ms").Should(Succeed())
	g.Expect(c.Delete(t.Context(), newGroup(ns, "db"))).To(Succeed())
	g.Expect(c.Delete(t.Context(), newResource(ns, "db", "redis"))).To(Succeed())
	g.Eventually(func(g Gomega) {
		for _, o := range []client.Object{
			&understudyv1alpha1.ResourceGroup{ObjectMeta: metav1.ObjectMeta{Name: "db"}},
			&understudyv1alpha1.ClusterResource{ObjectMeta: metav1.ObjectMeta{Name: "redis"}},
			&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: leasev1.Name("db")}},
			&rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "understudy-db"}},
			&rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "understudy-db"}},
			&corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "db"}},
			&discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Name: "db-understudy"}},
		} {
			err := c.Get(t.Context(), types.NamespacedName{Namespace: ns, Name: o.GetName()}, o)
			g.Expect(apierrors.IsNotFound(err)).To(BeTrue(), fmt.Sprintf("%T: %v", o, err))
		}
		g.Expect(pods(g, t, ns, "db")).To(BeEmpty())
	}, soon, "100ms").Should(Succeed())
	var revisions appsv1.ControllerRevisionList
	g.Expect(c.List(t.Context(), &revisions, client.InNamespace(ns))).To(Succeed())
	g.Expect(revisions.Items).To(BeEmpty())
}

// hostsMessage is what the group says of its hosts.
func hostsMessage(g Gomega, t *testing.T, ns, name string) string {
	condition := apimeta.FindStatusCondition(
		group(g, t, ns, name).Status.Conditions, understudyv1alpha1.ConditionHostsReady)
	if condition == nil {
		return "no condition"
	}
	return condition.Message
}
