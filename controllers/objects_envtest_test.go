//go:build envtest

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"slices"
	"testing"

	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/controllers/plan"
)

func gone(g Gomega, t *testing.T, o client.Object) {
	err := c.Get(t.Context(), client.ObjectKeyFromObject(o), o)
	g.Expect(apierrors.IsNotFound(err)).To(BeTrue(), "%T %s is still there: %v", o, o.GetName(), err)
}

// A deleted resource stays until every host runs a plan without it.
func TestDeletedResourceStaysUntilItIsStopped(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	hosts := readyGroup(g, t, ns)
	create(g, t, newResource(ns, "db", "extra"))
	with := accepted(g, t, ns, "db").Status.PlanRevision
	g.Eventually(func(g Gomega) {
		o := get(g, t, ns, "extra", &understudyv1alpha1.ClusterResource{})
		g.Expect(apimeta.IsStatusConditionTrue(o.Status.Conditions, understudyv1alpha1.ConditionAccepted)).To(BeTrue())
		with = group(g, t, ns, "db").Status.PlanRevision
	}, soon, "50ms").Should(Succeed())

	owner := monitorOf(g, t, &hosts[0])
	one := &understudyv1alpha1.ResourceGroup{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "db"}}
	report := func(monitor client.Client, patch string) {
		g.Expect(monitor.Status().Patch(t.Context(), one, client.RawPatch(types.MergePatchType, []byte(patch)))).To(Succeed())
	}
	g.Eventually(func() error { return take(t.Context(), owner, ns, &hosts[0], 1_000) }, soon, "100ms").Should(Succeed())
	says := func(revision string) {
		report(owner, `{"status":{"owner":{"epoch":1000,"podUID":"`+string(hosts[0].UID)+
			`","state":"Online","planRevision":"`+revision+`"},"hosts":{"db-0":{"planRevision":"`+revision+`"}}}}`)
	}
	says(with)
	standby := monitorOf(g, t, &hosts[1])
	report(standby, `{"status":{"hosts":{"db-1":{"planRevision":"`+with+`"}}}}`)

	g.Expect(c.Delete(t.Context(), newResource(ns, "db", "extra"))).To(Succeed())
	var without string
	g.Eventually(func(g Gomega) {
		without = group(g, t, ns, "db").Status.PlanRevision
		g.Expect(without).NotTo(Equal(with))
	}, soon, "50ms").Should(Succeed())
	role := get(g, t, ns, "understudy-db", &rbacv1.Role{})
	g.Expect(role.Rules).To(ContainElement(HaveField("ResourceNames", ContainElement("extra"))), "its end is reported")
	waitsFor := func(text string) {
		g.Eventually(func(g Gomega) {
			g.Expect(take(t.Context(), owner, ns, &hosts[0], 1_000)).To(Succeed()) // the lease is held
			g.Expect(acceptance(g, t, ns, "extra")).To(HaveValue(And(
				HaveField("Reason", understudyv1alpha1.ReasonDeleting), HaveField("Message", ContainSubstring(text)))))
		}, soon, "100ms").Should(Succeed())
		g.Consistently(func(g Gomega) {
			g.Expect(take(t.Context(), owner, ns, &hosts[0], 1_000)).To(Succeed())
			get(g, t, ns, "extra", &understudyv1alpha1.ClusterResource{})
		}, "700ms", "100ms").Should(Succeed())
	}
	waitsFor("the owner of the group db-0 to stop it and to run the plan " + without)
	says(without)
	waitsFor("the host db-1 to close it and to run the plan " + without)
	report(standby, `{"status":{"hosts":{"db-1":{"planRevision":"`+without+`"}}}}`)
	g.Eventually(func(g Gomega) { gone(g, t, newResource(ns, "db", "extra")) }, soon, "50ms").Should(Succeed())
}

// acceptance is the condition Accepted of a resource.
func acceptance(g Gomega, t *testing.T, ns, name string) *metav1.Condition {
	return apimeta.FindStatusCondition(
		get(g, t, ns, name, &understudyv1alpha1.ClusterResource{}).Status.Conditions, understudyv1alpha1.ConditionAccepted)
}

