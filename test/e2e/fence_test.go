//go:build e2e

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/test/scene"
)

// TestLateWritesOfTheOldOwnerAreRefused: what the owner wrote is written again, with
// its own token, once another host has the group, whether it let it go or was lost.
func TestLateWritesOfTheOldOwnerAreRefused(t *testing.T) {
	t.Run("AfterMove", func(t *testing.T) { lateWrites(t, (*scene.Quickstart).Move) })
	t.Run("AfterCut", func(t *testing.T) {
		lateWrites(t, func(q *scene.Quickstart, ctx context.Context) (scene.Event, error) {
			cut, err := q.CutOwner(ctx)
			if cut.Lease != nil {
				cut.Lease.Stop()
			}
			return cut.Event, err
		})
	})
}

func lateWrites(t *testing.T, change func(*scene.Quickstart, context.Context) (scene.Event, error)) {
	q := quickstart(t, stage(t))
	must(t, q.Settled(t.Context()))
	before := ok(q.Owner(t.Context()))(t)
	as := ok(q.AsMonitor(t.Context(), before.PodName))(t)

	// Captured: all that the owner has written.
	group := ok(q.Get(t.Context()))(t)
	resource := ok(q.Resource(t.Context(), scene.MainResource))(t)
	lease := ok(q.Lease(t.Context()))(t)
	slices := &discoveryv1.EndpointSliceList{}
	must(t, cluster.Client.List(t.Context(), slices, client.InNamespace(q.Namespace),
		client.MatchingLabels{discoveryv1.LabelServiceName: q.Name}))
	if len(slices.Items) != 1 || len(slices.Items[0].Endpoints) != 1 {
		t.Fatalf("the Service has %+v, want one slice with one endpoint", slices.Items)
	}
	slice := &slices.Items[0]

	// Replayed as long as it is the owner, its writes are accepted: the test can fail.
	must(t, replayStatus(t, as, group, group.Status.Owner))
	event, err := change(q, t.Context())
	_, err = scene.Disagreements(err) // not the matter here
	must(t, err)
	t.Log(event.Did)
	must(t, q.Client.WaitUp(t.Context(), time.Now(), 30*time.Second))
	served := time.Now()

	for what, err := range map[string]error{
		"the status of the group":    replayStatus(t, as, group, group.Status.Owner),
		"the status of the resource": replayStatus(t, as, resource, resource.Status.Owner),
	} {
		if !apierrors.IsInvalid(err) && !apierrors.IsForbidden(err) {
			t.Errorf("a late write of %s: %v, want it refused", what, err)
		} else {
			t.Logf("%s: %v", what, err)
		}
	}
	// With the epoch of the new owner, it is the wrong pod.
	forged := *group.Status.Owner.DeepCopy()
	forged.Epoch = event.Entry.Epoch
	if err := replayStatus(t, as, group, &forged); !apierrors.IsInvalid(err) && !apierrors.IsForbidden(err) {
		t.Errorf("the status of the group, with the epoch of the new owner: %v, want it refused", err)
	}
	stale := slice.DeepCopy()
	stale.ResourceVersion = ""
	text := ok(json.Marshal(map[string]any{
		"metadata": map[string]any{"annotations": stale.Annotations}, "endpoints": stale.Endpoints,
	}))(t)
	if err := as.Patch(t.Context(), stale, client.RawPatch("application/merge-patch+json", text)); err == nil {
		t.Error("a late write of the endpoint was accepted")
	} else {
		t.Logf("the endpoint: %v", err)
	}
	if err := as.Update(t.Context(), lease); !apierrors.IsConflict(err) {
		t.Errorf("a late renewal of the lease: %v, want a conflict", err)
	}
	must(t, q.Client.WaitUp(t.Context(), time.Now(), 30*time.Second))
	if err := q.Client.MissedNothing(served); err != nil {
		t.Errorf("late writes were felt: %v", err)
	}
}

// replayStatus writes what an owner wrote.
func replayStatus(t *testing.T, as client.Client, o client.Object, owner any) error {
	t.Helper()
	text := ok(json.Marshal(map[string]any{"status": map[string]any{"owner": owner}}))(t)
	var late client.Object = &understudyv1alpha1.ResourceGroup{}
	if _, isResource := o.(*understudyv1alpha1.ClusterResource); isResource {
		late = &understudyv1alpha1.ClusterResource{}
	}
	late.SetNamespace(o.GetNamespace())
	late.SetName(o.GetName())
	return as.Status().Patch(t.Context(), late, client.RawPatch("application/merge-patch+json", text))
}
