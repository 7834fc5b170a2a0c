// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	schedulingcorev1 "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/klog/v2"
)

// Fit is on how many nodes a host can ever stand, as far as labels and taints
// decide it. What is free on them, only the scheduler knows.
type Fit struct {
	// Nodes of the cluster, and those of them that can take a host.
	Nodes, Possible int
	// Unmatched are not what nodeSelector or required affinity ask for; Tainted
	// are, and have a taint that is not tolerated, such as Taint: the first by its
	// text, so that a text of it is the same whatever order nodes come in.
	Unmatched, Tainted int
	Taint              string
}

// String says what keeps hosts from the other nodes.
func (f Fit) String() string {
	text := fmt.Sprintf("%d of the %d nodes of the cluster can take a host of this template", f.Possible, f.Nodes)
	if f.Unmatched > 0 {
		text += fmt.Sprintf(", %d are not what its nodeSelector or required affinity asks for", f.Unmatched)
	}
	if f.Tainted > 0 {
		text += fmt.Sprintf(", %d have a taint that it does not tolerate, such as %s", f.Tainted, f.Taint)
	}
	return text
}

// FitOf judges the nodes for a host pod by the scheduler's own functions.
func FitOf(pod *corev1.Pod, nodes []corev1.Node) Fit {
	f := Fit{Nodes: len(nodes)}
	affinity := nodeaffinity.GetRequiredNodeAffinity(pod)
	for i := range nodes {
		node := &nodes[i]
		if matches, err := affinity.Match(node); err != nil || !matches { // the API server refuses a pod with such an error
			f.Unmatched++
			continue
		}
		taint, untolerated := schedulingcorev1.FindMatchingUntoleratedTaint(
			klog.Background(), node.Spec.Taints, pod.Spec.Tolerations, keepsAway, true)
		if untolerated {
			f.Tainted++
			if text := taint.ToString(); f.Taint == "" || text < f.Taint {
				f.Taint = text
			}
			continue
		}
		f.Possible++
	}
	return f
}

// keepsAway leaves out the taints by which Kubernetes itself tells a node's
// present condition, a cordon among them: they pass.
func keepsAway(t *corev1.Taint) bool {
	return t.Effect != corev1.TaintEffectPreferNoSchedule &&
		!strings.HasPrefix(t.Key, "node.kubernetes.io/") && !strings.HasPrefix(t.Key, "node.cloudprovider.kubernetes.io/")
}
