// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"strconv"

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
	err := r.takeService(ctx, s, service)
	if _, is := taken(err); is {
		// Their clients shall not reach our owner.
		return errors.Join(err, r.deleteSlice(ctx, s))
	}
	if err != nil {
		return fmt.Errorf("the group's Service: %w", err)
	}
	if err := r.keepSlice(ctx, s, service); err != nil {
		return err
	}
	return r.deleteServices(ctx, s, s.plan.Service.Name)
}

// takeService applies the Service. Two groups may want one name: who has it keeps it.
func (r *groupReconciler) takeService(ctx context.Context, s *groupScope, service *corev1.Service) error {
	r.naming.Lock()
	defer r.naming.Unlock()
	if err := r.findService(ctx, s, s.plan.Service.Name, service); client.IgnoreNotFound(err) != nil {
		return err
	}
	return r.ensure(ctx, service, builders.Service(s.plan))
}

// findService reads a Service of this group.
func (r *groupReconciler) findService(ctx context.Context, s *groupScope, name string, service *corev1.Service) error {
	key := types.NamespacedName{Namespace: s.group.Namespace, Name: name}
	if err := r.findOwn(ctx, key, "Service", service); err != nil {
		return err
	}
	if by := service.Labels[understudyv1alpha1.LabelGroup]; by != "" && by != s.group.Name {
		return &takenError{kind: "Service", name: name, by: by}
	}
	return nil
}

// keepSlice makes the EndpointSlice. One that belongs to a Service of another name
// is made anew, because kube-proxy misses a change of that label and would keep the
// endpoint under the old name for ever. The owner's monitor sees it and fills it.
func (r *groupReconciler) keepSlice(ctx context.Context, s *groupScope, service *corev1.Service) error {
	slice := &discoveryv1.EndpointSlice{}
	key := types.NamespacedName{Namespace: s.group.Namespace, Name: planv1.SliceName(s.group.Name)}
	err := r.Get(ctx, key, slice)
	switch {
	case apierrors.IsNotFound(err):
	case err != nil, slice.Labels[discoveryv1.LabelServiceName] == service.Name:
		return err
	default:
		if err := r.deleteSlice(ctx, s); err != nil {
			return err
		}
	}
	family := corev1.IPv4Protocol
	if len(service.Spec.IPFamilies) > 0 {
		family = service.Spec.IPFamilies[0]
	}
	// A late write of a former owner shall meet the same fence as before.
	epoch := slice.Annotations[understudyv1alpha1.AnnotationEpoch]
	if o := s.group.Status.Owner; epoch == "" && o != nil {
		epoch = strconv.FormatInt(o.Epoch, 10)
	}
	made := builders.Slice(s.plan, family)
	if epoch != "" {
		made.Annotations = map[string]string{understudyv1alpha1.AnnotationEpoch: epoch}
	}
	if err := r.Create(ctx, made, client.FieldOwner(fieldManager)); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("the EndpointSlice of the group's Service: %w", err)
	}
	return nil
}

func (r *groupReconciler) deleteSlice(ctx context.Context, s *groupScope) error {
	return r.deleteOwn(ctx, s, planv1.SliceName(s.group.Name), &discoveryv1.EndpointSlice{})
}

// deleteService removes what an earlier plan asked for.
func (r *groupReconciler) deleteService(ctx context.Context, s *groupScope) error {
	if err := r.deleteServices(ctx, s, ""); err != nil {
		return err
	}
	return r.deleteSlice(ctx, s)
}

// deleteServices removes the group's Services of other names than the one to keep.
// Only what was applied counts: a label can be copied.
func (r *groupReconciler) deleteServices(ctx context.Context, s *groupScope, keep string) error {
	var list corev1.ServiceList
	if err := r.List(ctx, &list, client.InNamespace(s.group.Namespace),
		client.MatchingLabels(builders.Labels(s.group.Name))); err != nil {
		return fmt.Errorf("listing Services: %w", err)
	}
	for i := range list.Items {
		one := &list.Items[i]
		if one.Name == keep || one.Annotations[annotationApplied] == "" {
			continue
		}
		if err := r.deleteOwn(ctx, s, one.Name, &corev1.Service{}); err != nil {
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
