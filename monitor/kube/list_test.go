// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"encoding/json"
	"net/http"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/understudy-dev/understudy/api/v1alpha1"
)

// Shows: ResourceCallbackEx.
func TestListTypeAsksOnceASecond(t *testing.T) {
	var selector string
	fail := true
	s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		if fail {
			refuse(w, http.StatusForbidden)
			return
		}
		selector = r.URL.Query().Get("fieldSelector")
		list := v1alpha1.ClusterResourceList{Items: []v1alpha1.ClusterResource{{}}}
		list.Items[0].Name = "a"
		list.TypeMeta = metav1.TypeMeta{Kind: "ClusterResourceList", APIVersion: v1alpha1.GroupVersion.String()}
		_ = json.NewEncoder(w).Encode(list)
	})
	c, _ := s.client(t)
	if _, err := c.ListType(t.Context(), "Disk"); err == nil {
		t.Error("a refusal is no answer")
	}
	fail = false
	before := s.requests.Load()
	for range 100 {
		list, err := c.ListType(t.Context(), "Disk")
		if err != nil || len(list) != 1 || list[0].Name != "a" {
			t.Fatalf("%v %v", list, err)
		}
	}
	// A machine that is slow may need more than a second for a hundred.
	if n := s.requests.Load() - before; n > 10 || selector != "spec.typeName=disk" {
		t.Errorf("%d requests, by %q", n, selector)
	}
}
