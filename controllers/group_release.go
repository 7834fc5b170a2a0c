// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/controllers/plan"
)

// dropDeleted takes deleted resources out of the plan in force when no new plan
// can be made: a group that waits for a correction can still lose a part.
func (r *groupReconciler) dropDeleted(ctx context.Context, s *groupScope) error {
	// What refuses to store a whole plan refuses a part of it; both in turn would never rest.
	if len(s.problems) == 0 || s.published || s.plan == nil || s.host == nil {
		return nil
	}
	without, ok := plan.Without(*s.plan, func(uid string) bool {
		return slices.ContainsFunc(s.resources, func(o understudyv1alpha1.ClusterResource) bool {
			return string(o.UID) == uid && !o.DeletionTimestamp.IsZero()
		})
	})
	if !ok {
		return nil
	}
	return r.publish(ctx, s, plan.Name(without), plan.Result{Plan: without, Host: *s.host})
}

// releaseResources lets deleted resources go that nothing can be running of, and
// says of the others what they wait for.
func (r *groupReconciler) releaseResources(ctx context.Context, s *groupScope) error {
	keptByHost := sync.OnceValues(func() (string, error) { return r.keptByHost(ctx, s) })
	for i := range s.resources {
		o := &s.resources[i]
		if o.DeletionTimestamp.IsZero() || !controllerutil.ContainsFinalizer(o, understudyv1alpha1.Finalizer) {
			continue
		}
		waitsFor, err := s.keptByPlan(string(o.UID)), error(nil)
		if waitsFor == "" {
			if waitsFor, err = keptByHost(); err != nil {
				return err
			}
		}
		if waitsFor != "" {
			err = r.tellDeleting(ctx, o, waitsFor)
		} else {
			err = release(ctx, r.Client, o)
		}
		if err != nil {
			return fmt.Errorf("letting the ClusterResource %s go: %w", o.Name, err)
		}
	}
	return nil
}

// keptByPlan is what a resource waits for that is still part of the plan in force.
func (s *groupScope) keptByPlan(uid string) string {
	if revision := s.group.Status.PlanRevision; s.plan == nil && revision != "" {
		// What the hosts run may have it, and cannot be read.
		return "another plan, because the ControllerRevision " + revision + " was deleted" + s.corrections()
	}
	if s.plan == nil || !slices.ContainsFunc(s.plan.Resources, func(p planv1.Resource) bool { return p.UID == uid }) {
		return ""
	}
	waitsFor := "a plan without it" + s.corrections()
	if names := plan.Dependents(*s.plan, uid); len(names) > 0 {
		waitsFor += ". In the plan in force it is needed by " + strings.Join(names[:min(len(names), 8)], ", ") +
			": delete those too, or remove their dependency"
	}
	return waitsFor
}

// corrections are what the next plan needs, for a text; empty if it needs none.
func (s *groupScope) corrections() string {
	names := s.problems.Names()
	if len(names) == 0 {
		return ""
	}
	return ", which needs a correction of " + strings.Join(names[:min(len(names), 8)], ", ") +
		": their conditions say of what"
}

// keptByHost is the host that could still be running what is not in the plan in
// force, empty if there is none. A monitor reports a plan once all that is not in
// it is stopped and closed. A host that may not take over counts only while it is
// the owner.
func (r *groupReconciler) keptByHost(ctx context.Context, s *groupScope) (string, error) {
	name := s.group.Status.PlanRevision
	if name == "" {
		return "", nil // nothing was ever planned, so nothing ran
	}
	stopped, err := r.provenStopped(ctx, s)
	if err != nil {
		return "", err
	}
	if owner := s.group.Status.Owner; !stopped &&
		(owner == nil || owner.PlanRevision != name || owner.PodUID != s.ownerUID()) {
		return fmt.Sprintf("the owner of the group%s to stop it and to run the plan %s", s.ownerName(), name), nil
	}
	for i := range s.pods {
		p := &s.pods[i]
		host, spoke := s.group.Status.Hosts[p.Name]
		if spoke && host.PodUID == string(p.UID) && host.PlanRevision != name && !s.barred(string(p.UID)) {
			return fmt.Sprintf("the host %s to close it and to run the plan %s", p.Name, name), nil
		}
	}
	return "", nil
}

// ownerName is the owner's name for a text, with a space before it; empty if it is
// not known.
func (s *groupScope) ownerName() string {
	if s.recorded != nil && s.recorded.Held() {
		return " " + s.recorded.HolderName
	}
	return ""
}

// tellDeleting says what a deleted resource waits for.
func (r *groupReconciler) tellDeleting(
	ctx context.Context, o *understudyv1alpha1.ClusterResource, waitsFor string,
) error {
	_, err := patchStatus(ctx, r.Client, o, func(o *understudyv1alpha1.ClusterResource) {
		setCondition(&o.Status.Conditions, metav1.Condition{
			Type: understudyv1alpha1.ConditionAccepted, Status: metav1.ConditionFalse,
			Reason: understudyv1alpha1.ReasonDeleting, Message: plan.Clip("It is being deleted and waits for " + waitsFor),
		}, o.Generation)
	})
	return client.IgnoreNotFound(err)
}

func (s *groupScope) barred(podUID string) bool {
	next := s.group.Status.Succession
	return next != nil && slices.ContainsFunc(next.Barred, func(b understudyv1alpha1.BarredHost) bool {
		return b.PodUID == podUID
	})
}
