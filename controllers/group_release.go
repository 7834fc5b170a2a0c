// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

// releaseResources lets deleted resources go that nothing can be running of: the
// plan in force is without them and every host that could act runs that plan. A
// monitor reports a plan once all that is not in it is stopped and closed.
func (r *groupReconciler) releaseResources(ctx context.Context, s *groupScope) error {
	for i := range s.resources {
		o := &s.resources[i]
		if o.DeletionTimestamp.IsZero() || !controllerutil.ContainsFinalizer(o, understudyv1alpha1.Finalizer) {
			continue
		}
		planned := s.plan != nil && slices.ContainsFunc(s.plan.Resources, func(p planv1.Resource) bool {
			return p.UID == string(o.UID)
		})
		if planned || !s.everybodyRunsPlan() {
			continue
		}
		if err := letGo(ctx, r.Client, o); err != nil {
			return fmt.Errorf("letting the ClusterResource %s go: %w", o.Name, err)
		}
	}
	return nil
}

// everybodyRunsPlan says that no host can be running anything that is not in the
// plan in force. A host that may not take over counts only while it is the owner.
func (s *groupScope) everybodyRunsPlan() bool {
	name := s.group.Status.PlanRevision
	if name == "" {
		return true // nothing was ever planned, so nothing ran
	}
	if !s.stopped() {
		owner := s.group.Status.Owner
		if owner == nil || owner.PlanRevision != name || owner.PodUID != s.ownerUID() {
			return false
		}
	}
	for i := range s.pods {
		p := &s.pods[i]
		host, spoke := s.group.Status.Hosts[p.Name]
		if spoke && host.PodUID == string(p.UID) && host.PlanRevision != name && !s.barred(string(p.UID)) {
			return false
		}
	}
	return true
}

func (s *groupScope) barred(podUID string) bool {
	next := s.group.Status.Succession
	return next != nil && slices.ContainsFunc(next.Barred, func(b understudyv1alpha1.BarredHost) bool {
		return b.PodUID == podUID
	})
}

// letGo removes the finalizer.
func letGo(ctx context.Context, c client.Client, o *understudyv1alpha1.ClusterResource) error {
	return client.IgnoreNotFound(patchMeta(ctx, c, o, func(o *understudyv1alpha1.ClusterResource) {
		controllerutil.RemoveFinalizer(o, understudyv1alpha1.Finalizer)
	}))
}
