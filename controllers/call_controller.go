// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

const (
	// callGrace is how long a call may wait for its target to be created: they may
	// come from one file.
	callGrace = 5 * time.Second
	// defaultTTLSeconds is the API's default, for objects that lack it.
	defaultTTLSeconds = 86400

	// Codes of RA section 3.6.
	codeResourceNotFound = 5007
	codeGroupNotFound    = 5013
)

// callReconciler deletes finished calls in time, and refuses those that no
// monitor can ever claim. All others are the monitors'.
type callReconciler struct {
	base
	now func() time.Time
}

func setupCall(mgr ctrl.Manager, b base) error {
	return ctrl.NewControllerManagedBy(mgr).
		For(&understudyv1alpha1.ControlCall{}).
		WithOptions(options(b, 1)).
		Complete(&callReconciler{base: b, now: time.Now})
}

// +kubebuilder:rbac:groups=understudy.dev,resources=controlcalls,verbs=get;list;watch;delete
// +kubebuilder:rbac:groups=understudy.dev,resources=controlcalls/status,verbs=get;update;patch

// Reconcile looks at one call.
func (r *callReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	call := &understudyv1alpha1.ControlCall{}
	if err := r.Get(ctx, req.NamespacedName, call); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	switch {
	case !call.DeletionTimestamp.IsZero():
		return ctrl.Result{}, nil
	case call.Status.CompletionTime != nil:
		return r.expire(ctx, call)
	case call.Status.Owner != nil:
		return ctrl.Result{}, nil // claimed: its monitor, or the next owner, finishes it
	}
	code, message, err := r.unclaimable(ctx, call)
	if err != nil || code == 0 {
		return ctrl.Result{}, err
	}
	if wait := callGrace - r.now().Sub(call.CreationTimestamp.Time); wait > 0 {
		return ctrl.Result{RequeueAfter: min(wait, callGrace)}, nil
	}
	_, err = patchStatus(ctx, r.Client, call, func(c *understudyv1alpha1.ControlCall) {
		now := metav1.NewMicroTime(r.now())
		c.Status.StatusCode, c.Status.Message, c.Status.CompletionTime = &code, message, &now
		setCondition(&c.Status.Conditions, metav1.Condition{
			Type: understudyv1alpha1.ConditionFinished, Status: metav1.ConditionTrue,
			Reason: understudyv1alpha1.ReasonRefused, Message: message,
		}, c.Generation)
	})
	return result(0, err)
}

// expire deletes a finished call when its time has come.
func (r *callReconciler) expire(ctx context.Context, call *understudyv1alpha1.ControlCall) (ctrl.Result, error) {
	if !apimeta.IsStatusConditionTrue(call.Status.Conditions, understudyv1alpha1.ConditionFinished) {
		return ctrl.Result{}, nil
	}
	ttl := time.Duration(ptr.Deref(call.Spec.TTLSecondsAfterFinished, defaultTTLSeconds)) * time.Second
	if wait := ttl - r.now().Sub(call.Status.CompletionTime.Time); wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, nil
	}
	err := r.Delete(ctx, call, client.Preconditions{UID: &call.UID})
	return result(0, client.IgnoreNotFound(err))
}

// unclaimable says why no monitor will ever take a call; 0 if one may.
func (r *callReconciler) unclaimable(ctx context.Context, call *understudyv1alpha1.ControlCall) (int64, string, error) {
	group := types.NamespacedName{Namespace: call.Namespace, Name: call.Spec.GroupName}
	switch err := r.Get(ctx, group, &understudyv1alpha1.ResourceGroup{}); {
	case apierrors.IsNotFound(err):
		return codeGroupNotFound, fmt.Sprintf(
			"The ResourceGroup %q does not exist in this namespace: correct spec.groupName in another call", group.Name), nil
	case err != nil:
		return 0, "", fmt.Errorf("reading the group: %w", err)
	}
	if call.Spec.ResourceName == "" {
		return 0, "", nil
	}
	resource := &understudyv1alpha1.ClusterResource{}
	err := r.Get(ctx, types.NamespacedName{Namespace: call.Namespace, Name: call.Spec.ResourceName}, resource)
	switch {
	case apierrors.IsNotFound(err):
		return codeResourceNotFound, fmt.Sprintf(
			"The ClusterResource %q does not exist in this namespace: correct spec.resourceName in another call",
			call.Spec.ResourceName), nil
	case err != nil:
		return 0, "", fmt.Errorf("reading the resource: %w", err)
	case resource.Spec.GroupName != call.Spec.GroupName:
		return codeResourceNotFound, fmt.Sprintf(
			"The ClusterResource %q belongs to the group %q: name that group in another call",
			call.Spec.ResourceName, resource.Spec.GroupName), nil
	}
	return 0, "", nil
}
