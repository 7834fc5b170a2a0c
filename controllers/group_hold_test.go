// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// oneAnswer is a reader that says the same of every object.
type oneAnswer struct {
	client.Reader
	deleted *metav1.Time
	err     error
}

func (a oneAnswer) Get(_ context.Context, _ client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	o.SetDeletionTimestamp(a.deleted)
	return a.err
}

// A namespace that the cache does not know yet must not take its groups with it.
func TestTerminating(t *testing.T) {
	unknown := apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "n")
	for name, test := range map[string]struct {
		answer oneAnswer
		ends   bool
		fails  bool
	}{
		"alive":       {},
		"deleted":     {answer: oneAnswer{deleted: ptr.To(metav1.Now())}, ends: true},
		"unknown yet": {answer: oneAnswer{err: unknown}},
		"no answer":   {answer: oneAnswer{err: errors.New("down")}, fails: true},
	} {
		ends, err := terminating(t.Context(), test.answer, "n")
		if ends != test.ends || (err != nil) != test.fails {
			t.Errorf("%s: %v, %v", name, ends, err)
		}
	}
}