// A resource can be deleted while another one of its group is refused, unless
// something of the plan in force needs it: then its condition says what it waits for.
func TestDeletionInARefusedGroup(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	create(g, t, newGroup(ns, "db"), newResource(ns, "db", "disk"), newResource(ns, "db", "redis", "disk"),
		newResource(ns, "db", "extra"))
	before := accepted(g, t, ns, "db").Status.PlanRevision
	redis := get(g, t, ns, "redis", &understudyv1alpha1.ClusterResource{})
	redis.Spec.Properties = &runtime.RawExtension{Raw: []byte(`{"comand":["sleep","1"]}`)}
	g.Expect(c.Update(t.Context(), redis)).To(Succeed())
	refused := func(g Gomega) {
		g.Expect(apimeta.FindStatusCondition(group(g, t, ns, "db").Status.Conditions, understudyv1alpha1.ConditionAccepted)).
			To(HaveValue(HaveField("Reason", understudyv1alpha1.ReasonGroupRejected)))
	}
	g.Eventually(refused, soon, "50ms").Should(Succeed())

	g.Expect(c.Delete(t.Context(), newResource(ns, "db", "extra"))).To(Succeed())
	g.Eventually(func(g Gomega) { gone(g, t, newResource(ns, "db", "extra")) }, soon, "50ms").Should(Succeed())
	refused(g)
	now := group(g, t, ns, "db").Status.PlanRevision
	g.Expect(now).NotTo(Equal(before))
	p, err := plan.Decode(get(g, t, ns, now, &appsv1.ControllerRevision{}).Data.Raw)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(p.Resources).To(HaveExactElements(HaveField("Name", "disk"), And(
		HaveField("Name", "redis"), HaveField("Properties", ContainSubstring(`"command"`)))), "as it was accepted last")

	g.Expect(c.Delete(t.Context(), newResource(ns, "db", "disk"))).To(Succeed())
	g.Eventually(func(g Gomega) {
		g.Expect(acceptance(g, t, ns, "disk")).To(HaveValue(And(
			HaveField("Status", metav1.ConditionFalse), HaveField("Reason", understudyv1alpha1.ReasonDeleting),
			HaveField("Message", And(ContainSubstring("a correction of ClusterResource redis"),
				ContainSubstring("needed by redis"))))))
	}, soon, "50ms").Should(Succeed())
	g.Expect(c.Delete(t.Context(), newResource(ns, "db", "redis"))).To(Succeed())
	g.Eventually(func(g Gomega) {
		gone(g, t, newResource(ns, "db", "disk"))
		gone(g, t, newResource(ns, "db", "redis"))
	}, soon, "50ms").Should(Succeed())
	accepted(g, t, ns, "db")
}

// A resource without a group says so, and is not held.
func TestResourceWithoutGroup(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	create(g, t, newResource(ns, "nowhere", "lonely"))
	g.Eventually(func(g Gomega) {
		condition := apimeta.FindStatusCondition(
			get(g, t, ns, "lonely", &understudyv1alpha1.ClusterResource{}).Status.Conditions,
			understudyv1alpha1.ConditionAccepted)
		g.Expect(condition).To(HaveValue(And(
			HaveField("Reason", understudyv1alpha1.ReasonGroupNotFound),
			HaveField("Message", ContainSubstring(`"nowhere" does not exist`)))))
	}, soon, "50ms").Should(Succeed())
	g.Expect(c.Delete(t.Context(), newResource(ns, "nowhere", "lonely"))).To(Succeed())
	gone(g, t, newResource(ns, "nowhere", "lonely"))
}

// A type is judged, and a correction of it mends the groups that use it.
func TestTypeIsJudged(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	one := &understudyv1alpha1.ResourceType{
		ObjectMeta: metav1.ObjectMeta{Name: ns},
		Spec: understudyv1alpha1.ResourceTypeSpec{
			Provider:         understudyv1alpha1.ProviderSource{Inject: &understudyv1alpha1.InjectedProvider{Command: []string{"/p"}}},
			PropertiesSchema: &runtime.RawExtension{Raw: []byte(`{"type":"object","properties":{"a":{}}}`)},
		},
	}
	resource := newResource(ns, "db", "thing")
	resource.Spec.TypeName, resource.Spec.Properties = ns, &runtime.RawExtension{Raw: []byte(`{"a":1}`)}
	create(g, t, one, newGroup(ns, "db"), resource)
	t.Cleanup(func() { _ = c.Delete(t.Context(), one) })
	g.Eventually(func(g Gomega) {
		condition := apimeta.FindStatusCondition(
			get(g, t, "", ns, &understudyv1alpha1.ResourceType{}).Status.Conditions, understudyv1alpha1.ConditionAccepted)
		g.Expect(condition).To(HaveValue(And(
			HaveField("Status", metav1.ConditionFalse),
			HaveField("Message", ContainSubstring("spec.propertiesSchema.properties[a].type")))))
		condition = apimeta.FindStatusCondition(
			get(g, t, ns, "thing", &understudyv1alpha1.ClusterResource{}).Status.Conditions, understudyv1alpha1.ConditionAccepted)
		g.Expect(condition).To(HaveValue(HaveField("Reason", understudyv1alpha1.ReasonTypeRejected)))
	}, soon, "50ms").Should(Succeed())

	g.Eventually(func() error {
		have := get(g, t, "", ns, &understudyv1alpha1.ResourceType{})
		have.Spec.PropertiesSchema.Raw = []byte(`{"type":"object","properties":{"a":{"type":"integer"}}}`)
		return c.Update(t.Context(), have)
	}, soon, "50ms").Should(Succeed())
	accepted(g, t, ns, "db")
}

