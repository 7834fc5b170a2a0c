// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"encoding/json"
	"net/http"
	"strconv"
	"testing"
	"time"

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
	if _, err := c.ListType(t.Context(), "other"); err == nil || s.requests.Load() != 1 {
		t.Errorf("%d requests at once: %v", s.requests.Load(), err)
	}
	fail = false
	c.lists.asked = time.Time{} // a second later
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

// Control calls that are finished may be many, and large: they are read page by page.
func TestListsComeInPages(t *testing.T) {
	const total = 2*listPage + 1
	s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		from, _ := strconv.Atoi(r.URL.Query().Get("continue"))
		limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
		list := v1alpha1.ControlCallList{
			TypeMeta: metav1.TypeMeta{Kind: "ControlCallList", APIVersion: v1alpha1.GroupVersion.String()},
			Items:    make([]v1alpha1.ControlCall, min(limit, total-from)),
		}
		list.ResourceVersion = "7"
		if from+limit < total {
			list.Continue = strconv.Itoa(from + limit)
		}
		_ = json.NewEncoder(w).Encode(list)
	})
	c, _ := s.client(t)
	seen := 0
	version, err := listOnce(t.Context(), c.single(c.kinds, "controlcalls", "k"), &v1alpha1.ControlCallList{},
		func(*v1alpha1.ControlCall) { seen++ }, func() { t.Error("there are some") })
	if n := s.requests.Load(); err != nil || version != "7" || seen != total || n != 3 {
		t.Errorf("saw %d in %d requests, version %s: %v", seen, n, version, err)
	}
}
