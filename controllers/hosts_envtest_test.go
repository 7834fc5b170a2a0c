//go:build envtest

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

// node makes a node that is ready, or not.
func node(g Gomega, t *testing.T, name string, ready corev1.ConditionStatus) {
	t.Helper()
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := c.Create(t.Context(), n); !apierrors.IsAlreadyExists(err) {
		g.Expect(err).NotTo(HaveOccurred())
		t.Cleanup(func() { _ = c.Delete(t.Context(), n) })
	}
	g.Expect(c.Get(t.Context(), types.NamespacedName{Name: name}, n)).To(Succeed())
	// Without a controller, new nodes keep the taint that says so; nobody schedules here.
	n.Status.Conditions = []corev1.NodeCondition{{
		Type: corev1.NodeReady, Status: ready, LastTransitionTime: metav1.Now(), LastHeartbeatTime: metav1.Now(),
	}}
	g.Expect(c.Status().Update(t.Context(), n)).To(Succeed())
}

// run plays scheduler, kubelet and monitor for a pod: it lands on a node, runs
// and says that it is ready.
func run(g Gomega, t *testing.T, pod *corev1.Pod, nodeName string) {
	t.Helper()
	g.Expect(c.SubResource("binding").Create(t.Context(), pod, &corev1.Binding{
		Target: corev1.ObjectReference{Kind: "Node", Name: nodeName},
	})).To(Succeed())
	g.Expect(c.Get(t.Context(), client.ObjectKeyFromObject(pod), pod)).To(Succeed())
	pod.Status.Phase = corev1.PodRunning
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	g.Expect(c.Status().Update(t.Context(), pod)).To(Succeed())
	patch := client.RawPatch(types.MergePatchType, []byte(
		`{"status":{"hosts":{"`+pod.Name+`":{"podUID":"`+string(pod.UID)+`","nodeName":"`+nodeName+`","ready":true}}}}`))
	name := pod.Labels[understudyv1alpha1.LabelGroup]
	monitor := monitorOf(g, t, pod)
	g.Eventually(func() error {
		return monitor.Status().Patch(t.Context(), &understudyv1alpha1.ResourceGroup{
			ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: name},
		}, patch)
	}, soon, "100ms").Should(Succeed())
}

// line waits for a succession and returns it as text.
func succession(g Gomega, t *testing.T, ns string) string {
	s := group(g, t, ns, "db").Status.Succession
	g.Expect(s).NotTo(BeNil())
	words := []string{"line"}
	for _, one := range s.Line {
		words = append(words, one.PodName)
	}
	words = append(words, "reserve")
	for _, one := range s.Reserve {
		words = append(words, one.PodName)
	}
	words = append(words, "barred")
	for _, one := range s.Barred {
		words = append(words, one.PodName+"="+one.Reason)
	}
	return strings.Join(words, " ")
}