// The built-in types are there and accepted.
func TestBuiltinTypes(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	g.Eventually(func(g Gomega) {
		have := get(g, t, "", "application", &understudyv1alpha1.ResourceType{})
		g.Expect(apimeta.IsStatusConditionTrue(have.Status.Conditions, understudyv1alpha1.ConditionAccepted)).To(BeTrue())
	}, soon, "50ms").Should(Succeed())
}

// A built-in type that somebody deletes comes back. Not in parallel: all tests use it.
func TestDeletedBuiltinTypeIsMended(t *testing.T) {
	g := NewWithT(t)
	accepted := func(g Gomega) types.UID {
		have := get(g, t, "", "application", &understudyv1alpha1.ResourceType{})
		g.Expect(apimeta.IsStatusConditionTrue(have.Status.Conditions, understudyv1alpha1.ConditionAccepted)).To(BeTrue())
		return have.UID
	}
	var before types.UID
	g.Eventually(func(g Gomega) { before = accepted(g) }, soon, "50ms").Should(Succeed())
	g.Expect(c.Delete(t.Context(), get(g, t, "", "application", &understudyv1alpha1.ResourceType{}))).To(Succeed())
	g.Eventually(func(g Gomega) { g.Expect(accepted(g)).NotTo(Equal(before)) }, soon, "50ms").Should(Succeed())
}

// TestRoleOfSomebodyElse: what cannot be stored for a plan keeps it from being in
// force, and the group says so.
func TestRoleOfSomebodyElse(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	theirs := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "understudy-db"}}
	create(g, t, theirs, newGroup(ns, "db"), newResource(ns, "db", "redis"))
	refused(g, t, ns, understudyv1alpha1.ReasonPlanRefused, `the Role "understudy-db" exists and is not Understudy's`)
	g.Expect(c.Delete(t.Context(), theirs)).To(Succeed())
	changeGroup(g, t, ns, func(s *understudyv1alpha1.ResourceGroupSpec) { s.FailoverThreshold = new(int32(7)) }) // at once
	accepted(g, t, ns, "db")
}

