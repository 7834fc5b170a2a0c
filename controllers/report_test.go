// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/internal/builders"
)

// A CPU limit counts where a guard is: in supervised containers, or around them all.
func TestGuardWeakened(t *testing.T) {
	limits := func(name corev1.ResourceName) corev1.ResourceRequirements {
		return corev1.ResourceRequirements{Limits: corev1.ResourceList{name: resource.MustParse("1")}}
	}
	for what, test := range map[string]struct {
		change func(template, pod *corev1.PodSpec)
		named  string
	}{
		"none":               {func(_, _ *corev1.PodSpec) {}, ""},
		"memory":             {func(s, _ *corev1.PodSpec) { s.Containers[0].Resources = limits(corev1.ResourceMemory) }, ""},
		"beside":             {func(s, _ *corev1.PodSpec) { s.Containers[1].Resources = limits(corev1.ResourceCPU) }, ""},
		"template":           {func(s, _ *corev1.PodSpec) { s.Containers[0].Resources = limits(corev1.ResourceCPU) }, "of the container app"},
		"by a LimitRange":    {func(_, s *corev1.PodSpec) { s.Containers[0].Resources = limits(corev1.ResourceCPU) }, "of the container app"},
		"the pod as a whole": {func(s, _ *corev1.PodSpec) { all := limits(corev1.ResourceCPU); s.Resources = &all }, "of the pod as a whole"},
	} {
		t.Run(what, func(t *testing.T) {
			g := NewWithT(t)
			spec := func() corev1.PodSpec {
				return corev1.PodSpec{Containers: []corev1.Container{{Name: "app"}, {Name: "side"}}}
			}
			s := &groupScope{plan: &planv1.Plan{Containers: []string{"app"}}, host: &builders.Host{}, pods: make([]corev1.Pod, 2)}
			s.host.Template.Spec, s.pods[0].Spec, s.pods[1].Spec = spec(), spec(), spec()
			test.change(&s.host.Template.Spec, &s.pods[1].Spec)
			c, there := s.guardWeakened()
			g.Expect(there).To(Equal(test.named != ""), c.Message)
			g.Expect(c.Message).To(HaveSuffix(test.named))
			g.Expect(c).To(And(HaveField("Status", metav1.ConditionTrue), HaveField("Reason", understudyv1alpha1.ReasonCPULimit)))
		})
	}
}

// A host that ended is not starting: kubelet said why.
func TestWhyItEnded(t *testing.T) {
	g := NewWithT(t)
	s := rolling("a", "new", "new")
	ended := &s.pods[1]
	ended.Status = corev1.PodStatus{Phase: corev1.PodFailed, Reason: "OutOfcpu", Message: "no room"}
	g.Expect(s.hostsReady(time.Now())).To(And(HaveField("Status", metav1.ConditionFalse),
		HaveField("Message", HaveSuffix("a-1: it ended and is going to be replaced: OutOfcpu: no room"))))
}
