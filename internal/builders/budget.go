// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package builders

import (
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	policyv1ac "k8s.io/client-go/applyconfigurations/policy/v1"
)

// Budget keeps drains from taking more than one host of a group at a time. Hosts
// that are not ready may always go: nothing is gained by a drain that waits for them.
func Budget(namespace, group string) *policyv1ac.PodDisruptionBudgetApplyConfiguration {
	return policyv1ac.PodDisruptionBudget(BudgetName(group), namespace).WithLabels(Labels(group)).
		WithSpec(policyv1ac.PodDisruptionBudgetSpec().
			WithMaxUnavailable(intstr.FromInt32(1)).
			WithUnhealthyPodEvictionPolicy(policyv1.AlwaysAllow).
			WithSelector(metav1ac.LabelSelector().WithMatchLabels(Labels(group))))
}
