// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/controllers/builtin"
)

// typeReconciler says whether a ResourceType can be used, and holds one that is.
type typeReconciler struct{ base }

func setupType(mgr ctrl.Manager, b base) error {
	return ctrl.NewControllerManagedBy(mgr).
		For(&understudyv1alpha1.ResourceType{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		// Whether it exists is all that matters of a resource here: its type never changes.
		Watches(&understudyv1alpha1.ClusterResource{}, handler.EnqueueRequestsFromMapFunc(typeOfResource),
			builder.WithPredicates(predicate.Funcs{UpdateFunc: func(event.UpdateEvent) bool { return false }})).
		WithOptions(options(b, 1)).
		Complete(&typeReconciler{base: b})
}

// +kubebuilder:rbac:groups=understudy.dev,resources=resourcetypes,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups=understudy.dev,resources=resourcetypes/status,verbs=patch

// Reconcile looks at one type.
func (r *typeReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	t := &understudyv1alpha1.ResourceType{}
	if err := r.Get(ctx, req.NamespacedName, t); err != nil {
		if !apierrors.IsNotFound(err) {
			return ctrl.Result{}, err
		}
		r.types.Forget(req.Name)
		return result(0, r.restore(ctx, req.Name))
	}
	if err := r.hold(ctx, t); err != nil {
		return result(0, err)
	}
	c := metav1.Condition{
		Type: understudyv1alpha1.ConditionAccepted, Status: metav1.ConditionTrue,
		Reason: understudyv1alpha1.ReasonAccepted, Message: "Resources of this type can be planned",
	}
	if _, problems := r.types.Check(t); len(problems) > 0 {
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, problems[0].Reason, problems.Message()
	}
	changed, err := patchStatus(ctx, r.Client, t, func(t *understudyv1alpha1.ResourceType) {
		setCondition(&t.Status.Conditions, c, t.Generation)
	})
	if err == nil && changed && c.Status == metav1.ConditionFalse {
		r.event(t, nil, true, c.Reason, "Check", "%s", c.Message)
	}
	return result(0, client.IgnoreNotFound(err))
}

// maxUsers is how many users of a type are named.
const maxUsers = 10

// hold keeps our finalizer on a type as long as ClusterResources name it, and no
// longer: what nobody uses can be deleted without us. A deleted type says who does.
func (r *typeReconciler) hold(ctx context.Context, t *understudyv1alpha1.ResourceType) error {
	var users understudyv1alpha1.ClusterResourceList
	if err := r.List(ctx, &users, client.MatchingFields{indexType: t.Name}); err != nil {
		return fmt.Errorf("listing the users of the ResourceType %s: %w", t.Name, err)
	}
	held := controllerutil.ContainsFinalizer(t, understudyv1alpha1.Finalizer)
	deleted := !t.DeletionTimestamp.IsZero()
	if held && len(users.Items) == 0 {
		// The cache may not know the last one yet.
		if err := r.live.List(ctx, &users, client.MatchingFields{indexType: t.Name}); err != nil {
			return fmt.Errorf("listing the users of the ResourceType %s: %w", t.Name, err)
		}
	}
	switch used := len(users.Items) > 0; {
	case held && !used:
		return release(ctx, r.Client, t)
	case !held && used && !deleted:
		return patchMeta(ctx, r.Client, t, func(t *understudyv1alpha1.ResourceType) {
			controllerutil.AddFinalizer(t, understudyv1alpha1.Finalizer)
		})
	case !held || !deleted:
		return nil
	}
	_, err := patchStatus(ctx, r.Client, t, func(t *understudyv1alpha1.ResourceType) {
		setCondition(&t.Status.Conditions, metav1.Condition{
			Type: understudyv1alpha1.ConditionDeleting, Status: metav1.ConditionTrue,
			Reason: understudyv1alpha1.ReasonInUse, Message: inUse(users.Items),
		}, t.Generation)
	})
	return err
}

// inUse names the users of a type.
func inUse(users []understudyv1alpha1.ClusterResource) string {
	names := make([]string, 0, len(users))
	for i := range users {
		names = append(names, users[i].Namespace+"/"+users[i].Name)
	}
	slices.Sort(names)
	more := ""
	if n := len(names) - maxUsers; n > 0 {
		names, more = names[:maxUsers], fmt.Sprintf(" and %d more", n)
	}
	return "It is being deleted and goes when no ClusterResource names it any more; what runs goes on. " +
		"Delete these: " + strings.Join(names, ", ") + more
}

func typeOfResource(_ context.Context, o client.Object) []reconcile.Request {
	resource, ok := o.(*understudyv1alpha1.ClusterResource)
	if !ok {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: resource.Spec.TypeName}}}
}

// restore puts a built-in type there again that somebody deleted: others use it.
func (r *typeReconciler) restore(ctx context.Context, name string) error {
	for _, t := range builtin.Types() {
		if t.Name == name {
			return applyType(ctx, r.Client, &t)
		}
	}
	return nil
}

// builtinTypes applies the built-in types at start, as the leader.
type builtinTypes struct{ client.Client }

// NeedLeaderElection keeps two versions from taking turns.
func (*builtinTypes) NeedLeaderElection() bool { return true }

// Start applies each type; it is repeated until the API server takes it.
func (b *builtinTypes) Start(ctx context.Context) error {
	for _, t := range builtin.Types() {
		err := wait.PollUntilContextCancel(ctx, time.Second, true, func(ctx context.Context) (bool, error) {
			err := applyType(ctx, b.Client, &t)
			if err != nil {
				ctrl.LoggerFrom(ctx).Error(err, "Applying a built-in ResourceType, will try again", "resourceType", t.Name)
			}
			return err == nil, nil
		})
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// applyType applies a type of ours, every field.
func applyType(ctx context.Context, c client.Client, t *understudyv1alpha1.ResourceType) error {
	u, err := applied(t)
	if err != nil {
		return err
	}
	if err := c.Apply(ctx, client.ApplyConfigurationFromUnstructured(u),
		client.FieldOwner(fieldManager), client.ForceOwnership); err != nil {
		return fmt.Errorf("applying the ResourceType %s: %w", t.Name, err)
	}
	return nil
}

// applied turns a type into what is applied: without a status.
func applied(t *understudyv1alpha1.ResourceType) (*unstructured.Unstructured, error) {
	data, err := json.Marshal(t)
	if err != nil {
		return nil, fmt.Errorf("encoding the ResourceType %s: %w", t.Name, err)
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(data); err != nil {
		return nil, fmt.Errorf("decoding the ResourceType %s: %w", t.Name, err)
	}
	unstructured.RemoveNestedField(u.Object, "status")
	return u, nil
}
