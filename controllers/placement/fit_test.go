// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package placement_test

import (
	"slices"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/understudy-dev/understudy/controllers/placement"
)

// Labels and taints decide where a host can stand; what passes by itself does not.
func TestFitOf(t *testing.T) {
	g := NewWithT(t)
	node := func(name, disk string, taints ...corev1.Taint) corev1.Node {
		return corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"disk": disk}},
			Spec:       corev1.NodeSpec{Taints: taints},
		}
	}
	gpu := func(effect corev1.TaintEffect) corev1.Taint {
		return corev1.Taint{Key: "gpu", Value: "yes", Effect: effect}
	}
	nodes := []corev1.Node{
		node("plain", "ssd"), node("spinning", "hdd"), node("kept", "ssd", gpu(corev1.TaintEffectNoSchedule)),
		node("emptied", "ssd", gpu(corev1.TaintEffectNoExecute)), node("last", "ssd", gpu(corev1.TaintEffectPreferNoSchedule)),
		node("cordoned", "ssd", corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}),
	}
	pod := &corev1.Pod{}
	g.Expect(placement.FitOf(pod, nodes)).To(Equal(placement.Fit{Nodes: 6, Possible: 4, Tainted: 2, Taint: "gpu=yes:NoExecute"}))
	slices.Reverse(nodes)
	g.Expect(placement.FitOf(pod, nodes).Taint).To(Equal("gpu=yes:NoExecute"), "a condition that says it stays as it is")
	pod.Spec.Tolerations = []corev1.Toleration{{Key: "gpu", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}}
	g.Expect(placement.FitOf(pod, nodes).Possible).To(Equal(5))
	pod.Spec.NodeSelector = map[string]string{"disk": "hdd"}
	f := placement.FitOf(pod, nodes)
	g.Expect(f).To(Equal(placement.Fit{Nodes: 6, Possible: 1, Unmatched: 5}))
	g.Expect(f.String()).To(And(ContainSubstring("1 of the 6 nodes"), ContainSubstring("5 are not what")))
	pod.Spec.NodeSelector = nil
	pod.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchFields: []corev1.NodeSelectorRequirement{{
				Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{"plain"},
			}},
		}}},
	}}
	g.Expect(placement.FitOf(pod, nodes).Possible).To(Equal(1))
	g.Expect(placement.FitOf(pod, nil).Possible).To(BeZero())
}
