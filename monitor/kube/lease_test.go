// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/ownership"
)

// An API server that is busy says so and asks to come again later. Ownership is
// told at once, and decides itself when.
func TestLeaseIsAskedOnce(t *testing.T) {
	for name, code := range map[string]int{"too many requests": 429, "unavailable": 503, "broken": 500} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "1")
				refuse(w, code)
			})
			c, inputs := s.client(t)
			c.leaseBase.put(&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
				Name: "understudy-g", Namespace: "n", UID: "u", ResourceVersion: "5",
			}})
			record := leasev1.Unheld(5, 6*time.Second)
			record.UID, record.ResourceVersion = "u", "5"
			for name, ask := range map[string]func(){
				"get":    func() { c.GetLease(t.Context(), ownership.Get{ID: 1, Quorum: true, Timeout: 4 * time.Second}) },
				"put":    func() { c.PutLease(t.Context(), ownership.Put{Seq: 1, Record: record, Timeout: 4 * time.Second}) },
				"create": func() { c.CreateLease(t.Context(), ownership.Create{Seq: 1, Record: record, Timeout: 4 * time.Second}) },
			} {
				before, began := s.requests.Load(), time.Now()
				go ask()
				in := <-inputs
				if d := time.Since(began); d > 900*time.Millisecond {
					t.Errorf("%s: told after %v", name, d)
				}
				if n := s.requests.Load() - before; n != 1 {
					t.Errorf("%s: %d requests", name, n)
				}
				if in.Wrote != nil && in.Wrote.Outcome != ownership.Unknown || in.Observed != nil && !in.Observed.Failed {
					t.Errorf("%s: %+v %+v", name, in.Wrote, in.Observed)
				}
			}
		})
	}
}

// What others wrote into the Lease stays in each version of it, and one that its owner
// has to create again is as hard to delete as the first.
func TestLeaseKeepsItsMetadata(t *testing.T) {
	sent := make(chan coordinationv1.Lease, 1)
	s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		var lease coordinationv1.Lease
		if err := json.NewDecoder(r.Body).Decode(&lease); err != nil {
			t.Error(err)
		}
		sent <- lease
		refuse(w, http.StatusInternalServerError)
	})
	c, _ := s.client(t)
	deleted := metav1.NewTime(time.Unix(1_000, 0))
	c.leaseBase.put(&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
		Name: "understudy-g", Namespace: "n", UID: "u", ResourceVersion: "5", DeletionTimestamp: &deleted,
		Labels: map[string]string{"team": "shop"}, Finalizers: []string{v1alpha1.Finalizer, "example.com/theirs"},
	}})
	record := leasev1.Unheld(5, 6*time.Second)
	record.UID, record.ResourceVersion = "u", "5"
	c.PutLease(t.Context(), ownership.Put{Seq: 1, Record: record, Timeout: 4 * time.Second})
	put := <-sent
	if put.Labels["team"] != "shop" || len(put.Finalizers) != 2 || !put.DeletionTimestamp.Equal(&deleted) {
		t.Errorf("put as %+v", put.ObjectMeta)
	}
	c.CreateLease(t.Context(), ownership.Create{Seq: 2, Record: leasev1.Unheld(5, 6*time.Second), Timeout: 4 * time.Second})
	created := <-sent
	if created.Labels[v1alpha1.LabelGroup] == "" || !slices.Equal(created.Finalizers, []string{v1alpha1.Finalizer}) {
		t.Errorf("created as %+v", created.ObjectMeta)
	}
}
