// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"

	policyv1 "k8s.io/api/policy/v1"

	"github.com/understudy-dev/understudy/internal/builders"
)

// budget keeps the PodDisruptionBudget of the group's hosts.
func (r *groupReconciler) budget(ctx context.Context, s *groupScope) error {
	if s.plan == nil {
		return nil
	}
	err := r.ensure(ctx, &policyv1.PodDisruptionBudget{}, builders.Budget(s.group.Namespace, s.group.Name))
	if err != nil {
		return fmt.Errorf("the budget of the hosts: %w", err)
	}
	return nil
}
