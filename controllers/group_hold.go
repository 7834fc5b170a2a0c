// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"fmt"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/internal/builders"
)

// endsWithNamespace deletes a group whose namespace is being deleted. Kubernetes
// deletes the pods first, and nothing else until all of them are gone: without us the
// pod of a dead node would keep it from ever coming to the group.
func (r *groupReconciler) endsWithNamespace(ctx context.Context, g *understudyv1alpha1.ResourceGroup) (bool, error) {
	for _, from := range []client.Reader{r.Client, r.live} { // the API server has the last word
		if ends, err := terminating(ctx, from, g.Namespace); err != nil || !ends {
			return false, err
		}
	}
	uid := g.UID
	if err := r.Delete(ctx, g, client.Preconditions{UID: &uid}); client.IgnoreNotFound(err) != nil {
		return true, fmt.Errorf("deleting the group with its namespace: %w", err)
	}
	return true, nil
}

// tellNamespace says in a namespace that is being deleted that a group of it is gone.
// Kubernetes, which waits for the pods, looks again when something of the namespace
// changes; by itself it does so only after half of the pods' grace period, which may be
// minutes.
func (r *groupReconciler) tellNamespace(ctx context.Context, g *understudyv1alpha1.ResourceGroup) error {
	if ends, err := terminating(ctx, r.Client, g.Namespace); err != nil || !ends {
		return err
	}
	patch, err := json.Marshal(corev1.Namespace{Status: corev1.NamespaceStatus{Conditions: []corev1.NamespaceCondition{{
		Type: understudyv1alpha1.ConditionGroupRetired, Status: corev1.ConditionTrue, Reason: "PodsGone",
		Message:            fmt.Sprintf("The ResourceGroup %s is stopped and its host pods are gone", g.Name),
		LastTransitionTime: metav1.Now(),
	}}}})
	if err != nil {
		return err
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: g.Namespace}}
	err = r.Status().Patch(ctx, ns, client.RawPatch(types.StrategicMergePatchType, patch), client.FieldOwner(fieldManager))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("telling the namespace that the group is gone: %w", err)
	}
	return nil
}

// namespaceMeta is all that is read and watched of a namespace.
func namespaceMeta() *metav1.PartialObjectMetadata {
	o := &metav1.PartialObjectMetadata{}
	o.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	return o
}

// terminating says whether a namespace is being deleted. One that is not found is new,
// and the cache does not know it yet: what is in it is not to be taken down.
func terminating(ctx context.Context, from client.Reader, name string) (bool, error) {
	ns := namespaceMeta()
	if err := from.Get(ctx, types.NamespacedName{Name: name}, ns); err != nil {
		if client.IgnoreNotFound(err) == nil {
			return false, nil
		}
		return false, fmt.Errorf("reading the namespace %s: %w", name, err)
	}
	return !ns.DeletionTimestamp.IsZero(), nil
}

// letGoChild lets an object of a group go that somebody deleted by hand, so that it
// can be made again. In a namespace that is being deleted it could not be made again:
// there it stays until the group is retired.
func (b *base) letGoChild(ctx context.Context, o client.Object) (bool, error) {
	if ends, err := terminating(ctx, b.live, o.GetNamespace()); ends || err != nil {
		return false, err
	}
	return true, release(ctx, b.Client, o)
}

// release removes our finalizer from an object.
func release[T client.Object](ctx context.Context, c client.Client, o T) error {
	return client.IgnoreNotFound(patchMeta(ctx, c, o, func(o T) {
		controllerutil.RemoveFinalizer(o, understudyv1alpha1.Finalizer)
	}))
}

