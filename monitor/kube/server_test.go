// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/understudy-dev/understudy/monitor/core"
)

// server stands for an API server that misbehaves as the real one cannot be made to.
type server struct {
	url      string
	requests atomic.Int64
}

func newServer(t *testing.T, answer http.HandlerFunc) *server {
	t.Helper()
	s := &server{}
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		w.Header().Set("Content-Type", "application/json")
		answer(w, r)
	}))
	t.Cleanup(h.Close)
	s.url = h.URL
	return s
}

// client is one of group g, and what it says.
func (s *server) client(t *testing.T) (*Client, <-chan core.Input) {
	t.Helper()
	inputs := make(chan core.Input, 100)
	c, err := New(Config{
		REST: &rest.Config{Host: s.url}, Namespace: "n", Group: "g", PodName: "p",
		Sink: func(in core.Input) { inputs <- in },
	})
	if err != nil {
		t.Fatal(err)
	}
	return c, inputs
}

func refuse(w http.ResponseWriter, code int) {
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Code: int32(code),
	})
}
