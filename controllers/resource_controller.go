// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/controllers/plan"
)

// resourceReconciler lets a deleted ClusterResource go once it is stopped, and
// speaks for those whose group does not exist. All else about a resource is said
// with its group.
type resourceReconciler struct{ base }

func setupResource(mgr ctrl.Manager, b base) error {
	r := &resourceReconciler{base: b}
	return ctrl.NewControllerManagedBy(mgr).
		For(&understudyv1alpha1.ClusterResource{}, builder.WithPredicates(specChanged())).
		Watches(&understudyv1alpha1.ResourceGroup{}, handler.EnqueueRequestsFromMapFunc(r.resourcesOf)).
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

// +kubebuilder:rbac:groups=understudy.dev,resources=clusterresources,verbs=get;list;watch;update;patch
// +kubebuilder:rbac:groups=understudy.dev,resources=clusterresources/status,verbs=get;update;patch

// Reconcile looks at one resource.
func (r *resourceReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	o := &understudyv1alpha1.ClusterResource{}
	if err := r.Get(ctx, req.NamespacedName, o); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	group := &understudyv1alpha1.ResourceGroup{}
	err := r.Get(ctx, types.NamespacedName{Namespace: o.Namespace, Name: o.Spec.GroupName}, group)
	if client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, fmt.Errorf("reading the group: %w", err)
	}
	if apierrors.IsNotFound(err) {
		group = nil
	}
	switch {
	case !o.DeletionTimestamp.IsZero():
		return result(0, r.release(ctx, o, group))
	case group == nil:
		return result(0, r.orphan(ctx, o))
	}
	return ctrl.Result{}, nil
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

// release removes the finalizer when nothing of the resource can be running.
func (r *resourceReconciler) release(
	ctx context.Context, o *understudyv1alpha1.ClusterResource, group *understudyv1alpha1.ResourceGroup,
) error {
	if !controllerutil.ContainsFinalizer(o, understudyv1alpha1.Finalizer) {
		return nil
	}
	if group != nil {
		gone, err := r.left(ctx, o, group)
		if err != nil || !gone {
			return err
		}
	}
	return client.IgnoreNotFound(patchMeta(ctx, r.Client, o, func(o *understudyv1alpha1.ClusterResource) {
		controllerutil.RemoveFinalizer(o, understudyv1alpha1.Finalizer)
	}))
}

// left says that the plan in force is without the resource, and that every host
// that could act runs that plan. A monitor reports a plan once all that is not in
// it is stopped and closed.
func (r *resourceReconciler) left(
	ctx context.Context, o *understudyv1alpha1.ClusterResource, group *understudyv1alpha1.ResourceGroup,
) (bool, error) {
	name := group.Status.PlanRevision
	if name == "" {
		return true, nil // nothing was ever planned, so nothing ran
	}
	var revision appsv1.ControllerRevision
	if err := r.live.Get(ctx, types.NamespacedName{Namespace: group.Namespace, Name: name}, &revision); err != nil {
		return false, fmt.Errorf("reading the plan %s: %w", name, err)
	}
	p, err := plan.Decode(revision.Data.Raw)
	if err != nil {
		return false, fmt.Errorf("the plan %s: %w", name, err)
	}
	for _, planned := range p.Resources {
		if planned.UID == string(o.UID) {
			return false, nil
		}
	}
	if owner := group.Status.Owner; owner != nil && owner.PlanRevision != name {
		alive, err := r.exists(ctx, group, owner.PodName, owner.PodUID)
		if err != nil || alive {
			return false, err
		}
	}
	for pod, host := range group.Status.Hosts {
		if host.PlanRevision == name || barredHost(group, host.PodUID) {
			continue
		}
		alive, err := r.exists(ctx, group, pod, host.PodUID)
		if err != nil || alive {
			return false, err
		}
	}
	return true, nil
}

func barredHost(group *understudyv1alpha1.ResourceGroup, podUID string) bool {
	if group.Status.Succession == nil {
		return false
	}
	for _, b := range group.Status.Succession.Barred {
		if b.PodUID == podUID {
			return true
		}
	}
	return false
}

// exists asks whether a host's pod is still there.
func (r *resourceReconciler) exists(
	ctx context.Context, group *understudyv1alpha1.ResourceGroup, name, uid string,
) (bool, error) {
	pod := &corev1.Pod{}
	err := r.Get(ctx, types.NamespacedName{Namespace: group.Namespace, Name: name}, pod)
	if err != nil {
		return false, client.IgnoreNotFound(err)
	}
	return string(pod.UID) == uid && pod.Labels[understudyv1alpha1.LabelGroup] == group.Name, nil
}