// holdRecord keeps our finalizer on the record. One that somebody deleted goes once
// nobody holds it and nobody is about to take it; a held one never does, its owner
// goes on renewing it.
func (r *groupReconciler) holdRecord(ctx context.Context, s *groupScope) error {
	if !s.group.DeletionTimestamp.IsZero() {
		return nil // retire decides
	}
	if s.lease.DeletionTimestamp.IsZero() {
		version := s.lease.ResourceVersion
		if err := patchMeta(ctx, r.Client, s.lease, func(l *coordinationv1.Lease) {
			controllerutil.AddFinalizer(l, understudyv1alpha1.Finalizer)
		}); err != nil {
			return fmt.Errorf("holding the Lease: %w", err)
		}
		if s.lease.ResourceVersion != version {
			s.quiet = 0
		}
		return nil
	}
	if s.recorded != nil && s.recorded.Held() {
		return nil
	}
	if wait := leasev1.W(max(duration(s.lease), s.duration())); s.quiet < wait {
		s.again(wait - s.quiet)
		return nil
	}
	gone, err := r.letGoChild(ctx, s.lease)
	if err != nil {
		return fmt.Errorf("letting the deleted Lease go: %w", err)
	}
	if gone {
		s.lease, s.recorded, s.recordErr = nil, nil, nil
	}
	return nil
}

// drop removes an object of a retired group under the very version that was judged,
// with our finalizer.
func (r *groupReconciler) drop(ctx context.Context, s *groupScope, o client.Object) error {
	if o.GetLabels()[understudyv1alpha1.LabelGroup] != s.group.Name {
		return nil
	}
	if err := release(ctx, r.Client, o); err != nil {
		return fmt.Errorf("letting %T %s go: %w", o, o.GetName(), err)
	}
	if !o.GetDeletionTimestamp().IsZero() {
		return nil
	}
	uid, version := o.GetUID(), o.GetResourceVersion()
	err := r.Delete(ctx, o, client.Preconditions{UID: &uid, ResourceVersion: &version})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting %T %s: %w", o, o.GetName(), err)
	}
	return nil
}

// dropAccess removes Role and RoleBinding. It asks the API server: one that the cache
// does not know yet would stay, with our finalizer, for ever.
func (r *groupReconciler) dropAccess(ctx context.Context, s *groupScope) error {
	key := types.NamespacedName{Namespace: s.group.Namespace, Name: builders.RoleName(s.group.Name)}
	for _, o := range []client.Object{&rbacv1.RoleBinding{}, &rbacv1.Role{}} {
		switch err := r.live.Get(ctx, key, o); {
		case client.IgnoreNotFound(err) != nil:
			return fmt.Errorf("reading %T %s: %w", o, key.Name, err)
		case err != nil:
			continue
		}
		if err := r.drop(ctx, s, o); err != nil {
			return err
		}
	}
	return nil
}

// leftovers lets go what was deleted and what no group is left for: somebody took our
// finalizer off the group, or its owner made the record again after the group was gone.
// A record goes when it is not held or ran out, and what its owner needs goes after it.
func (r *groupReconciler) leftovers(ctx context.Context, s *groupScope) error {
	if err := r.dropFencing(ctx, r.Client, s.group); err != nil {
		return err
	}
	lease := &coordinationv1.Lease{}
	err := r.Get(ctx, s.leaseKey(), lease)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("reading the Lease: %w", err)
	}
	if err == nil {
		if lease.DeletionTimestamp.IsZero() {
			return nil
		}
		record, bad := leasev1.Decode(fromLease(lease))
		wait := leasev1.W(record.ExtendMax + duration(lease))
		if quiet := r.leases.quiet(s.leaseKey(), lease.ResourceVersion); (bad != nil || record.Held()) && quiet < wait {
			s.again(wait - quiet)
			return nil
		}
		if err := release(ctx, r.Client, lease); err != nil {
			return fmt.Errorf("letting the Lease of a group that is gone go: %w", err)
		}
	}
	r.leases.forget(s.leaseKey())
	key := types.NamespacedName{Namespace: s.group.Namespace, Name: builders.RoleName(s.group.Name)}
	for _, o := range []client.Object{&rbacv1.RoleBinding{}, &rbacv1.Role{}} {
		if err := r.Get(ctx, key, o); err != nil || o.GetDeletionTimestamp().IsZero() {
			if client.IgnoreNotFound(err) != nil {
				return fmt.Errorf("reading %T %s: %w", o, key.Name, err)
			}
			continue
		}
		if err := release(ctx, r.Client, o); err != nil {
			return fmt.Errorf("letting %T %s of a group that is gone go: %w", o, key.Name, err)
		}
	}
	return nil
}
