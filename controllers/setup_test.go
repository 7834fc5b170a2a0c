// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/runtime"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

// What calls are given and return is not kept in memory: only the manager deletes them, and
// if it could not hold them all nobody would.
func TestCachedCallsAreSmall(t *testing.T) {
	g := NewWithT(t)
	call := &understudyv1alpha1.ControlCall{
		Spec: understudyv1alpha1.ControlCallSpec{
			Code: "SHOW", Input: &runtime.RawExtension{Raw: []byte(`{}`)}, InputBytes: []byte("in"),
		},
		Status: understudyv1alpha1.ControlCallStatus{Output: "out", StatusName: "ERROR_SUCCESS"},
	}
	found := false
	for kind, options := range CacheOptions().ByObject {
		if _, ok := kind.(*understudyv1alpha1.ControlCall); ok {
			found = true
			_, err := options.Transform(call)
			g.Expect(err).NotTo(HaveOccurred())
		}
	}
	g.Expect(found).To(BeTrue())
	g.Expect(call).To(Equal(&understudyv1alpha1.ControlCall{
		Spec:   understudyv1alpha1.ControlCallSpec{Code: "SHOW"},
		Status: understudyv1alpha1.ControlCallStatus{StatusName: "ERROR_SUCCESS"},
	}))
}
