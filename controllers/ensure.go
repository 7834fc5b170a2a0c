// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

// annotationApplied is the hash of what was applied last: it shows the fields
// that are no longer wanted, which a comparison with the object cannot.
const annotationApplied = understudyv1alpha1.GroupName + "/applied"

// takenError says that an object that we need belongs to somebody else.
type takenError struct {
	kind, name string
	// by is the group to which it belongs; empty if it is none's.
	by string
}

func (e *takenError) Error() string {
	if e.by != "" {
		return fmt.Sprintf("the %s %q belongs to the ResourceGroup %q: name another one in spec.service.name",
			e.kind, e.name, e.by)
	}
	return fmt.Sprintf("the %s %q exists and is not Understudy's: delete it or choose another name for the group",
		e.kind, e.name)
}

// ensure applies an object of which every field is ours, if it differs. known is
// an empty object of its type. An object that lacks our label is left alone.
func (b *base) ensure(ctx context.Context, known client.Object, desired runtime.ApplyConfiguration) error {
	want, err := toUnstructured(desired)
	if err != nil {
		return err
	}
	key := client.ObjectKey{Namespace: want.GetNamespace(), Name: want.GetName()}
	err = b.findOwn(ctx, key, want.GetKind(), known)
	if client.IgnoreNotFound(err) != nil {
		return err
	}
	switch {
	case err != nil:
	case !known.GetDeletionTimestamp().IsZero():
		if gone, err := b.letGoChild(ctx, known); !gone {
			return err
		}
	default:
		have, convErr := runtime.DefaultUnstructuredConverter.ToUnstructured(known)
		if convErr != nil {
			return fmt.Errorf("reading %s %s: %w", want.GetKind(), key, convErr)
		}
		delete(want.Object, "kind") // a typed object of the cache has none
		delete(want.Object, "apiVersion")
		same := covers(have, want.Object)
		if same {
			return nil
		}
		if want, err = toUnstructured(desired); err != nil {
			return err
		}
	}
	if err := b.Apply(ctx, client.ApplyConfigurationFromUnstructured(want),
		client.FieldOwner(fieldManager), client.ForceOwnership); err != nil {
		return fmt.Errorf("applying %s %s: %w", want.GetKind(), key, err)
	}
	return nil
}

// findOwn reads an object of ours. One that lacks our label is somebody else's.
func (b *base) findOwn(ctx context.Context, key client.ObjectKey, kind string, known client.Object) error {
	err := b.Get(ctx, key, known)
	if apierrors.IsNotFound(err) {
		// The cache knows only what has our label: ask the API server.
		if err = b.live.Get(ctx, key, known); err == nil &&
			known.GetLabels()[understudyv1alpha1.LabelManagedBy] != understudyv1alpha1.ManagedBy {
			return &takenError{kind: kind, name: key.Name}
		}
	}
	if err != nil {
		return fmt.Errorf("reading %s %s: %w", kind, key, err)
	}
	return nil
}

// toUnstructured adds the hash of what is applied.
func toUnstructured(desired runtime.ApplyConfiguration) (*unstructured.Unstructured, error) {
	data, err := json.Marshal(desired)
	if err != nil {
		return nil, fmt.Errorf("encoding what is to be applied: %w", err)
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(data); err != nil {
		return nil, fmt.Errorf("decoding what is to be applied: %w", err)
	}
	annotations := u.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	sum := sha256.Sum256(data)
	annotations[annotationApplied] = hex.EncodeToString(sum[:8])
	u.SetAnnotations(annotations)
	return u, nil
}

// covers says that all of want is in have.
func covers(have, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		have, ok := have.(map[string]any)
		if !ok {
			return false
		}
		for k, v := range want {
			if !covers(have[k], v) {
				return false
			}
		}
		return true
	case []any:
		have, ok := have.([]any)
		if !ok || len(have) != len(want) {
			return false
		}
		for i := range want {
			if !covers(have[i], want[i]) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(have, want)
}

// taken finds what keeps us from an object that belongs to somebody else.
func taken(err error) (*takenError, bool) {
	var t *takenError
	ok := errors.As(err, &t)
	return t, ok
}
