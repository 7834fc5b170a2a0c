//go:build envtest

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

// services are the names of those in a namespace.
func services(g Gomega, t *testing.T, ns string) []string {
	var list corev1.ServiceList
	g.Expect(c.List(t.Context(), &list, client.InNamespace(ns))).To(Succeed())
	var names []string
	for _, one := range list.Items {
		names = append(names, one.Name)
	}
	return names
}

// points waits until the slice of a group is that of one Service.
func points(g Gomega, t *testing.T, ns, group, service string) {
	t.Helper()
	g.Eventually(func(g Gomega) {
		g.Expect(get(g, t, ns, group+"-understudy", &discoveryv1.EndpointSlice{}).Labels[discoveryv1.LabelServiceName]).
			To(Equal(service))
	}, soon, "50ms").Should(Succeed())
}

// named is a group that wants its Service under a name.
func named(ns, group, service string) *understudyv1alpha1.ResourceGroup {
	one := newGroup(ns, group)
	one.Spec.Service.Name = service
	return one
}

// A Service has the name that the spec says: the slice follows, and the Service of
// the name before goes. All of it goes with the group.
func TestServiceIsRenamed(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	create(g, t, named(ns, "db", "shop"), newResource(ns, "db", "redis"))
	points(g, t, ns, "db", "shop")
	g.Expect(services(g, t, ns)).To(ConsistOf("shop"))
	slice := get(g, t, ns, "db-understudy", &discoveryv1.EndpointSlice{})
	slice.Annotations = map[string]string{understudyv1alpha1.AnnotationEpoch: "7"} // an owner's
	g.Expect(c.Update(t.Context(), slice)).To(Succeed())

	// A Service with copied labels is not the group's to delete.
	g.Expect(c.Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "copied", Labels: get(g, t, ns, "shop", &corev1.Service{}).Labels},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
	})).To(Succeed())
	changeGroup(g, t, ns, func(s *understudyv1alpha1.ResourceGroupSpec) { s.Service.Name = "market" })
	points(g, t, ns, "db", "market")
	g.Eventually(func(g Gomega) {
		g.Expect(services(g, t, ns)).To(ConsistOf("market", "copied"))
	}, soon, "50ms").Should(Succeed())
	now := get(g, t, ns, "db-understudy", &discoveryv1.EndpointSlice{})
	g.Expect(now.UID).NotTo(Equal(slice.UID), "kube-proxy misses a change of the label")
	g.Expect(now.Annotations).To(HaveKeyWithValue(understudyv1alpha1.AnnotationEpoch, "7"), "the fence stays")

	changeGroup(g, t, ns, func(s *understudyv1alpha1.ResourceGroupSpec) { s.Service.Name = "" })
	points(g, t, ns, "db", "db")
	g.Eventually(func(g Gomega) { g.Expect(services(g, t, ns)).To(ConsistOf("db", "copied")) }, soon, "50ms").Should(Succeed())
	g.Expect(c.Delete(t.Context(), newGroup(ns, "db"))).To(Succeed())
	g.Eventually(func(g Gomega) {
		for _, p := range pods(g, t, ns, "db") { // kubelet's part
			g.Expect(client.IgnoreNotFound(c.Delete(t.Context(), &p, client.GracePeriodSeconds(0)))).To(Succeed())
		}
		gone(g, t, newGroup(ns, "db"))
	}, 2*soon, "100ms").Should(Succeed())
	g.Expect(services(g, t, ns)).To(ConsistOf("copied"))
}

// A Service that somebody changed is put right at once: nothing else of a healthy
// group makes the manager look at it.
func TestServiceIsPutRight(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	hosts := readyGroup(g, t, ns)
	monitor := monitorOf(g, t, &hosts[0])
	renew := func(g Gomega) { g.Expect(take(t.Context(), monitor, ns, &hosts[0], 1_000)).To(Succeed()) }
	g.Eventually(renew, soon, "100ms").Should(Succeed())
	g.Eventually(func(g Gomega) {
		renew(g)
		g.Expect(requestsOf.of(ns)).To(BeEmpty(), "the manager is done")
	}, soon, "1s").Should(Succeed())
	service := get(g, t, ns, "db", &corev1.Service{})
	before := service.Spec.Ports
	service.Spec.Ports = []corev1.ServicePort{{Port: 6379, TargetPort: intstr.FromInt32(77)}}
	g.Expect(c.Update(t.Context(), service)).To(Succeed())
	g.Eventually(func(g Gomega) {
		renew(g)
		g.Expect(get(g, t, ns, "db", &corev1.Service{}).Spec.Ports).To(Equal(before))
	}, atOnce, "200ms").Should(Succeed())
}

