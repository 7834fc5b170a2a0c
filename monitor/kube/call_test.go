// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/core"
)

// That nobody claimed a call is stored only if nobody else did, whoever that is.
func TestUnclaimedOutcome(t *testing.T) {
	for name, test := range map[string]struct {
		owner   *v1alpha1.ControlCallOwner
		outcome core.WriteOutcome
	}{
		"nobody has":     {nil, core.WriteDone},
		"the writer has": {&v1alpha1.ControlCallOwner{Epoch: 7, PodUID: "uid-p"}, core.WriteDone},
		"another has":    {&v1alpha1.ControlCallOwner{Epoch: 6, PodUID: "uid-z"}, core.WriteSuperseded},
	} {
		s := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
			k := v1alpha1.ControlCall{ObjectMeta: metav1.ObjectMeta{Name: "k", UID: "u"}}
			k.Status.Owner = test.owner
			_ = json.NewEncoder(w).Encode(k)
		})
		c, inputs := s.client(t)
		c.Write(t.Context(), core.Write{Key: "call/k", Call: &core.CallDocument{
			Name: "k", UID: "u", Owner: v1alpha1.ControlCallOwner{Epoch: 7, PodUID: "uid-p"}, Unclaimed: true,
			Finish: &core.CallFinish{Reason: v1alpha1.ReasonNotStarted, Time: time.Unix(1, 0)},
		}})
		if in := <-inputs; in.Written.Outcome != test.outcome {
			t.Errorf("%s: %+v", name, in.Written)
		}
	}
}

// The time to claim a call counts from its creation.
func TestStartBy(t *testing.T) {
	k := &v1alpha1.ControlCall{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.Unix(1000, 0)}}
	if in := callInput(k); !in.StartBy.IsZero() {
		t.Error(in.StartBy)
	}
	k.Spec.StartingDeadlineSeconds = new(int32(60))
	if in := callInput(k); !in.StartBy.Equal(time.Unix(1060, 0)) {
		t.Error(in.StartBy)
	}
}
