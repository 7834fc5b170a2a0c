// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
	"github.com/understudy-dev/understudy/internal/builders"
)

// access repairs what the monitors of the plan in force may reach, also while a
// newer spec is refused. A plan that is being published brings its own.
func (r *groupReconciler) access(ctx context.Context, s *groupScope) error {
	if s.plan == nil || s.published {
		return nil
	}
	return r.accessFor(ctx, s, s.group.Status.PlanRevision, nil)
}

// accessFor lets the group's monitors reach what the plan, and the one before it,
// speak of. It comes before the plan is published.
func (r *groupReconciler) accessFor(ctx context.Context, s *groupScope, revision string, before *planv1.Plan) error {
	in := builders.AccessInput{
		Namespace: s.group.Namespace, Group: s.group.Name,
		Revisions: []string{revision},
	}
	if s.host != nil {
		in.ServiceAccounts = append(in.ServiceAccounts, builders.ServiceAccount(s.host))
	}
	// Hosts of an earlier template act under its account until they are replaced,
	// the owner as the last.
	for i := range s.pods {
		in.ServiceAccounts = append(in.ServiceAccounts, s.pods[i].Spec.ServiceAccountName)
	}
	revisions, err := r.revisions(ctx, s)
	if err != nil {
		return err
	}
	for _, one := range revisions {
		if one.Labels[labelKind] == kindPlan {
			in.Revisions = append(in.Revisions, one.Name)
		}
	}
	// Those that are being deleted are in no plan, but their end is still reported.
	for i := range s.resources {
		if o := &s.resources[i]; !o.DeletionTimestamp.IsZero() {
			in.Resources = append(in.Resources, o.Name)
		}
	}
	for _, p := range []*planv1.Plan{s.plan, before} {
		if p == nil {
			continue
		}
		for _, one := range p.Resources {
			in.Resources = append(in.Resources, one.Name)
		}
	}
	for _, names := range []*[]string{&in.Revisions, &in.Resources, &in.ServiceAccounts} {
		slices.Sort(*names)
		*names = slices.Compact(*names)
	}
	if err := r.ensure(ctx, &rbacv1.Role{}, builders.Role(in)); err != nil {
		return fmt.Errorf("access of the monitors: %w", err)
	}
	if err := r.ensure(ctx, &rbacv1.RoleBinding{}, builders.RoleBinding(in)); err != nil {
		return fmt.Errorf("access of the monitors: %w", err)
	}
	return nil
}