// Of two groups that want one Service, the first keeps it; the other says so, and
// has it once it is free.
func TestTwoGroupsWantOneService(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	create(g, t, named(ns, "first", "shop"), newResource(ns, "first", "redis"))
	accepted(g, t, ns, "first")
	points(g, t, ns, "first", "shop")
	create(g, t, named(ns, "db", "shop"), newResource(ns, "db", "mysql"))
	refused(g, t, ns, understudyv1alpha1.ReasonServiceTaken, `belongs to the ResourceGroup "first"`)
	g.Expect(group(g, t, ns, "db").Status.PlanRevision).To(BeEmpty())
	accepted(g, t, ns, "first")
	g.Expect(get(g, t, ns, "shop", &corev1.Service{}).Labels).To(HaveKeyWithValue(understudyv1alpha1.LabelGroup, "first"))

	g.Eventually(func() error {
		first := group(g, t, ns, "first")
		first.Spec.Service = nil
		return c.Update(t.Context(), first)
	}, soon, "20ms").Should(Succeed())
	g.Eventually(func(g Gomega) { g.Expect(services(g, t, ns)).To(BeEmpty()) }, soon, "50ms").Should(Succeed())
	changeGroup(g, t, ns, func(s *understudyv1alpha1.ResourceGroupSpec) { s.FailoverThreshold = ptr.To[int32](7) }) // at once
	accepted(g, t, ns, "db")
	points(g, t, ns, "db", "shop")
}

// Of groups that come at the same time one has the Service, and none takes it over.
func TestGroupsWantOneServiceAtOnce(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	watching, err := client.NewWithWatch(config, client.Options{Scheme: c.Scheme()})
	g.Expect(err).NotTo(HaveOccurred())
	seen, err := watching.Watch(t.Context(), &corev1.ServiceList{}, client.InNamespace(ns))
	g.Expect(err).NotTo(HaveOccurred())
	defer seen.Stop()
	names := []string{"a", "b", "c", "d"}
	for _, name := range names {
		create(g, t, named(ns, name, "shop"))
	}
	g.Eventually(func(g Gomega) {
		winners := 0
		for _, name := range names {
			one := group(g, t, ns, name)
			accepted := apimeta.FindStatusCondition(one.Status.Conditions, understudyv1alpha1.ConditionAccepted)
			g.Expect(accepted).NotTo(BeNil())
			switch ready := apimeta.FindStatusCondition(one.Status.Conditions, understudyv1alpha1.ConditionServiceReady); {
			case ready == nil:
				g.Expect(accepted.Reason).To(Equal(understudyv1alpha1.ReasonServiceTaken))
			case ready.Status == metav1.ConditionTrue:
				winners++
			default:
				g.Expect(ready.Reason).To(Equal(understudyv1alpha1.ReasonServiceTaken))
			}
		}
		g.Expect(winners).To(Equal(1))
	}, soon, "50ms").Should(Succeed())
	owners := map[string]bool{}
	g.Eventually(seen.ResultChan(), soon).Should(Receive(HaveField("Object", WithTransform(func(o *corev1.Service) int {
		owners[o.Labels[understudyv1alpha1.LabelGroup]] = true
		return len(owners)
	}, Equal(1)))))
	g.Consistently(func() int {
		for {
			select {
			case e := <-seen.ResultChan():
				owners[e.Object.(*corev1.Service).Labels[understudyv1alpha1.LabelGroup]] = true
			default:
				return len(owners)
			}
		}
	}, "300ms", "50ms").Should(Equal(1))
	var slices discoveryv1.EndpointSliceList
	g.Expect(c.List(t.Context(), &slices, client.InNamespace(ns),
		client.MatchingLabels{discoveryv1.LabelServiceName: "shop"})).To(Succeed())
	g.Expect(slices.Items).To(HaveLen(1))
}