// A Service that is somebody else's is left alone, and named; no plan with one of
// that name is put in force before it is gone.
func TestServiceOfSomebodyElse(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	theirs := func() *corev1.Service {
		return &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "db"},
			Spec: corev1.ServiceSpec{
				Selector: map[string]string{"app": "other"}, Ports: []corev1.ServicePort{{Port: 80}},
			},
		}
	}
	create(g, t, theirs(), newGroup(ns, "db"), newResource(ns, "db", "redis"))
	refused(g, t, ns, understudyv1alpha1.ReasonServiceTaken, "spec.service")
	g.Expect(group(g, t, ns, "db").Status.PlanRevision).To(BeEmpty())
	g.Expect(pods(g, t, ns, "db")).To(BeEmpty())
	g.Expect(get(g, t, ns, "db", &corev1.Service{}).Spec.Selector).To(Equal(map[string]string{"app": "other"}))

	// Without a Service, theirs is not in the way; a wish for one leaves that plan in force.
	changeGroup(g, t, ns, func(s *understudyv1alpha1.ResourceGroupSpec) { s.Service = nil })
	without := accepted(g, t, ns, "db").Status.PlanRevision
	changeGroup(g, t, ns, func(s *understudyv1alpha1.ResourceGroupSpec) { s.Service = newGroup(ns, "db").Spec.Service })
	refused(g, t, ns, understudyv1alpha1.ReasonServiceTaken, "spec.service")
	g.Expect(group(g, t, ns, "db").Status.PlanRevision).To(Equal(without))

	g.Expect(c.Delete(t.Context(), theirs())).To(Succeed())
	changeGroup(g, t, ns, func(s *understudyv1alpha1.ResourceGroupSpec) { s.FailoverThreshold = new(int32(7)) }) // at once
	accepted(g, t, ns, "db")
	g.Eventually(func(g Gomega) {
		g.Expect(condition(g, t, ns, understudyv1alpha1.ConditionServiceReady)).To(
			HaveValue(HaveField("Status", metav1.ConditionTrue)))
	}, soon, "50ms").Should(Succeed())

	// One that takes the place of ours later leaves the plan in force, and says so.
	g.Eventually(func(g Gomega) {
		g.Expect(client.IgnoreNotFound(c.Delete(t.Context(), theirs()))).To(Succeed())
		g.Expect(c.Create(t.Context(), theirs())).To(Succeed())
	}, soon, "1ms").Should(Succeed())
	g.Eventually(func(g Gomega) {
		g.Expect(condition(g, t, ns, understudyv1alpha1.ConditionServiceReady)).To(HaveValue(And(
			HaveField("Status", metav1.ConditionFalse), HaveField("Reason", understudyv1alpha1.ReasonServiceTaken))))
	}, soon, "50ms").Should(Succeed())
	accepted(g, t, ns, "db")
	g.Eventually(func(g Gomega) { // their clients shall not reach our owner
		gone(g, t, &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "db-understudy"}})
	}, soon, "50ms").Should(Succeed())
	changeGroup(g, t, ns, func(s *understudyv1alpha1.ResourceGroupSpec) { s.Service = nil })
	g.Eventually(func(g Gomega) {
		g.Expect(condition(g, t, ns, understudyv1alpha1.ConditionServiceReady)).To(BeNil(), "none is wanted")
	}, soon, "50ms").Should(Succeed())
	g.Expect(get(g, t, ns, "db", &corev1.Service{}).Spec.Selector).To(Equal(map[string]string{"app": "other"}))
}

// A Service that the API server refuses is shown, and the rest of the group served.
func TestServiceThatIsRefused(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	forbid(g, t, ns, "services", "false", admissionregistrationv1.Create)
	g.Eventually(func() error {
		return c.Create(t.Context(), &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "any"},
			Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
		}, client.DryRunAll)
	}, soon, "50ms").Should(MatchError(ContainSubstring("forbids")))
	readyGroup(g, t, ns)
	accepted(g, t, ns, "db")
	g.Expect(condition(g, t, ns, understudyv1alpha1.ConditionServiceReady)).To(HaveValue(And(
		HaveField("Status", metav1.ConditionFalse), HaveField("Reason", understudyv1alpha1.ReasonServiceRefused),
		HaveField("Message", ContainSubstring("the platform team forbids it")))))
}

// Monitors keep what they may reach while a newer spec is refused.
func TestAccessIsMendedWhileTheSpecIsRefused(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	owner, monitor := ownedGroup(g, t, ns)
	changeGroup(g, t, ns, func(s *understudyv1alpha1.ResourceGroupSpec) {
		s.Template.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{}
	})
	refused(g, t, ns, understudyv1alpha1.ReasonProbeNotAllowed, "lifecycle")
	binding := get(g, t, ns, "understudy-db", &rbacv1.RoleBinding{})
	g.Expect(c.Delete(t.Context(), binding)).To(Succeed())
	g.Eventually(func(g Gomega) { // another one: the API server goes by the one of before for a while
		g.Expect(get(g, t, ns, "understudy-db", &rbacv1.RoleBinding{}).UID).NotTo(Equal(binding.UID))
	}, soon, "50ms").Should(Succeed())
	g.Eventually(func() error { return take(t.Context(), monitor, ns, owner, 1_000) }, soon, "100ms").Should(Succeed())
}

