// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

const (
	// workers of each kind.
	workers = 4
	// reconcileTimeout keeps one stuck call from holding a worker.
	reconcileTimeout = 30 * time.Second
	// An error is tried again between these. The longest is short, because what
	// would have been looked at meanwhile, such as a silent owner, waits as well.
	leastRetry, mostRetry = 5 * time.Millisecond, 15 * time.Second
)

func setupGroup(mgr ctrl.Manager, b base) error {
	turns := make(chan event.GenericEvent, turnsQueued)
	r := &groupReconciler{
		base: b, leases: newLeaseWatch(), stops: newStopWatch(), now: time.Now,
		rollouts: newSlots(b.options.MaxRollingGroups, wakeBy(turns)),
	}
	byLabel := handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
		if request, ok := groupOf(o); ok {
			return []reconcile.Request{request}
		}
		return nil
	})
	onlyDeleted := builder.WithPredicates(deletions())
	return ctrl.NewControllerManagedBy(mgr).
		For(&understudyv1alpha1.ResourceGroup{}).
		// Monitors write their status; a group's plan follows specs and deletions.
		Watches(&understudyv1alpha1.ClusterResource{}, handler.EnqueueRequestsFromMapFunc(groupOfResource),
			builder.WithPredicates(specChanged())).
		Watches(&understudyv1alpha1.ResourceType{}, handler.EnqueueRequestsFromMapFunc(r.groupsOfType),
			builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&corev1.Node{}, handler.EnqueueRequestsFromMapFunc(r.groupsOfNode), builder.WithPredicates(nodeChanged())).
		// All that matters of one is that it is being deleted.
		WatchesMetadata(&corev1.Namespace{}, handler.EnqueueRequestsFromMapFunc(r.groupsOfNamespace),
			builder.WithPredicates(beingDeleted())).
		Watches(&corev1.Pod{}, byLabel).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(groupOfImagePod)).
		WatchesRawSource(source.Channel(turns, &handler.EnqueueRequestForObject{})).
		Watches(&coordinationv1.Lease{}, r.leases).
		// A Service has no generation, and one without a selector no status.
		Watches(&corev1.Service{}, byLabel).
		Watches(&batchv1.Job{}, byLabel).
		Watches(&rbacv1.Role{}, byLabel).
		Watches(&rbacv1.RoleBinding{}, byLabel).
		// Its status follows each pod.
		Watches(&policyv1.PodDisruptionBudget{}, byLabel, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		// The endpoints are the monitor's: only its absence matters.
		Watches(&discoveryv1.EndpointSlice{}, byLabel, onlyDeleted).
		// They never change; without that of the plan in force no host could start.
		Watches(&appsv1.ControllerRevision{}, byLabel, onlyDeleted).
		WithOptions(options(b, workers)).
		Complete(r)
}

func options(b base, workers int) controller.Options {
	o := controller.Options{
		MaxConcurrentReconciles: workers, ReconciliationTimeout: reconcileTimeout,
		RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](leastRetry, mostRetry),
	}
	if b.options.SkipNameValidation {
		skip := true
		o.SkipNameValidation = &skip
	}
	return o
}

// deletions passes nothing else.
func deletions() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc: func(event.CreateEvent) bool { return false },
		UpdateFunc: func(event.UpdateEvent) bool { return false },
	}
}

// specChanged passes what the plan depends on: generation, deletion, finalizers.
func specChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration() ||
			e.ObjectOld.GetDeletionTimestamp().IsZero() != e.ObjectNew.GetDeletionTimestamp().IsZero() ||
			len(e.ObjectOld.GetFinalizers()) != len(e.ObjectNew.GetFinalizers())
	}}
}

// nodeChanged passes what succession and hosts depend on, not each heartbeat.
func nodeChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok1 := e.ObjectOld.(*corev1.Node)
		after, ok2 := e.ObjectNew.(*corev1.Node)
		if !ok1 || !ok2 {
			return false
		}
		return before.Spec.Unschedulable != after.Spec.Unschedulable ||
			!equality.Semantic.DeepEqual(before.Labels, after.Labels) ||
			!equality.Semantic.DeepEqual(before.Spec.Taints, after.Spec.Taints) ||
			!equality.Semantic.DeepEqual(readiness(before), readiness(after))
	}}
}

func readiness(n *corev1.Node) corev1.ConditionStatus {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status
		}
	}
	return corev1.ConditionUnknown
}

func groupOfResource(_ context.Context, o client.Object) []reconcile.Request {
	resource, ok := o.(*understudyv1alpha1.ClusterResource)
	if !ok {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{
		Namespace: resource.Namespace, Name: resource.Spec.GroupName,
	}}}
}

func (r *groupReconciler) groupsOfType(ctx context.Context, o client.Object) []reconcile.Request {
	var list understudyv1alpha1.ClusterResourceList
	if err := r.List(ctx, &list, client.MatchingFields{indexType: o.GetName()}); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Listing the ClusterResources of a type")
		return nil
	}
	return requests(list.Items, func(c understudyv1alpha1.ClusterResource) types.NamespacedName {
		return types.NamespacedName{Namespace: c.Namespace, Name: c.Spec.GroupName}
	})
}

// groupsOfNode are those that have a host there, and those that wait for nodes.
func (r *groupReconciler) groupsOfNode(ctx context.Context, o client.Object) []reconcile.Request {
	var list corev1.PodList
	if err := r.List(ctx, &list, client.MatchingFields{indexNode: o.GetName()}); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Listing the hosts on a node")
		return nil
	}
	keys := make([]types.NamespacedName, 0, len(list.Items))
	for _, p := range list.Items {
		keys = append(keys, types.NamespacedName{Namespace: p.Namespace, Name: p.Labels[understudyv1alpha1.LabelGroup]})
	}
	var groups understudyv1alpha1.ResourceGroupList
	if err := r.List(ctx, &groups, client.UnsafeDisableDeepCopy); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Listing the groups that wait for nodes")
	}
	for i := range groups.Items {
		if g := &groups.Items[i]; lacksNodes(g) {
			keys = append(keys, client.ObjectKeyFromObject(g))
		}
	}
	return requests(keys, func(k types.NamespacedName) types.NamespacedName { return k })
}

// beingDeleted passes objects with a deletionTimestamp.
func beingDeleted() predicate.Predicate {
	return predicate.NewPredicateFuncs(func(o client.Object) bool { return !o.GetDeletionTimestamp().IsZero() })
}

func (r *groupReconciler) groupsOfNamespace(ctx context.Context, o client.Object) []reconcile.Request {
	var list understudyv1alpha1.ResourceGroupList
	if err := r.List(ctx, &list, client.InNamespace(o.GetName())); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Listing the groups of a namespace")
		return nil
	}
	return requests(list.Items, func(g understudyv1alpha1.ResourceGroup) types.NamespacedName {
		return client.ObjectKeyFromObject(&g)
	})
}

// requests are the distinct keys of a list.
func requests[T any](items []T, key func(T) types.NamespacedName) []reconcile.Request {
	seen := map[types.NamespacedName]bool{}
	var out []reconcile.Request
	for _, item := range items {
		if k := key(item); !seen[k] && k.Name != "" {
			seen[k] = true
			out = append(out, reconcile.Request{NamespacedName: k})
		}
	}
	return out
}
