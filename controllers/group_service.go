// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/controllers/plan"
	"github.com/understudy-dev/understudy/internal/builders"
)

// service keeps the Service of the plan in force, and makes its EndpointSlice
// once, empty: the endpoint belongs to the monitor of the owner.
func (r *groupReconciler) service(ctx context.Context, s *groupScope) error {
	if s.plan == nil {
		return nil
	}
	if s.plan.Service == nil {
		return r.deleteService(ctx, s)
	}
	service := &corev1.Service{}
	err := r.ensure(ctx, service, builders.Service(s.plan))
	if t, is := taken(err); is {
		s.problems = append(s.problems, plan.Problem{
			Kind: plan.KindGroup, Name: s.group.Name, Field: "spec.service",
			Reason: understudyv1alpha1.ReasonServiceTaken, Message: t.Error(),
		})
		s.again(serviceRetry)
		return nil
	}
	if err != nil {
		return fmt.Errorf("the group's Service: %w", err)
	}
	slice := &discoveryv1.EndpointSlice{}
	key := types.NamespacedName{Namespace: s.group.Namespace, Name: planv1.SliceName(s.group.Name)}
	if err := r.Get(ctx, key, slice); !apierrors.IsNotFound(err) {
		return err
	}
	family := corev1.IPv4Protocol
	if len(service.Spec.IPFamilies) > 0 {
		family = service.Spec.IPFamilies[0]
	}
	if err := r.Create(ctx, builders.Slice(s.plan, family), client.FieldOwner(fieldManager)); err != nil &&
		!apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("the EndpointSlice of the group's Service: %w", err)
	}
	return nil
}

// deleteService removes what an earlier plan asked for.
func (r *groupReconciler) deleteService(ctx context.Context, s *groupScope) error {
	for key, o := range map[string]client.Object{
		s.group.Name:                   &corev1.Service{},
		planv1.SliceName(s.group.Name): &discoveryv1.EndpointSlice{},
	} {
		if err := r.deleteOwn(ctx, s, key, o); err != nil {
			return err
		}
	}
	return nil
}

// deleteOwn deletes an object that the cache knows: one with our label.
func (r *groupReconciler) deleteOwn(ctx context.Context, s *groupScope, name string, o client.Object) error {
	err := r.Get(ctx, types.NamespacedName{Namespace: s.group.Namespace, Name: name}, o)
	if err != nil {
		return client.IgnoreNotFound(err)
	}
	if o.GetLabels()[understudyv1alpha1.LabelGroup] != s.group.Name || !o.GetDeletionTimestamp().IsZero() {
		return nil
	}
	uid := o.GetUID()
	if err := r.Delete(ctx, o, client.Preconditions{UID: &uid}); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting %T %s: %w", o, name, err)
	}
	return nil
}
