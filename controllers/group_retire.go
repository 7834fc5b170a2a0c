// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/controllers/placement"
	"github.com/understudy-dev/understudy/controllers/plan"
	"github.com/understudy-dev/understudy/internal/builders"
)

// retireRetry is a net below the watches that a deletion waits on.
const retireRetry = 5 * time.Second

// retire takes a deleted group down (Ownership section 6, GROUP DELETED): wanted
// offline, released or run out, pods gone, and only then what an owner needs.
func (r *groupReconciler) retire(ctx context.Context, s *groupScope) error {
	if err := r.wantOffline(ctx, s); err != nil {
		return err
	}
	stopped, err := r.provenStopped(ctx, s)
	if err != nil {
		return err
	}
	if !stopped {
		s.again(retireRetry)
		return r.retiring(ctx, s, "StoppingOwner", "The owner takes the group offline")
	}
	if len(s.pods) > 0 {
		for i := range s.pods {
			if err := r.retireHost(ctx, s, &s.pods[i]); err != nil {
				return err
			}
		}
		s.again(retireRetry)
		return r.retiring(ctx, s, "DeletingHosts", "The host pods are going")
	}
	var live corev1.PodList
	if err := r.live.List(ctx, &live, client.InNamespace(s.group.Namespace),
		client.MatchingLabels(builders.Labels(s.group.Name))); err != nil {
		return fmt.Errorf("listing pods: %w", err)
	}
	if len(ownPods(s.group, live.Items)) > 0 {
		s.again(conflictDelay)
		return nil
	}
	if err := r.deleteEverything(ctx, s); err != nil {
		return err
	}
	if err := r.tellNamespace(ctx, s.group); err != nil {
		return err
	}
	return release(ctx, r.Client, s.group)
}

// wantOffline puts the last accepted plan in force once more, offline. Where that
// cannot be, in a namespace that is being deleted or has a quota, or without a revision
// that somebody deleted, the deletion of the pods makes the owner stop.
func (r *groupReconciler) wantOffline(ctx context.Context, s *groupScope) error {
	switch {
	case s.group.Status.PlanRevision == "", s.plan != nil && !s.plan.Online:
		return nil
	case s.plan == nil, s.host == nil:
		return r.deleteHosts(ctx, s)
	}
	offline := *s.plan
	offline.Online = false
	err := r.publish(ctx, s, plan.Name(offline), plan.Result{Plan: offline, Host: *s.host})
	if _, is := taken(err); !is && !refused(err) {
		return err
	}
	return r.deleteHosts(ctx, s)
}

// deleteHosts deletes the owner last, so that it does not hand over to one of them.
func (r *groupReconciler) deleteHosts(ctx context.Context, s *groupScope) error {
	if owner := slices.IndexFunc(s.pods, func(p corev1.Pod) bool { return string(p.UID) == s.ownerUID() }); owner >= 0 {
		last := len(s.pods) - 1
		s.pods[owner], s.pods[last] = s.pods[last], s.pods[owner]
	}
	for i := range s.pods {
		if err := r.deleteHost(ctx, s, &s.pods[i], "GroupDeleted"); err != nil {
			return err
		}
	}
	return nil
}

// retireHost deletes a host of a group that is proven stopped. The kubelet of a dead
// node would never confirm it, so that pod object is removed at once: what the lease
// guarded is dead. That goes for a node that counts as unreachable, and for an owner
// that let its lease run out: a minute passes before its node counts as that.
func (r *groupReconciler) retireHost(ctx context.Context, s *groupScope, p *corev1.Pod) error {
	if err := r.deleteHost(ctx, s, p, "GroupDeleted"); err != nil {
		return err
	}
	ranOut := s.recorded != nil && s.recorded.Held() && s.recorded.HolderUID == string(p.UID)
	if !ranOut && !placement.Unreachable(p, s.nodes) {
		return nil
	}
	uid := p.UID
	err := r.Delete(ctx, p, client.Preconditions{UID: &uid}, client.GracePeriodSeconds(0))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("removing the pod %s: %w", p.Name, err)
	}
	return nil
}

// deleteEverything removes what only an owner needs. The Lease goes under the
// very version that was judged.
func (r *groupReconciler) deleteEverything(ctx context.Context, s *groupScope) error {
	if s.lease != nil {
		if err := r.drop(ctx, s, s.lease); err != nil {
			return err
		}
	}
	if err := r.deleteService(ctx, s); err != nil {
		return err
	}
	if err := r.dropAccess(ctx, s); err != nil {
		return err
	}
	if err := r.deleteOwn(ctx, s, builders.BudgetName(s.group.Name), &policyv1.PodDisruptionBudget{}); err != nil {
		return err
	}
	if err := r.dropFencing(ctx, r.live, s.group); err != nil {
		return err
	}
	revisions, err := r.revisions(ctx, s)
	if err != nil {
		return err
	}
	for i := range revisions {
		if err := r.Delete(ctx, &revisions[i]); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("deleting the revision %s: %w", revisions[i].Name, err)
		}
	}
	return nil
}

// retiring shows how far the deletion has come.
func (r *groupReconciler) retiring(ctx context.Context, s *groupScope, reason, message string) error {
	_, err := patchStatus(ctx, r.Client, s.group, func(g *understudyv1alpha1.ResourceGroup) {
		setCondition(&g.Status.Conditions, metav1.Condition{
			Type: understudyv1alpha1.ConditionRetiring, Status: metav1.ConditionTrue, Reason: reason, Message: message,
		}, g.Generation)
	})
	return client.IgnoreNotFound(err)
}