// readyGroup makes a group whose hosts all run, each on a node of its own.
func readyGroup(g Gomega, t *testing.T, ns string) []corev1.Pod {
	t.Helper()
	create(g, t, newGroup(ns, "db"), newResource(ns, "db", "redis"))
	var hosts []corev1.Pod
	g.Eventually(func(g Gomega) {
		hosts = pods(g, t, ns, "db")
		g.Expect(hosts).To(HaveLen(2), hostsMessage(g, t, ns, "db"))
	}, soon, "50ms").Should(Succeed())
	slices.SortFunc(hosts, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	for i := range hosts {
		name := ns + "-" + hosts[i].Name
		node(g, t, name, corev1.ConditionTrue)
		run(g, t, &hosts[i], name)
	}
	g.Eventually(func(g Gomega) {
		g.Expect(succession(g, t, ns)).To(Equal("line db-0 db-1 reserve barred"))
		condition := apimeta.FindStatusCondition(
			group(g, t, ns, "db").Status.Conditions, understudyv1alpha1.ConditionHostsReady)
		g.Expect(condition).To(HaveValue(HaveField("Status", metav1.ConditionTrue)))
	}, soon, "50ms").Should(Succeed())
	return hosts
}

// The succession follows nodes and pods; labels follow the owner; the words of
// hosts that are gone are dropped.
func TestSuccessionFollows(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	hosts := readyGroup(g, t, ns)

	monitor := monitorOf(g, t, &hosts[0])
	g.Eventually(func() error { return take(t.Context(), monitor, ns, &hosts[0], 1_000) }, soon, "100ms").Should(Succeed())
	g.Eventually(func(g Gomega) {
		g.Expect(succession(g, t, ns)).To(Equal("line db-1 db-0 reserve barred"), "the owner is asked last")
		g.Expect(get(g, t, ns, "db-0", &corev1.Pod{}).Labels).To(HaveKeyWithValue(understudyv1alpha1.LabelRole, "owner"))
		g.Expect(get(g, t, ns, "db-1", &corev1.Pod{}).Labels).To(HaveKeyWithValue(understudyv1alpha1.LabelRole, "standby"))
	}, soon, "50ms").Should(Succeed())

	node(g, t, ns+"-db-1", corev1.ConditionUnknown)
	g.Eventually(func(g Gomega) {
		g.Expect(succession(g, t, ns)).To(Equal("line db-0 reserve barred db-1=NodeNotReady"))
		g.Expect(hostsMessage(g, t, ns, "db")).To(ContainSubstring("db-1: its node " + ns + "-db-1 is not ready"))
	}, soon, "50ms").Should(Succeed())
	node(g, t, ns+"-db-1", corev1.ConditionTrue)
	g.Eventually(func(g Gomega) {
		g.Expect(succession(g, t, ns)).To(Equal("line db-1 db-0 reserve barred"))
	}, soon, "50ms").Should(Succeed())

	g.Expect(c.Delete(t.Context(), &hosts[1], client.GracePeriodSeconds(0))).To(Succeed())
	g.Eventually(func(g Gomega) {
		g.Expect(succession(g, t, ns)).To(Equal("line db-0 reserve barred"))
		g.Expect(group(g, t, ns, "db").Status.Hosts).To(And(HaveLen(1), HaveKey("db-0")))
		g.Expect(pods(g, t, ns, "db")).To(ContainElement(HaveField("Name", "db-2")))
	}, soon, "50ms").Should(Succeed())
}

// OwnerLost is the manager's judgement, by its own clock.
func TestOwnerLost(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	hosts := readyGroup(g, t, ns)
	lost := func(g Gomega) *metav1.Condition {
		return apimeta.FindStatusCondition(group(g, t, ns, "db").Status.Conditions, understudyv1alpha1.ConditionOwnerLost)
	}
	g.Eventually(func(g Gomega) {
		g.Expect(lost(g)).To(HaveValue(HaveField("Status", metav1.ConditionFalse)))
	}, soon, "50ms").Should(Succeed())
	monitor := monitorOf(g, t, &hosts[0])
	g.Eventually(func() error { return take(t.Context(), monitor, ns, &hosts[0], 1_000) }, soon, "100ms").Should(Succeed())
	since := time.Now()
	g.Eventually(func(g Gomega) {
		g.Expect(lost(g)).To(HaveValue(And(
			HaveField("Status", metav1.ConditionTrue), HaveField("Reason", understudyv1alpha1.ReasonOwnerSilent),
			HaveField("Message", ContainSubstring("db-0")))))
	}, 2*soon, "50ms").Should(Succeed())
	g.Expect(time.Since(since)).To(BeNumerically(">", leasev1.W(2*time.Second)))
	g.Expect(take(t.Context(), monitor, ns, &hosts[0], 1_000)).To(Succeed(), "it was only slow")
	g.Eventually(func(g Gomega) {
		g.Expect(lost(g)).To(HaveValue(HaveField("Status", metav1.ConditionFalse)))
	}, soon, "50ms").Should(Succeed())
}

// A new template reaches the standby first, and the owner only once that is ready.
func TestTemplateRolls(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	hosts := readyGroup(g, t, ns)
	monitor := monitorOf(g, t, &hosts[1])
	g.Eventually(func() error { return take(t.Context(), monitor, ns, &hosts[1], 1_000) }, soon, "100ms").Should(Succeed())
	g.Eventually(func(g Gomega) {
		g.Expect(succession(g, t, ns)).To(Equal("line db-0 db-1 reserve barred"))
		g.Expect(get(g, t, ns, "db-1", &corev1.Pod{}).Labels).To(HaveKeyWithValue(understudyv1alpha1.LabelRole, "owner"))
	}, soon, "50ms").Should(Succeed())

	g.Eventually(func() error {
		one := group(g, t, ns, "db")
		one.Spec.Template.Spec.Containers[0].Image = "example.test/app:2"
		return c.Update(t.Context(), one)
	}, soon, "50ms").Should(Succeed())
	// Kubelet's part: what is deleted goes.
	leaves := func(name string) {
		g.Eventually(func(g Gomega) {
			g.Expect(get(g, t, ns, name, &corev1.Pod{}).DeletionTimestamp).NotTo(BeNil())
		}, soon, "50ms").Should(Succeed())
		g.Expect(c.Delete(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}},
			client.GracePeriodSeconds(0))).To(Succeed())
	}
	leaves("db-0")
	var renewed *corev1.Pod
	g.Eventually(func(g Gomega) {
		renewed = get(g, t, ns, "db-2", &corev1.Pod{})
		g.Expect(renewed.Spec.Containers[0].Image).To(Equal("example.test/app:2"))
	}, soon, "50ms").Should(Succeed())
	g.Consistently(func(g Gomega) {
		g.Expect(get(g, t, ns, "db-1", &corev1.Pod{}).DeletionTimestamp).To(BeNil(), "the owner waits for it")
	}, "1s", "100ms").Should(Succeed())
	run(g, t, renewed, ns+"-db-0")
	leaves("db-1")
	g.Eventually(func(g Gomega) {
		g.Expect(get(g, t, ns, "db-3", &corev1.Pod{}).Spec.Containers[0].Image).To(Equal("example.test/app:2"))
	}, soon, "50ms").Should(Succeed())
}

