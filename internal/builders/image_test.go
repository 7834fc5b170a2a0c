// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package builders_test

import (
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/internal/builders"
)

// The pod that brings an image to a host's node pulls as the host does, goes with it,
// and is in nobody's eyes a host.
func TestImagePod(t *testing.T) {
	g := NewWithT(t)
	host := builders.Pod(podInput())
	host.UID = "uid-host"
	host.Spec.NodeName = "n1"
	host.Spec.RuntimeClassName = ptr.To("strict")
	host.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "registry"}}
	pod := builders.ImagePod(host, "db", "operator:2")

	g.Expect(pod.Name).To(Equal("db-7-image"))
	g.Expect(metav1.IsControlledBy(pod, host)).To(BeTrue())
	selector, err := labels.Parse(builders.Selector("db"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(selector.Matches(labels.Set(host.Labels))).To(BeTrue())
	g.Expect(selector.Matches(labels.Set(pod.Labels))).To(BeFalse())
	anti := host.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution[0]
	apart, err := metav1.LabelSelectorAsSelector(anti.LabelSelector)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(apart.Matches(labels.Set(pod.Labels))).To(BeFalse(), "no host is kept off a node by it")
	g.Expect(pod.Labels).To(Equal(map[string]string{
		understudyv1alpha1.LabelManagedBy: understudyv1alpha1.ManagedBy, understudyv1alpha1.LabelUpgrade: "db",
	}))

	g.Expect(pod.Spec.NodeName).To(Equal("n1"))
	g.Expect(pod.Spec.Tolerations).To(ConsistOf(corev1.Toleration{Operator: corev1.TolerationOpExists}))
	g.Expect(pod.Spec.RuntimeClassName).To(HaveValue(Equal("strict")))
	g.Expect(pod.Spec.ImagePullSecrets).To(ConsistOf(corev1.LocalObjectReference{Name: "registry"}))
	g.Expect(pod.Spec.AutomountServiceAccountToken).To(HaveValue(BeFalse()))
	g.Expect(pod.Spec.RestartPolicy).To(Equal(corev1.RestartPolicyNever))
	g.Expect(pod.Spec.Containers).To(HaveExactElements(And(
		HaveField("Image", "operator:2"), HaveField("Command", []string{"/monitor", "version"}),
		HaveField("SecurityContext", host.Spec.InitContainers[0].SecurityContext))))
}
