//go:build envtest

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/internal/layout"
)

// monitorRuns plays kubelet: the monitor of a host runs as this container.
func monitorRuns(g Gomega, t *testing.T, ns, host, container string) {
	t.Helper()
	g.Eventually(func() error {
		pod := get(g, t, ns, host, &corev1.Pod{})
		pod.Status.InitContainerStatuses = []corev1.ContainerStatus{{
			Name: layout.MonitorContainer, ContainerID: "runtime://" + container, Ready: true, Started: ptr.To(true),
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}},
		}}
		return c.Status().Update(t.Context(), pod)
	}, soon, "50ms").Should(Succeed())
}

// imagePod waits for the pod that brings the image to the node of a host, and plays
// kubelet for it.
func imagePod(g Gomega, t *testing.T, ns, host string, phase corev1.PodPhase, state corev1.ContainerState) {
	t.Helper()
	g.Eventually(func(g Gomega) {
		pod := get(g, t, ns, host+"-image", &corev1.Pod{})
		g.Expect(pod.DeletionTimestamp).To(BeNil())
		g.Expect(pod.Spec.NodeName).To(Equal(ns + "-" + host))
		pod.Status.Phase = phase
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: layout.ImageContainer, State: state}}
		g.Expect(c.Status().Update(t.Context(), pod)).To(Succeed())
	}, soon, "50ms").Should(Succeed())
}

func monitorImageOf(g Gomega, t *testing.T, ns, host string) string {
	return get(g, t, ns, host, &corev1.Pod{}).Spec.InitContainers[0].Image
}

func replaceMonitor(g Gomega, t *testing.T, ns, host, image string) {
	t.Helper()
	g.Expect(c.Patch(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: host}},
		client.RawPatch(types.JSONPatchType, []byte(
			`[{"op":"replace","path":"/spec/initContainers/0/image","value":"`+image+`"}]`)))).To(Succeed())
}

// A monitor of another version is replaced in the live pod: once its image is on the
// node, the owner's last, and only when the one before is back.
func TestMonitorImageFollows(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	owner, _ := ownedGroup(g, t, ns)
	const old = "operator:old"
	for _, host := range []string{"db-1", "db-0"} {
		monitorRuns(g, t, ns, host, host+"-before")
		replaceMonitor(g, t, ns, host, old)
	}
	pulled := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 0}}
	// stays says that a monitor is left alone, and that nothing is pulled to its node.
	stays := func(host string) {
		g.Consistently(func(g Gomega) {
			g.Expect(monitorImageOf(g, t, ns, host)).To(Equal(old))
			err := c.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: host + "-image"}, &corev1.Pod{})
			g.Expect(apierrors.IsNotFound(err)).To(BeTrue())
		}, "1s", "100ms").Should(Succeed())
	}

	imagePod(g, t, ns, "db-1", corev1.PodPending, corev1.ContainerState{
		Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: "no such image"},
	})
	g.Eventually(func(g Gomega) {
		g.Expect(condition(g, t, ns, understudyv1alpha1.ConditionHostsReady)).To(HaveValue(And(
			HaveField("Status", metav1.ConditionTrue),
			HaveField("Message", ContainSubstring("the monitor of db-1 stays as it is, because its new image "+image+
				" does not run on the node "+ns+"-db-1: ErrImagePull: no such image")))))
	}, soon, "50ms").Should(Succeed())
	g.Expect(monitorImageOf(g, t, ns, "db-1")).To(Equal(old), "it has not been pulled")
	stays("db-0")

	imagePod(g, t, ns, "db-1", corev1.PodSucceeded, pulled)
	g.Eventually(func(g Gomega) {
		g.Expect(monitorImageOf(g, t, ns, "db-1")).To(Equal(image))
		gone(g, t, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "db-1-image"}})
		g.Expect(hostsMessage(g, t, ns, "db")).NotTo(ContainSubstring("stays"))
	}, soon, "50ms").Should(Succeed())
	stays("db-0") // kubelet still speaks of the container of before
	locked := func(status metav1.ConditionStatus) {
		g.Eventually(func() error {
			group := get(g, t, ns, "db", &understudyv1alpha1.ResourceGroup{})
			apimeta.SetStatusCondition(&group.Status.Conditions, metav1.Condition{
				Type: understudyv1alpha1.ConditionLocked, Status: status, Reason: "Test",
			})
			return c.Status().Update(t.Context(), group)
		}, soon, "50ms").Should(Succeed())
	}
	locked(metav1.ConditionTrue)
	monitorRuns(g, t, ns, "db-1", "db-1-after")
	g.Eventually(func() string { return hostsMessage(g, t, ns, "db") }, soon, "50ms").
		Should(ContainSubstring("the owner's host stays as it is as long as the group is in locked mode"))
	stays("db-0")
	locked(metav1.ConditionFalse)
	imagePod(g, t, ns, "db-0", corev1.PodSucceeded, pulled)
	g.Eventually(func(g Gomega) {
		g.Expect(monitorImageOf(g, t, ns, "db-0")).To(Equal(image))
	}, soon, "50ms").Should(Succeed())
	g.Expect(get(g, t, ns, "db-0", &corev1.Pod{}).UID).To(Equal(owner.UID), "the same pod")
	g.Expect(pods(g, t, ns, "db")).To(HaveLen(2), "no pod that brings an image counts as a host")
}