// A finished host is replaced; fewer hosts are taken from the end.
func TestHostsAreReplacedAndRemoved(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	hosts := readyGroup(g, t, ns)
	hosts[1].Status.Phase = corev1.PodFailed
	g.Expect(c.Status().Update(t.Context(), &hosts[1])).To(Succeed())
	g.Eventually(func(g Gomega) {
		g.Expect(pods(g, t, ns, "db")).To(ContainElement(HaveField("Name", "db-2")))
		one := &corev1.Pod{}
		err := c.Get(t.Context(), client.ObjectKeyFromObject(&hosts[1]), one)
		g.Expect(apierrors.IsNotFound(err) || !one.DeletionTimestamp.IsZero()).To(BeTrue())
	}, 2*soon, "50ms").Should(Succeed())

	g.Eventually(func() error {
		one := group(g, t, ns, "db")
		one.Spec.Hosts = ptr.To[int32](1)
		return c.Update(t.Context(), one)
	}, soon, "50ms").Should(Succeed())
	g.Eventually(func(g Gomega) {
		for _, p := range pods(g, t, ns, "db") {
			g.Expect(p.Name == "db-0" || !p.DeletionTimestamp.IsZero()).To(BeTrue(), p.Name)
		}
	}, soon, "50ms").Should(Succeed())
}

// A namespace under the strictest Pod Security takes host pods whose template
// allows it, and answers for those whose template does not.
func TestRestrictedNamespace(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, map[string]string{"pod-security.kubernetes.io/enforce": "restricted"})
	create(g, t, newGroup(ns, "good"), newResource(ns, "good", "redis"))
	g.Eventually(func(g Gomega) {
		g.Expect(pods(g, t, ns, "good")).To(HaveLen(2), hostsMessage(g, t, ns, "good"))
	}, soon, "50ms").Should(Succeed())

	bad := newGroup(ns, "bad")
	bad.Spec.Template.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{Privileged: ptr.To(true)}
	create(g, t, bad, newResource(ns, "bad", "mysql"))
	g.Eventually(func(g Gomega) {
		condition := apimeta.FindStatusCondition(
			group(g, t, ns, "bad").Status.Conditions, understudyv1alpha1.ConditionHostsReady)
		g.Expect(condition).To(HaveValue(And(
			HaveField("Reason", understudyv1alpha1.ReasonPodRefused),
			HaveField("Message", ContainSubstring("restricted")))))
	}, soon, "50ms").Should(Succeed())
	g.Expect(group(g, t, ns, "bad").Status.NextHost).To(BeZero(), "a refusal uses no number up")
}

