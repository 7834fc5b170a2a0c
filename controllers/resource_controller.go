// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

// resourceReconciler sees to ClusterResources whose group does not exist: it says
// so, and lets them go. All else about a resource is done with its group.
type resourceReconciler struct{ base }

func setupResource(mgr ctrl.Manager, b base) error {
	r := &resourceReconciler{base: b}
	return ctrl.NewControllerManagedBy(mgr).
		For(&understudyv1alpha1.ClusterResource{}, builder.WithPredicates(specChanged())).
		// Whether it exists is all that matters of a group here.
		Watches(&understudyv1alpha1.ResourceGroup{}, handler.EnqueueRequestsFromMapFunc(r.resourcesOf),
			builder.WithPredicates(predicate.Funcs{UpdateFunc: func(event.UpdateEvent) bool { return false }})).
		WithOptions(options(b, workers)).
		Complete(r)
}

// resourcesOf are those that wait for a change of their group.
func (r *resourceReconciler) resourcesOf(ctx context.Context, o client.Object) []reconcile.Request {
	var list understudyv1alpha1.ClusterResourceList
	if err := r.List(ctx, &list, client.InNamespace(o.GetNamespace()),
		client.MatchingFields{indexGroup: o.GetName()}); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Listing the ClusterResources of a group")
		return nil
	}
	return requests(list.Items, func(c understudyv1alpha1.ClusterResource) types.NamespacedName {
		return client.ObjectKeyFromObject(&c)
	})
}

// +kubebuilder:rbac:groups=understudy.dev,resources=clusterresources,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=understudy.dev,resources=clusterresources/status,verbs=get;update;patch

// Reconcile looks at one resource.
func (r *resourceReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	o := &understudyv1alpha1.ClusterResource{}
	if err := r.Get(ctx, req.NamespacedName, o); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	group := types.NamespacedName{Namespace: o.Namespace, Name: o.Spec.GroupName}
	err := r.Get(ctx, group, &understudyv1alpha1.ResourceGroup{})
	if client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, fmt.Errorf("reading the group: %w", err)
	}
	switch {
	case err == nil:
		return ctrl.Result{}, nil // its group's reconcile sees to it
	case !o.DeletionTimestamp.IsZero():
		return result(0, release(ctx, r.Client, o))
	}
	return result(0, r.orphan(ctx, o))
}

// orphan says that the group is missing.
func (r *resourceReconciler) orphan(ctx context.Context, o *understudyv1alpha1.ClusterResource) error {
	_, err := patchStatus(ctx, r.Client, o, func(o *understudyv1alpha1.ClusterResource) {
		setCondition(&o.Status.Conditions, metav1.Condition{
			Type: understudyv1alpha1.ConditionAccepted, Status: metav1.ConditionFalse,
			Reason: understudyv1alpha1.ReasonGroupNotFound,
			Message: fmt.Sprintf("spec.groupName: the ResourceGroup %q does not exist in this namespace: create it",
				o.Spec.GroupName),
		}, o.Generation)
	})
	return err
}
