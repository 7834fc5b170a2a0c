//go:build e2e

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/understudy-dev/understudy/test/scene"
)

// deletionWithin is how long the deletion of a namespace with a group online may take.
const deletionWithin = time.Minute

// deleteNamespace deletes a namespace and waits until it is gone.
func deleteNamespace(t *testing.T, name string) {
	t.Helper()
	n := &corev1.Namespace{}
	n.Name = name
	began := time.Now()
	must(t, cluster.Client.Delete(t.Context(), n))
	must(t, cluster.Wait(t.Context(), "the end of the namespace", deletionWithin,
		func(ctx context.Context) (bool, string, error) {
			err := cluster.Client.Get(ctx, client.ObjectKeyFromObject(n), n)
			seen := []string{}
			for _, c := range n.Status.Conditions {
				seen = append(seen, string(c.Type)+"="+string(c.Status)+" "+c.Message)
			}
			return apierrors.IsNotFound(err), strings.Join(seen, "; "), client.IgnoreNotFound(err)
		}))
	t.Logf("the namespace was gone after %.1f s", time.Since(began).Seconds())
}

// TestNamespaceDeletion: everything stops in order and the stop is proven before the
// Lease goes, although the pods are deleted first.
func TestNamespaceDeletion(t *testing.T) {
	namespace := stage(t)
	g, err := cluster.ApplyQuickstart(t.Context(), namespace)
	must(t, err)
	must(t, g.WaitReady(t.Context(), 3*time.Minute))
	epoch := ok(g.Owner(t.Context()))(t).Epoch
	containers := ok(g.Containers(t.Context(), scene.RedisContainer))(t)
	owner := ok(g.OwnerContainer(t.Context(), scene.RedisContainer))(t)
	log := ok(g.FollowLease(t.Context()))(t)
	defer log.Stop()
	order := watchOrder(t, owner, containers)

	deleteNamespace(t, namespace)

	last := ok(log.Last(nil))(t)
	if !last.Record.Free() || last.Record.Epoch != epoch {
		t.Errorf("the Lease went as %+v; want it released in epoch %d", last.Record, epoch)
	}
	if seen := order.dependentFirst(t); seen.After(last.Seen) {
		t.Errorf("redis was seen at %s, after the Lease was released", seen)
	}
}

// TestNamespaceDeletionWithDeadNode: the pod of the dead node, which no kubelet ends,
// keeps nothing from going once the lease has run out. Nor does a program that may
// take minutes to stop.
func TestNamespaceDeletionWithDeadNode(t *testing.T) {
	namespace := stage(t)
	g, err := cluster.Play(t.Context(), namespace, "lost", 2, scene.Run("hello", "/hello"))
	must(t, err)
	must(t, g.WaitReady(t.Context(), 3*time.Minute))
	owner := ok(g.Owner(t.Context()))(t)
	var rest []scene.Container
	for _, c := range ok(g.Containers(t.Context(), scene.ActorContainer))(t) {
		if !strings.HasPrefix(c.Name(), owner.PodName+"/") {
			rest = append(rest, c)
		}
	}
	watch := scene.Rivals{Program: hello, Containers: rest}.Watch(t.Context())
	log := ok(g.FollowLease(t.Context()))(t)
	defer log.Stop()
	must(t, cluster.Local.Kill(t.Context(), owner.NodeName))

	deleteNamespace(t, namespace)

	last := ok(log.Last(nil))(t)
	end, err := scene.LeaseEnd(log, owner.Epoch)
	must(t, err)
	for _, s := range ok(watch.Stop())(t) {
		if s.First.Before(end) {
			t.Errorf("%+v was seen before the lease of the dead owner had run out at %s", s, end)
		}
	}
	if last.Seen.Before(end) {
		t.Errorf("the Lease went at %s, before it had run out at %s", last.Seen, end)
	}
}
