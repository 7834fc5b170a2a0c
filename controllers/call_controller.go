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
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

const (
	// callGrace is how long a call may wait for its target to be created: they may
	// come from one file.
	callGrace = 5 * time.Second
	// defaultTTLSeconds is the API's default, for objects that lack it.
	defaultTTLSeconds = 86400
)

// verdict is how the manager ends a call. Codes and their names are those of RA
// section 3.6.
type verdict struct {
	reason  string
	code    int64
	name    string
	message string
}

func groupNotFound(message string) *verdict {
	return &verdict{understudyv1alpha1.ReasonRefused, 5013, "ERROR_GROUP_NOT_FOUND", message}
}

func resourceNotFound(message string) *verdict {
	return &verdict{understudyv1alpha1.ReasonRefused, 5007, "ERROR_RESOURCE_NOT_FOUND", message}
}

// callReconciler deletes finished calls in time, and ends those that no monitor
// can: their group, or their resource, does not exist. All others are the monitors'.
type callReconciler struct {
	base
	now func() time.Time
}

func setupCall(mgr ctrl.Manager, b base) error {
	r := &callReconciler{base: b, now: time.Now}
	onlyDeleted := builder.WithPredicates(deletions())
	return ctrl.NewControllerManagedBy(mgr).
		For(&understudyv1alpha1.ControlCall{}).
		Watches(&understudyv1alpha1.ResourceGroup{}, handler.EnqueueRequestsFromMapFunc(r.callsOf), onlyDeleted).
		Watches(&understudyv1alpha1.ClusterResource{}, handler.EnqueueRequestsFromMapFunc(r.callsOf), onlyDeleted).
		WithOptions(options(b, 1)).
		Complete(r)
}

// callsOf are the calls of a group, or of the group of a resource.
func (r *callReconciler) callsOf(ctx context.Context, o client.Object) []reconcile.Request {
	group := o.GetName()
	if resource, ok := o.(*understudyv1alpha1.ClusterResource); ok {
		group = resource.Spec.GroupName
	}
	var list understudyv1alpha1.ControlCallList
	if err := r.List(ctx, &list, client.InNamespace(o.GetNamespace()),
		client.MatchingFields{indexGroup: group}); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Listing the ControlCalls of a group")
		return nil
	}
	return requests(list.Items, func(c understudyv1alpha1.ControlCall) types.NamespacedName {
		return client.ObjectKeyFromObject(&c)
	})
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
	}
	v, err := judge(ctx, r.Client, call)
	if err != nil || v == nil {
		return ctrl.Result{}, err
	}
	if wait := callGrace - r.now().Sub(call.CreationTimestamp.Time); wait > 0 {
		return ctrl.Result{RequeueAfter: min(wait, callGrace)}, nil
	}
	// An outcome stands for ever: the cache's word is not enough.
	if v, err = judge(ctx, r.live, call); err != nil || v == nil {
		return ctrl.Result{}, err
	}
	_, err = patchStatus(ctx, r.Client, call, func(c *understudyv1alpha1.ControlCall) {
		now := metav1.NewMicroTime(r.now())
		c.Status.StatusCode, c.Status.StatusName = &v.code, v.name
		c.Status.Message, c.Status.CompletionTime = v.message, &now
		setCondition(&c.Status.Conditions, metav1.Condition{
			Type: understudyv1alpha1.ConditionFinished, Status: metav1.ConditionTrue, Reason: v.reason, Message: v.message,
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

// judge says how a call ends that no monitor will ever end; nil if one may.
func judge(ctx context.Context, from client.Reader, call *understudyv1alpha1.ControlCall) (*verdict, error) {
	group := types.NamespacedName{Namespace: call.Namespace, Name: call.Spec.GroupName}
	claimed := call.Status.Owner != nil
	switch err := from.Get(ctx, group, &understudyv1alpha1.ResourceGroup{}); {
	case apierrors.IsNotFound(err) && claimed:
		return &verdict{
			understudyv1alpha1.ReasonOutcomeUnknown, 995, "ERROR_OPERATION_ABORTED", fmt.Sprintf(
				"The ResourceGroup %q was deleted while the call was under way; it is not run again", group.Name),
		}, nil
	case apierrors.IsNotFound(err):
		return groupNotFound(fmt.Sprintf(
			"The ResourceGroup %q does not exist in this namespace: correct spec.groupName in another call", group.Name)), nil
	case err != nil:
		return nil, fmt.Errorf("reading the group: %w", err)
	}
	if claimed || call.Spec.ResourceName == "" {
		return nil, nil // a claimed call is ended by its monitor, or by the next owner
	}
	resource := &understudyv1alpha1.ClusterResource{}
	err := from.Get(ctx, types.NamespacedName{Namespace: call.Namespace, Name: call.Spec.ResourceName}, resource)
	switch {
	case apierrors.IsNotFound(err):
		return resourceNotFound(fmt.Sprintf(
			"The ClusterResource %q does not exist in this namespace: correct spec.resourceName in another call",
			call.Spec.ResourceName)), nil
	case err != nil:
		return nil, fmt.Errorf("reading the resource: %w", err)
	case resource.Spec.GroupName != call.Spec.GroupName:
		return resourceNotFound(fmt.Sprintf(
			"The ClusterResource %q belongs to the group %q: name that group in another call",
			call.Spec.ResourceName, resource.Spec.GroupName)), nil
	}
	return nil, nil
}
