// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"encoding/json"
	"net/http"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/core"
)

// A new owner that has not seen the last words of the one before would forget them.
func TestFirstWordOfAnOwner(t *testing.T) {
	for name, test := range map[string]struct {
		owner   *v1alpha1.GroupOwnerStatus
		seen    string
		outcome core.WriteOutcome
	}{
		"there was none":        {nil, "6", core.WriteDone},
		"its own, any version":  {&v1alpha1.GroupOwnerStatus{Epoch: 7}, "6", core.WriteDone},
		"another's, seen":       {&v1alpha1.GroupOwnerStatus{Epoch: 6}, "8", core.WriteDone},
		"another's, not seen":   {&v1alpha1.GroupOwnerStatus{Epoch: 6}, "6", core.WriteStale},
		"another's, at a start": {&v1alpha1.GroupOwnerStatus{Epoch: 6}, "", core.WriteStale},
		"a later one's":         {&v1alpha1.GroupOwnerStatus{Epoch: 8}, "8", core.WriteSuperseded},
	} {
		t.Run(name, func(t *testing.T) {
			g := &v1alpha1.ResourceGroup{ObjectMeta: metav1.ObjectMeta{Name: "g", UID: "u", ResourceVersion: "8"}}
			g.Status.Owner = test.owner
			s := newServer(t, func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(g) })
			c, inputs := s.client(t)
			c.objects.setGroup(g)
			c.Write(t.Context(), core.Write{Key: "group", Group: &core.GroupDocument{
				UID: "u", Seen: test.seen, Owner: v1alpha1.GroupOwnerStatus{Epoch: 7, PodUID: "uid-p"},
			}})
			if in := <-inputs; in.Written.Outcome != test.outcome {
				t.Errorf("%+v", in.Written)
			}
			if sent := s.requests.Load() > 0; sent != (test.outcome == core.WriteDone) {
				t.Errorf("a request was sent: %v", sent)
			}
		})
	}
}
