// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package builders

import (
	rbacv1 "k8s.io/api/rbac/v1"
	rbacv1ac "k8s.io/client-go/applyconfigurations/rbac/v1"

	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

// AccessInput is what the monitors of one group may reach.
type AccessInput struct {
	Namespace, Group string
	// ServiceAccounts of the host pods, sorted.
	ServiceAccounts []string
	// Resources of the plans, and Revisions that hold them; sorted.
	Resources, Revisions []string
}

// Rules are what the monitors of a group need, by name wherever RBAC can say it.
// Creation, and calls of the whole namespace, it cannot: policies hold those.
func Rules(in AccessInput) []rbacv1.PolicyRule {
	group := understudyv1alpha1.GroupName
	rules := []rbacv1.PolicyRule{
		// The record of ownership: written with PUT only. Its owner may re-create it.
		{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"},
			ResourceNames: []string{LeaseName(in.Group)}, Verbs: []string{"get", "list", "watch", "update"}},
		{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"create"}},
		{APIGroups: []string{group}, Resources: []string{"resourcegroups"},
			ResourceNames: []string{in.Group}, Verbs: []string{"get", "list", "watch"}},
		{APIGroups: []string{group}, Resources: []string{"resourcegroups/status"},
			ResourceNames: []string{in.Group}, Verbs: []string{"get", "patch", "update"}},
		// Providers enumerate those of a type, also of other groups (RA section 1.17). No
		// watch: it is asked for, not kept.
		{APIGroups: []string{group}, Resources: []string{"clusterresources"}, Verbs: []string{"list"}},
		{APIGroups: []string{group}, Resources: []string{"controlcalls"}, Verbs: []string{"get", "list", "watch"}},
		{APIGroups: []string{group}, Resources: []string{"controlcalls/status"}, Verbs: []string{"get", "patch", "update"}},
		{APIGroups: []string{"discovery.k8s.io"}, Resources: []string{"endpointslices"},
			ResourceNames: []string{planv1.SliceName(in.Group)}, Verbs: []string{"get", "list", "watch", "patch", "update"}},
		{APIGroups: []string{"events.k8s.io"}, Resources: []string{"events"}, Verbs: []string{"create", "patch"}},
	}
	// A rule without names would be a rule for all of them.
	if len(in.Revisions) > 0 {
		rules = append(rules, rbacv1.PolicyRule{APIGroups: []string{"apps"}, Resources: []string{"controllerrevisions"},
			ResourceNames: in.Revisions, Verbs: []string{"get"}})
	}
	if len(in.Resources) > 0 {
		rules = append(rules,
			rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{"clusterresources"},
				ResourceNames: in.Resources, Verbs: []string{"get"}},
			rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{"clusterresources/status"},
				ResourceNames: in.Resources, Verbs: []string{"get", "patch", "update"}})
	}
	return rules
}

// Role is the Role of a group's monitors. It stays, as the RoleBinding, until its
// group is stopped: without it no owner could give up its Lease.
func Role(in AccessInput) *rbacv1ac.RoleApplyConfiguration {
	role := rbacv1ac.Role(RoleName(in.Group), in.Namespace).WithLabels(Labels(in.Group)).
		WithFinalizers(understudyv1alpha1.Finalizer)
	for _, r := range Rules(in) {
		role.WithRules(rbacv1ac.PolicyRule().WithAPIGroups(r.APIGroups...).WithResources(r.Resources...).
			WithResourceNames(r.ResourceNames...).WithVerbs(r.Verbs...))
	}
	return role
}

// RoleBinding binds the Role to the service accounts of the host pods.
func RoleBinding(in AccessInput) *rbacv1ac.RoleBindingApplyConfiguration {
	binding := rbacv1ac.RoleBinding(RoleName(in.Group), in.Namespace).WithLabels(Labels(in.Group)).
		WithFinalizers(understudyv1alpha1.Finalizer).
		WithRoleRef(rbacv1ac.RoleRef().WithAPIGroup(rbacv1.GroupName).WithKind("Role").WithName(RoleName(in.Group)))
	for _, name := range in.ServiceAccounts {
		binding.WithSubjects(rbacv1ac.Subject().WithKind(rbacv1.ServiceAccountKind).
			WithNamespace(in.Namespace).WithName(name))
	}
	return binding
}
