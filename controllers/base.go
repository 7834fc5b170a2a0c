// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"reflect"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/understudy-dev/understudy/controllers/plan"
)

// base is what all reconcilers share.
type base struct {
	client.Client
	// live reads around the cache: before a step that must not be repeated.
	live    client.Reader
	events  events.EventRecorder
	options Options
	// types are checked once for all groups that use them.
	types *plan.TypeCache
}

// conflictDelay is how soon a reconcile that met a newer version is repeated.
const conflictDelay = 50 * time.Millisecond

// result turns a conflict, which is normal, into another try.
func result(after time.Duration, err error) (ctrl.Result, error) {
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: conflictDelay}, nil
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: after}, nil
}

// soonest is the earlier of two delays, of which 0 is never.
func soonest(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// patched changes an object by a patch that carries the version it was read at. If
// the API server does not take it, the object stays as it was: what is decided on
// after it is decided on what is stored.
func patched[T client.Object](o T, change func(T), patch func(client.Patch) error) (bool, error) {
	before := o.DeepCopyObject().(T)
	change(o)
	if equality.Semantic.DeepEqual(before, o) {
		return false, nil
	}
	if err := patch(client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		reflect.ValueOf(o).Elem().Set(reflect.ValueOf(before).Elem())
		return false, err
	}
	return true, nil
}

// patchStatus changes only what change changes. The version is a precondition,
// because monitors write other parts of the same status, and lists of conditions
// are replaced as a whole.
func patchStatus[T client.Object](ctx context.Context, c client.Client, o T, change func(T)) (bool, error) {
	return patched(o, change, func(p client.Patch) error {
		return c.Status().Patch(ctx, o, p, client.FieldOwner(fieldManager))
	})
}

// patchMeta does the same for labels, annotations and finalizers.
func patchMeta[T client.Object](ctx context.Context, c client.Client, o T, change func(T)) error {
	_, err := patched(o, change, func(p client.Patch) error {
		return c.Patch(ctx, o, p, client.FieldOwner(fieldManager))
	})
	return err
}

// event tells people what the manager did. The note names the object and, if
// something is wrong, the next step.
func (b *base) event(regarding, related runtime.Object, warn bool, reason, action, note string, args ...any) {
	kind := corev1.EventTypeNormal
	if warn {
		kind = corev1.EventTypeWarning
	}
	b.events.Eventf(regarding, related, kind, reason, action, note, args...)
}