// Another service account takes the place of the old one pod by pod: the owner,
// which comes last, renews throughout.
func TestServiceAccountChanges(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	owner, monitor := ownedGroup(g, t, ns)
	create(g, t, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "another"}})
	accounts := func(g Gomega) (names []string) {
		for _, s := range get(g, t, ns, "understudy-db", &rbacv1.RoleBinding{}).Subjects {
			names = append(names, s.Name)
		}
		return names
	}
	goes := func(name string) {
		g.Eventually(func(g Gomega) {
			g.Expect(take(t.Context(), monitor, ns, owner, 1_000)).To(Succeed())
			g.Expect(get(g, t, ns, name, &corev1.Pod{}).DeletionTimestamp).NotTo(BeNil())
		}, soon, "50ms").Should(Succeed())
		g.Expect(c.Delete(t.Context(), get(g, t, ns, name, &corev1.Pod{}), client.GracePeriodSeconds(0))).To(Succeed())
	}
	g.Expect(accounts(g)).To(Equal([]string{"default"}))
	changeGroup(g, t, ns, func(s *understudyv1alpha1.ResourceGroupSpec) { s.Template.Spec.ServiceAccountName = "another" })
	goes("db-1")
	var renewed *corev1.Pod
	g.Eventually(func(g Gomega) { renewed = get(g, t, ns, "db-2", &corev1.Pod{}) }, soon, "50ms").Should(Succeed())
	g.Expect(renewed.Spec.ServiceAccountName).To(Equal("another"))
	g.Consistently(func(g Gomega) {
		g.Expect(accounts(g)).To(Equal([]string{"another", "default"}))
		g.Expect(take(t.Context(), monitor, ns, owner, 1_000)).To(Succeed())
	}, "1s", "100ms").Should(Succeed())
	run(g, t, renewed, ns+"-db-1")
	goes("db-0")
	g.Eventually(accounts).WithTimeout(soon).Should(Equal([]string{"another"}))
}

// What somebody changes or deletes of a group's objects is mended.
func TestChildrenAreMended(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	create(g, t, newGroup(ns, "db"), newResource(ns, "db", "redis"))
	accepted(g, t, ns, "db")
	var role *rbacv1.Role
	g.Eventually(func(g Gomega) {
		role = get(g, t, ns, "understudy-db", &rbacv1.Role{})
		// The first plan may have been without the resource.
		named := func(r rbacv1.PolicyRule) bool { return slices.Contains(r.ResourceNames, "redis") }
		g.Expect(slices.ContainsFunc(role.Rules, named)).To(BeTrue())
		get(g, t, ns, "db", &corev1.Service{})
	}, soon, "50ms").Should(Succeed())
	rules := role.Rules
	role.Rules = nil
	g.Expect(c.Update(t.Context(), role)).To(Succeed())
	g.Expect(c.Delete(t.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "db"}})).To(Succeed())
	g.Eventually(func(g Gomega) {
		g.Expect(get(g, t, ns, "understudy-db", &rbacv1.Role{}).Rules).To(Equal(rules))
		get(g, t, ns, "db", &corev1.Service{})
	}, soon, "50ms").Should(Succeed())
}

// TestPlanThatCannotBeStored: a plan for which there is no room keeps the group from
// losing a resource too, and is not tried without end. Its Role shows each try.
func TestPlanThatCannotBeStored(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	create(g, t, newGroup(ns, "db"), newResource(ns, "db", "redis"), newResource(ns, "db", "spare"))
	accepted(g, t, ns, "db")
	full := corev1.ResourceList{"count/controllerrevisions.apps": resource.MustParse("2")}
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "plans"}, Spec: corev1.ResourceQuotaSpec{Hard: full},
	}
	create(g, t, quota)
	quota.Status = corev1.ResourceQuotaStatus{Hard: full, Used: full} // its controller's part
	g.Expect(c.Status().Update(t.Context(), quota)).To(Succeed())
	g.Eventually(func() error {
		return c.Create(t.Context(), &appsv1.ControllerRevision{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "one-more"}, Revision: 1,
			Data: runtime.RawExtension{Raw: []byte(`{}`)},
		}, client.DryRunAll)
	}, soon, "50ms").Should(MatchError(ContainSubstring("exceeded quota")))
	g.Expect(c.Delete(t.Context(), newResource(ns, "db", "spare"))).To(Succeed())
	changeGroup(g, t, ns, func(s *understudyv1alpha1.ResourceGroupSpec) { s.FailoverThreshold = new(int32(7)) })
	refused(g, t, ns, understudyv1alpha1.ReasonPlanRefused, "exceeded quota")
	version := func() string { return get(g, t, ns, "understudy-db", &rbacv1.Role{}).ResourceVersion }
	g.Eventually(func(g Gomega) {
		was := version()
		g.Consistently(version, "2s", "50ms").Should(Equal(was))
	}, soon, "50ms").Should(Succeed())
}
