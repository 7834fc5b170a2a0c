//go:build e2e

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"testing"
	"time"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/internal/testprovider/caller"
	"github.com/understudy-dev/understudy/test/scene"
)

// TestQuorumLost: a quorum resource is arbitrated before it is online; when its provider
// says that control is lost, the other host takes over, and no failure is counted.
//
// Shows: Arbitrate, QuorumResourceLost.
func TestQuorumLost(t *testing.T) {
	callerType(t, func(s *understudyv1alpha1.ResourceTypeSpec) { s.Quorum = &understudyv1alpha1.QuorumArbitration{} })
	g, err := cluster.Play(t.Context(), stage(t), "quorum", 2,
		scene.Actor{Name: callerName, Type: callerName, Properties: map[string]any{}})
	must(t, err)
	must(t, g.WaitReady(t.Context(), 3*time.Minute))
	arbitrated := []string{"-n", g.Namespace, "get", "cres", callerName, "-o",
		`jsonpath={.status.conditions[?(@.type=="` + understudyv1alpha1.ConditionArbitrated + `")].status}`}
	shows(t, "True", arbitrated...)
	before := ok(g.Owner(t.Context()))(t)
	mark := ok(g.Mark(t.Context()))(t)
	// Later: it is terminated for it, and its calls with it.
	callback(t, g, caller.Ask{Method: "QuorumResourceLost", Request: json.RawMessage(`{}`), Later: 300})
	e, err := g.WaitEntry(t.Context(), mark, time.Minute)
	must(t, err)
	if e.FromPodName != before.PodName || e.ToPodName == before.PodName || e.Kind != scene.KindFailover {
		t.Errorf("%s; want a failover away from %s", scene.DescribeEntry(e), before.PodName)
	}
	must(t, g.WaitReady(t.Context(), time.Minute))
	shows(t, "True", arbitrated...)
	after := ok(g.Resource(t.Context(), callerName))(t).Status.Owner
	if after.FailuresInPeriod != 0 || after.PodName == before.PodName || after.Epoch <= before.Epoch {
		t.Errorf("on %s under epoch %d with %d failures", after.PodName, after.Epoch, after.FailuresInPeriod)
	}
}