// A type that brings an image gets its container also under the strictest Pod
// Security. Of an image that cannot be pulled the group says whose it is.
func TestImageProvider(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, map[string]string{"pod-security.kubernetes.io/enforce": "restricted"})
	one := &understudyv1alpha1.ResourceType{
		ObjectMeta: metav1.ObjectMeta{Name: ns},
		Spec: understudyv1alpha1.ResourceTypeSpec{Provider: understudyv1alpha1.ProviderSource{
			Image: &understudyv1alpha1.ImageProvider{Image: "example.test/link:1", Command: []string{"/link"}},
		}},
	}
	link := newResource(ns, "db", "link")
	link.Spec.TypeName, link.Spec.ContainerName, link.Spec.Properties = ns, "", nil
	create(g, t, one, newGroup(ns, "db"), link)
	t.Cleanup(func() { _ = c.Delete(t.Context(), one) })
	name := "understudy-type-" + ns
	var host corev1.Pod
	g.Eventually(func(g Gomega) {
		list := pods(g, t, ns, "db")
		g.Expect(list).To(HaveLen(2), hostsMessage(g, t, ns, "db"))
		host = list[0]
	}, soon, "50ms").Should(Succeed())
	g.Expect(host.Spec.Containers).To(HaveExactElements(
		HaveField("Name", "app"), And(HaveField("Name", name), HaveField("Image", "example.test/link:1"))))

	host.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: name, State: corev1.ContainerState{
		Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: "no such image"},
	}}}
	g.Expect(c.Status().Update(t.Context(), &host)).To(Succeed())
	g.Eventually(func(g Gomega) {
		g.Expect(hostsMessage(g, t, ns, "db")).To(ContainSubstring(
			host.Name + ": container " + name + " (of the ResourceType " + ns + "): ErrImagePull: no such image"))
	}, soon, "50ms").Should(Succeed())
}

