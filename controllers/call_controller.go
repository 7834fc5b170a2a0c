// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"time"

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
	// come from one file. And how long a claim that was made in time may be on its way.
	callGrace = 5 * time.Second
	// callRecheck is how often a call that is not finished is looked at again: for whom
	// it waits, and whether its host is still there. It reads the cache alone.
	callRecheck = 5 * time.Second
	// defaultTTLSeconds is the API's default, for objects that lack it.
	defaultTTLSeconds = 86400
)

// callReconciler deletes finished calls in time, says for whom those wait that nobody
// has claimed, and ends those that no monitor can, or did in their time: what they call
// does not exist, nobody was there to claim them, or their host is gone and nobody comes
// after it. All others are the monitors'.
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
	v, err := judge(ctx, r.Client, call, r.now())
	if err != nil {
		return ctrl.Result{}, err
	}
	if wait := callGrace - r.now().Sub(call.CreationTimestamp.Time); wait > 0 {
		return ctrl.Result{RequeueAfter: min(wait, callGrace)}, nil
	}
	if v == nil {
		return result(callRecheck, r.tellWaiting(ctx, call))
	}
	// An outcome stands for ever: the cache's word is not enough.
	if v, err = judge(ctx, r.live, call, r.now()); err != nil || v == nil {
		return result(callRecheck, err)
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

// tellWaiting says for whom a call waits that nobody has claimed. What a monitor says of
// it stays.
func (r *callReconciler) tellWaiting(ctx context.Context, call *understudyv1alpha1.ControlCall) error {
	said := apimeta.FindStatusCondition(call.Status.Conditions, understudyv1alpha1.ConditionFinished)
	if call.Status.Owner != nil || said != nil && said.Reason != understudyv1alpha1.ReasonWaiting {
		return nil
	}
	group := &understudyv1alpha1.ResourceGroup{}
	if err := r.Get(ctx, types.NamespacedName{Namespace: call.Namespace, Name: call.Spec.GroupName}, group); err != nil {
		return client.IgnoreNotFound(err) // the next look judges
	}
	_, err := patchStatus(ctx, r.Client, call, func(c *understudyv1alpha1.ControlCall) {
		setCondition(&c.Status.Conditions, metav1.Condition{
			Type: understudyv1alpha1.ConditionFinished, Status: metav1.ConditionFalse,
			Reason: understudyv1alpha1.ReasonWaiting, Message: waitsFor(call, group),
		}, c.Generation)
	})
	return client.IgnoreNotFound(err)
}

// waitsFor says who would have to claim a call, and why nobody may have.
func waitsFor(call *understudyv1alpha1.ControlCall, group *understudyv1alpha1.ResourceGroup) string {
	owner := group.Status.Owner
	switch {
	case call.Spec.HostName != "":
		return "It waits for the monitor of the host " + call.Spec.HostName
	case group.Spec.DesiredState == understudyv1alpha1.DesiredOffline:
		return "It waits for a host to own the group, which is to be offline: set its spec.desiredState to Online"
	case owner == nil:
		return "It waits for a host to own the group, which had no owner yet: its conditions say why"
	case apimeta.IsStatusConditionTrue(group.Status.Conditions, understudyv1alpha1.ConditionOwnerLost):
		return "It waits for a host to own the group: its owner " + owner.PodName + " is lost, and nobody has taken over"
	}
	return "It waits for the monitor of the owner: the host " + owner.PodName + ", or the one that comes after it"
}
