//go:build e2e

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/understudy-dev/understudy/test/scene"
)

// TestUninstallLeavesGroupsRunning: the client misses nothing when the chart goes and
// when it comes back; between, the group restarts and fails over by itself. The manager
// that comes back takes it up as it is.
func TestUninstallLeavesGroupsRunning(t *testing.T) {
	namespace := stage(t)
	t.Cleanup(func() { // before what the stage does
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		if err := cluster.Install(ctx); err != nil {
			t.Error(err)
		}
	})
	q := quickstart(t, namespace)
	began := time.Now()
	must(t, cluster.Uninstall(t.Context()))
	must(t, q.Client.WaitUp(t.Context(), time.Now(), 30*time.Second))
	must(t, q.Client.MissedNothing(began))
	for _, one := range []func(context.Context) (scene.Event, error){q.KillOnce, q.KillBeyondThreshold} {
		event, err := one(t.Context())
		_, err = scene.Disagreements(err) // the machine may be busy; this is not about times
		must(t, err)
		t.Log(event.Did, event.Client)
	}

	must(t, q.Settled(t.Context()))
	before, pods, plans := ok(q.Get(t.Context()))(t), podUIDs(t, q.Group), revisions(t, q.Group)
	began = time.Now()
	must(t, cluster.Install(t.Context()))
	// Only a manager that plans again takes this.
	threshold := `{"spec":{"failoverThreshold":19}}`
	must(t, cluster.Client.Patch(t.Context(), ok(q.Get(t.Context()))(t), client.RawPatch(types.MergePatchType, []byte(threshold))))
	must(t, q.Wait(t.Context(), "the new plan", time.Minute, func(ctx context.Context) (bool, string, error) {
		o, err := q.Get(ctx)
		if err != nil || o.Status.Owner == nil {
			return false, "no owner", err
		}
		return o.Status.PlanRevision != before.Status.PlanRevision && o.Status.Owner.PlanRevision == o.Status.PlanRevision,
			o.Status.PlanRevision, nil
	}))
	must(t, q.Settled(t.Context()))
	must(t, q.Client.MissedNothing(began))
	after := ok(q.Get(t.Context()))(t)
	if after.Status.Owner.Epoch != before.Status.Owner.Epoch {
		t.Errorf("the epoch is %d, it was %d", after.Status.Owner.Epoch, before.Status.Owner.Epoch)
	}
	if now := revisions(t, q.Group); now != plans+1 {
		t.Errorf("there are %d revisions, there were %d: want the one plan that was asked for", now, plans)
	}
	if now := podUIDs(t, q.Group); !slices.Equal(now, pods) {
		t.Errorf("the pods are %v, they were %v", now, pods)
	}
}

// revisions counts the plans and host templates that the group has.
func revisions(t *testing.T, g scene.Group) int {
	t.Helper()
	list := &appsv1.ControllerRevisionList{}
	must(t, cluster.Client.List(t.Context(), list, client.InNamespace(g.Namespace)))
	return len(list.Items)
}

func podUIDs(t *testing.T, g scene.Group) []string {
	t.Helper()
	var uids []string
	for _, p := range ok(g.Pods(t.Context()))(t) {
		uids = append(uids, string(p.UID))
	}
	slices.Sort(uids)
	return uids
}