// A Lease that somebody tears out from under an owner is its own to re-create first.
func TestDeletedRecordIsLeftToItsOwner(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	hosts := readyGroup(g, t, ns)
	monitor := monitorOf(g, t, &hosts[0])
	g.Eventually(func() error { return take(t.Context(), monitor, ns, &hosts[0], 1_000) }, soon, "100ms").Should(Succeed())
	one := &understudyv1alpha1.ResourceGroup{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "db"}}
	g.Expect(monitor.Status().Patch(t.Context(), one, client.RawPatch(types.MergePatchType, []byte(
		`{"status":{"owner":{"epoch":1000,"podUID":"`+string(hosts[0].UID)+`","podName":"db-0","state":"Online"}}}`)))).To(Succeed())
	g.Eventually(func(g Gomega) {
		g.Expect(group(g, t, ns, "db").Status.Owner).NotTo(BeNil())
	}).Should(Succeed())
	time.Sleep(500 * time.Millisecond) // until the manager's cache has it, which nothing shows

	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: leasev1.Name("db")}}
	g.Expect(c.Delete(t.Context(), lease)).To(Succeed())
	g.Expect(c.Patch(t.Context(), lease, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`)))).
		To(Succeed())
	since := time.Now()
	g.Eventually(func(g Gomega) {
		record, err := leasev1.Decode(leaseOf(get(g, t, ns, leasev1.Name("db"), &coordinationv1.Lease{})))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(record.Held()).To(BeFalse())
		g.Expect(record.Epoch).To(BeNumerically(">=", 1000), "no epoch is used twice")
	}, soon, "20ms").Should(Succeed())
	g.Expect(time.Since(since)).To(BeNumerically(">", leasev1.W(2*time.Second)-200*time.Millisecond))
}

// changeGroup changes the spec of the group as its user does.
func changeGroup(g Gomega, t *testing.T, ns string, change func(*understudyv1alpha1.ResourceGroupSpec)) {
	t.Helper()
	g.Eventually(func() error {
		one := group(g, t, ns, "db")
		change(&one.Spec)
		return c.Update(t.Context(), one)
	}, soon, "50ms").Should(Succeed())
}

// condition is one of the group's conditions.
func condition(g Gomega, t *testing.T, ns, kind string) *metav1.Condition {
	return apimeta.FindStatusCondition(group(g, t, ns, "db").Status.Conditions, kind)
}

// refused waits until the present spec of the group is refused for a reason.
func refused(g Gomega, t *testing.T, ns, reason, message string) {
	t.Helper()
	g.Eventually(func(g Gomega) {
		one := group(g, t, ns, "db")
		g.Expect(apimeta.FindStatusCondition(one.Status.Conditions, understudyv1alpha1.ConditionAccepted)).To(HaveValue(And(
			HaveField("Status", metav1.ConditionFalse), HaveField("Reason", reason),
			HaveField("ObservedGeneration", one.Generation), HaveField("Message", ContainSubstring(message)))))
	}, soon, "50ms").Should(Succeed())
}

// everyHostStays for a while, and the plan in force with them.
func everyHostStays(g Gomega, t *testing.T, ns string) {
	t.Helper()
	before, revision := pods(g, t, ns, "db"), group(g, t, ns, "db").Status.PlanRevision
	g.Consistently(func(g Gomega) {
		now := pods(g, t, ns, "db")
		g.Expect(now).To(HaveLen(len(before)))
		for i := range now {
			g.Expect(now[i].UID).To(Equal(before[i].UID))
			g.Expect(now[i].DeletionTimestamp).To(BeNil(), now[i].Name)
		}
		g.Expect(group(g, t, ns, "db").Status.PlanRevision).To(Equal(revision))
	}, "2s", "100ms").Should(Succeed())
}

// How many hosts there are is part of the plan: a refused spec does not change it.
func TestRefusedSpecKeepsTheNumberOfHosts(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	ownedGroup(g, t, ns)
	changeGroup(g, t, ns, func(s *understudyv1alpha1.ResourceGroupSpec) {
		s.Hosts, s.Template.Spec.Containers[0].LivenessProbe = ptr.To[int32](1), &corev1.Probe{}
	})
	refused(g, t, ns, understudyv1alpha1.ReasonProbeNotAllowed, "spec.template.spec.containers[0].livenessProbe")
	everyHostStays(g, t, ns)
	g.Expect(condition(g, t, ns, understudyv1alpha1.ConditionHostsReady)).To(
		HaveValue(HaveField("Status", metav1.ConditionTrue)), "two of two, and not of one")

	changeGroup(g, t, ns, func(s *understudyv1alpha1.ResourceGroupSpec) {
		s.Template.Spec.Containers[0].LivenessProbe = nil
	})
	g.Eventually(func(g Gomega) {
		g.Expect(get(g, t, ns, "db-1", &corev1.Pod{}).DeletionTimestamp).NotTo(BeNil())
	}, soon, "50ms").Should(Succeed())
}

// A template of which the API server would take no pod costs no host, not even
// the only one.
func TestTemplateThatNoPodCanHave(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	ownedGroup(g, t, ns)
	mounts := func(mounts ...corev1.VolumeMount) {
		changeGroup(g, t, ns, func(s *understudyv1alpha1.ResourceGroupSpec) {
			s.Template.Spec.Containers[0].VolumeMounts = mounts
		})
	}
	missing := corev1.VolumeMount{Name: "missing", MountPath: "/data"}
	mounts(missing)
	refused(g, t, ns, understudyv1alpha1.ReasonTemplateRefused, `volumeMounts[0].name: Not found: "missing"`)
	everyHostStays(g, t, ns)
	mounts()
	accepted(g, t, ns, "db")

	changeGroup(g, t, ns, func(s *understudyv1alpha1.ResourceGroupSpec) { s.Hosts = ptr.To[int32](1) })
	g.Eventually(func(g Gomega) {
		g.Expect(get(g, t, ns, "db-1", &corev1.Pod{}).DeletionTimestamp).NotTo(BeNil())
	}, soon, "50ms").Should(Succeed())
	g.Expect(c.Delete(t.Context(), get(g, t, ns, "db-1", &corev1.Pod{}), client.GracePeriodSeconds(0))).To(Succeed())
	mounts(missing)
	refused(g, t, ns, understudyv1alpha1.ReasonTemplateRefused, "spec.template: ")
	everyHostStays(g, t, ns)
}

// A quota that is used up by the hosts themselves says nothing against a template.
func TestTemplateUnderAFullQuota(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	readyGroup(g, t, ns)
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "pods"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("2")}},
	}
	create(g, t, quota)
	quota.Status = corev1.ResourceQuotaStatus{Hard: quota.Spec.Hard, Used: quota.Spec.Hard} // its controller's part
	g.Expect(c.Status().Update(t.Context(), quota)).To(Succeed())
	g.Eventually(func() error {
		return c.Create(t.Context(), &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "one-more"},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "example.test/c"}}},
		}, client.DryRunAll)
	}, soon, "50ms").Should(MatchError(ContainSubstring("exceeded quota")))
	changeGroup(g, t, ns, func(s *understudyv1alpha1.ResourceGroupSpec) {
		s.Template.Spec.Containers[0].Image = "example.test/app:2"
	})
	accepted(g, t, ns, "db")
	g.Eventually(func(g Gomega) {
		g.Expect(get(g, t, ns, "db-1", &corev1.Pod{}).DeletionTimestamp).NotTo(BeNil())
	}, soon, "50ms").Should(Succeed())
}

// forbid has the API server refuse what an expression does not allow.
func forbid(g Gomega, t *testing.T, ns, resource, expression string, operation admissionregistrationv1.OperationType) {
	t.Helper()
	name := resource + "." + ns
	policy := &admissionregistrationv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionregistrationv1.MatchResources{
				NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: ns}},
				ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{RuleWithOperations: admissionregistrationv1.RuleWithOperations{
					Operations: []admissionregistrationv1.OperationType{operation},
					Rule: admissionregistrationv1.Rule{
						APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{resource},
					},
				}}},
			},
			Validations: []admissionregistrationv1.Validation{{Expression: expression, Message: "the platform team forbids it"}},
		},
	}
	create(g, t, policy, &admissionregistrationv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: name, ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
		},
	})
	t.Cleanup(func() { _ = c.Delete(context.Background(), policy) })
}

// While host pods cannot be created, all else of the group is looked after.
func TestGroupGoesOnWithoutPodCreation(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	hosts := readyGroup(g, t, ns)
	webhook := &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "down-" + ns},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name: "down.example.test", SideEffects: ptr.To(admissionregistrationv1.SideEffectClassNone),
			AdmissionReviewVersions: []string{"v1"}, TimeoutSeconds: ptr.To[int32](1),
			ClientConfig:      admissionregistrationv1.WebhookClientConfig{URL: ptr.To("https://127.0.0.1:1/")},
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: ns}},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
			}},
		}},
	}
	create(g, t, webhook)
	t.Cleanup(func() { _ = c.Delete(context.Background(), webhook) })
	g.Eventually(func() error {
		return c.Create(t.Context(), &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "any"},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "example.test/c"}}},
		}, client.DryRunAll)
	}, soon, "50ms").Should(MatchError(ContainSubstring("failed calling webhook")))

	g.Expect(c.Delete(t.Context(), &hosts[1], client.GracePeriodSeconds(0))).To(Succeed())
	g.Eventually(func(g Gomega) {
		g.Expect(succession(g, t, ns)).To(Equal("line db-0 reserve barred"))
		g.Expect(condition(g, t, ns, understudyv1alpha1.ConditionHostsReady)).To(HaveValue(And(
			HaveField("Reason", understudyv1alpha1.ReasonPodRefused),
			HaveField("Message", ContainSubstring("failed calling webhook")))))
	}, soon, "50ms").Should(Succeed())
	changeGroup(g, t, ns, func(s *understudyv1alpha1.ResourceGroupSpec) {
		s.Template.Spec.Containers[0].Image = "example.test/app:2"
	})
	refused(g, t, ns, understudyv1alpha1.ReasonTemplateRefused, "failed calling webhook")
}

// Labels on host pods are for people: the succession does not wait for them.
func TestSuccessionWithoutLabels(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	hosts := readyGroup(g, t, ns)
	const role = "metadata.labels['" + understudyv1alpha1.LabelRole + "']"
	forbid(g, t, ns, "pods", "object."+role+" == oldObject."+role, admissionregistrationv1.Update)
	g.Eventually(func() error {
		return c.Patch(t.Context(), hosts[0].DeepCopy(), client.RawPatch(types.MergePatchType,
			[]byte(`{"metadata":{"labels":{"`+understudyv1alpha1.LabelRole+`":"none"}}}`)), client.DryRunAll)
	}, soon, "50ms").Should(MatchError(ContainSubstring("forbids")))
	monitor := monitorOf(g, t, &hosts[0])
	g.Eventually(func() error { return take(t.Context(), monitor, ns, &hosts[0], 1_000) }, soon, "100ms").Should(Succeed())
	node(g, t, ns+"-db-1", corev1.ConditionUnknown)
	g.Eventually(func(g Gomega) {
		g.Expect(take(t.Context(), monitor, ns, &hosts[0], 1_000)).To(Succeed())
		g.Expect(succession(g, t, ns)).To(Equal("line db-0 reserve barred db-1=NodeNotReady"))
		g.Expect(hostsMessage(g, t, ns, "db")).To(ContainSubstring("db-1: its node"))
	}, soon, "200ms").Should(Succeed())
}
