// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/internal/builders"
)

// deletes is a client that can do nothing else.
type deletes struct {
	client.Client
	names []string
}

func (d *deletes) Delete(_ context.Context, o client.Object, _ ...client.DeleteOption) error {
	d.names = append(d.names, o.GetName())
	return nil
}

// rolling is a group of hosts, built from these templates and ready; "starting" is
// one of the new template that is not.
func rolling(name string, templates ...string) *groupScope {
	s := &groupScope{
		group: &understudyv1alpha1.ResourceGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}},
		plan:  &planv1.Plan{Hosts: 2, HostRevision: "new", Containers: []string{"app"}},
		host:  &builders.Host{}, nodes: map[string]*corev1.Node{"n": {Status: corev1.NodeStatus{
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
		}}},
	}
	s.group.Status.Hosts = map[string]understudyv1alpha1.HostStatus{}
	for i, template := range templates {
		revision := template
		if template == "starting" {
			revision = "new"
		}
		pod := corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Name: builders.PodName(name, int64(i)), UID: types.UID(builders.PodName(name, int64(i))),
				Annotations: map[string]string{understudyv1alpha1.AnnotationHost: revision},
			},
			Spec:   corev1.PodSpec{NodeName: "n"},
			Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
		}
		s.pods = append(s.pods, pod)
		s.group.Status.Hosts[pod.Name] = understudyv1alpha1.HostStatus{PodUID: string(pod.UID), Ready: template != "starting"}
	}
	return s
}

// So many groups as allowed are rolled out at once; one that waits says so, and
// begins when one that had its turn is done, or deleted.
func TestGroupsAreRolledOutInTurns(t *testing.T) {
	g := NewWithT(t)
	var woken []types.NamespacedName
	hosts := &deletes{}
	r := &groupReconciler{
		base:     base{Client: hosts, events: events.NewFakeRecorder(10), options: Options{MaxRollingGroups: 1}},
		rollouts: newSlots(1, func(key types.NamespacedName) { woken = append(woken, key) }), now: time.Now,
	}
	step := func(s *groupScope) (deleted []string) {
		hosts.names = nil
		g.Expect(r.phases(t.Context(), s, r.hosts, r.endRollout)).To(Succeed())
		return slices.Clone(hosts.names)
	}
	g.Expect(step(rolling("a", "old", "old"))).To(Equal([]string{"a-1"}))
	waits := rolling("b", "old", "old")
	g.Expect(step(waits)).To(BeEmpty())
	g.Expect(waits.hostsReady(time.Now())).To(And(HaveField("Status", metav1.ConditionTrue),
		HaveField("Message", ContainSubstring("waits for its turn: as many other groups are being rolled out as"))))
	g.Expect(waits.requeue).To(BeNumerically(">", 0))

	g.Expect(step(rolling("a", "old", "new"))).To(Equal([]string{"a-0"}), "it keeps its turn")
	g.Expect(step(rolling("a", "new", "starting"))).To(BeEmpty(), "also while the last host starts")
	g.Expect(step(rolling("b", "old", "old"))).To(BeEmpty())
	g.Expect(woken).To(BeEmpty())
	g.Expect(step(rolling("a", "new", "new"))).To(BeEmpty())
	g.Expect(woken).To(Equal([]types.NamespacedName{{Namespace: "shop", Name: "b"}}))
	g.Expect(step(rolling("b", "old", "old"))).To(Equal([]string{"b-1"}))

	waits = rolling("b", "old", "starting") // which was not ready before its turn, either
	r.rollouts.give(client.ObjectKeyFromObject(waits.group))
	r.rollouts.take(client.ObjectKeyFromObject(waits.group), 1)
	g.Expect(step(waits)).To(BeEmpty())
	g.Expect(step(rolling("c", "old", "old"))).To(Equal([]string{"c-1"}), "others need not wait for that")

	manual := rolling("c", "old", "new")
	manual.plan.OnDelete = true
	g.Expect(step(manual)).To(BeEmpty())
	g.Expect(manual.hostsReady(time.Now()).Message).To(And(
		ContainSubstring("1 of an earlier template stay until somebody deletes them"), Not(ContainSubstring("turn"))))
}
