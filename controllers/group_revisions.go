// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/controllers/plan"
	"github.com/understudy-dev/understudy/internal/builders"
)

const (
	// historyLimit is how many plans a group keeps.
	historyLimit = 10

	// labelKind tells the two kinds of revisions apart.
	labelKind = understudyv1alpha1.GroupName + "/revision"
	kindPlan  = "plan"
	kindHost  = "host"
)

// saveRevision stores immutable data under a name that its content made.
func (r *groupReconciler) saveRevision(ctx context.Context, s *groupScope, name, kind string, data []byte) error {
	revisions, err := r.revisions(ctx, s)
	if err != nil {
		return err
	}
	number := int64(1)
	for _, have := range revisions {
		if have.Name == name && have.DeletionTimestamp.IsZero() {
			return nil // a full quota would refuse even what is there
		}
		number = max(number, have.Revision+1)
	}
	labels := builders.Labels(s.group.Name)
	labels[labelKind] = kind
	revision := &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.group.Namespace, Name: name, Labels: labels},
		Data:       runtime.RawExtension{Raw: data},
		Revision:   number,
	}
	if err := r.Create(ctx, revision, client.FieldOwner(fieldManager)); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("creating the revision %s: %w", name, err)
	}
	return nil
}

func (r *groupReconciler) revisions(ctx context.Context, s *groupScope) ([]appsv1.ControllerRevision, error) {
	var list appsv1.ControllerRevisionList
	if err := r.List(ctx, &list, client.InNamespace(s.group.Namespace),
		client.MatchingLabels(builders.Labels(s.group.Name))); err != nil {
		return nil, fmt.Errorf("listing revisions: %w", err)
	}
	return list.Items, nil
}

// pruneRevisions deletes the oldest plans beyond the history that nobody runs,
// and the host templates that no plan is left for.
func (r *groupReconciler) pruneRevisions(ctx context.Context, s *groupScope) error {
	revisions, err := r.revisions(ctx, s)
	if err != nil {
		return err
	}
	used := map[string]bool{s.group.Status.PlanRevision: true}
	for _, h := range s.group.Status.Hosts {
		used[h.PlanRevision] = true
	}
	if o := s.group.Status.Owner; o != nil {
		used[o.PlanRevision] = true
	}
	slices.SortFunc(revisions, func(a, b appsv1.ControllerRevision) int { return cmp.Compare(b.Revision, a.Revision) })
	hosts := map[string]*appsv1.ControllerRevision{}
	kept := 0
	for i := range revisions {
		one := &revisions[i]
		switch one.Labels[labelKind] {
		case kindHost:
			hosts[one.Name] = one
		case kindPlan:
			if kept++; kept <= historyLimit || used[one.Name] {
				if p, err := plan.Decode(one.Data.Raw); err == nil {
					used[p.HostRevision] = true
				}
			} else if err := r.Delete(ctx, one); client.IgnoreNotFound(err) != nil {
				return fmt.Errorf("deleting the revision %s: %w", one.Name, err)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(hosts)) {
		if !used[name] {
			if err := r.Delete(ctx, hosts[name]); client.IgnoreNotFound(err) != nil {
				return fmt.Errorf("deleting the revision %s: %w", name, err)
			}
		}
	}
	return nil
}
