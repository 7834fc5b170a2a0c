//go:build e2e

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/test/scene"
)

// TestBadSpecKeepsTheLastPlan: a change that cannot be carried out gets a clear answer
// and changes nothing, not even when the group must start elsewhere.
func TestBadSpecKeepsTheLastPlan(t *testing.T) {
	g, err := cluster.Play(t.Context(), stage(t), "steady", 2, scene.Run("hello", "/hello", "--listen", ":8080"))
	must(t, err)
	must(t, g.WaitReady(t.Context(), 3*time.Minute))
	owner := ok(g.Owner(t.Context()))(t)
	container := ok(g.OwnerContainer(t.Context(), scene.ActorContainer))(t)
	accepted := scene.Program{Command: "hello", Argument: ":8080"}
	pid := ok(container.One(accepted))(t)

	// One field of it is right, and must not come into force by itself.
	resource := ok(g.Resource(t.Context(), "hello"))(t)
	must(t, cluster.Client.Patch(t.Context(), resource, client.RawPatch("application/merge-patch+json", []byte(
		`{"spec":{"properties":{"command":["/hello","--listen",":9090"],"stopGraceMilliseconds":-1}}}`))))
	var answer string
	must(t, cluster.Wait(t.Context(), "an answer to the bad spec", time.Minute, func(ctx context.Context) (bool, string, error) {
		r, err := g.Resource(ctx, "hello")
		condition := apimeta.FindStatusCondition(r.Status.Conditions, understudyv1alpha1.ConditionAccepted)
		if err != nil || condition == nil {
			return false, "no condition", err
		}
		answer = condition.Message
		return condition.Status == "False" && condition.ObservedGeneration == r.Generation, string(condition.Status) + " " + answer, nil
	}))
	t.Logf("the answer: %s", answer)
	if !strings.HasPrefix(answer, "spec.properties.stopGraceMilliseconds: ") || !strings.Contains(answer, "Correct it") {
		t.Errorf("the answer %q does not name the field and the next step", answer)
	}
	if now := ok(container.One(accepted))(t); now != pid {
		t.Errorf("the program is process %d, it was %d", now, pid)
	}

	before := ok(g.Mark(t.Context()))(t)
	must(t, cluster.Local.Kill(t.Context(), owner.NodeName))
	entry, err := g.WaitEntry(t.Context(), before, time.Minute)
	must(t, err)
	after := ok(g.Owner(t.Context()))(t)
	if entry.Kind != scene.KindFailover || after.PlanRevision != owner.PlanRevision {
		t.Errorf("%s runs plan %s, want a failover that runs %s", scene.DescribeEntry(entry), after.PlanRevision, owner.PlanRevision)
	}
	ok(ok(g.OwnerContainer(t.Context(), scene.ActorContainer))(t).One(accepted))(t)
}
