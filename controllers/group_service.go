// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/controllers/plan"
	"github.com/understudy-dev/understudy/internal/builders"
)

// service keeps the Service of the plan in force. What keeps it from that is shown
// in a condition.
func (r *groupReconciler) service(ctx context.Context, s *groupScope) error {
	if s.plan == nil {
		return nil
	}
	if s.plan.Service == nil {
		return r.deleteService(ctx, s)
	}
	err := r.keepService(ctx, s)
	if apierrors.IsConflict(err) {
		return err
	}
	s.serviceErr = err
	if _, is := taken(err); is || refused(err) {
		s.again(serviceRetry)
		return nil
	}
	return err
}

// serviceReady is the condition ServiceReady; there is none without a Service.
func (s *groupScope) serviceReady() (condition metav1.Condition, wanted bool) {
	c := metav1.Condition{
		Type: understudyv1alpha1.ConditionServiceReady, Status: metav1.ConditionTrue,
		Reason: understudyv1alpha1.ReasonServiceReady, Message: "The Service and its EndpointSlice are there",
	}
	if t, is := taken(s.serviceErr); is {
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, understudyv1alpha1.ReasonServiceTaken, t.Error()
	} else if s.serviceErr != nil {
		c.Status, c.Reason = metav1.ConditionFalse, understudyv1alpha1.ReasonServiceRefused
		c.Message = plan.Clip("The API server does not take it, correct spec.service or the namespace's limits: " +
			s.serviceErr.Error())
	}
	return c, s.plan != nil && s.plan.Service != nil
}

// keepService keeps the Service, and makes its EndpointSlice once, empty: the
// endpoint belongs to the monitor of the owner.
func (r *groupReconciler) keepService(ctx context.Context, s *groupScope) error {
	service := &corev1.Service{}
	if err := r.ensure(ctx, service, builders.Service(s.plan)); err != nil {
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
