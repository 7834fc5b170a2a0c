//go:build e2e

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"testing"
	"time"

	"github.com/understudy-dev/understudy/test/scene"
)

// TestForeignImageHandsOver: the same for an image that was not made for it, with
// another signal to stop it than SIGTERM, without a shell, with a root file system that
// cannot be written to.
func TestForeignImageHandsOver(t *testing.T) {
	g, err := cluster.Play(t.Context(), stage(t), "foreign", 2, scene.Run("hello", "/hello"))
	must(t, err)
	must(t, g.WaitReady(t.Context(), 3*time.Minute))
	owner := ok(g.Owner(t.Context()))(t)
	rivals := scene.Rivals{
		Program: hello, Containers: ok(g.Containers(t.Context(), scene.ActorContainer))(t),
	}.Watch(t.Context())
	before := ok(g.Mark(t.Context()))(t)
	_, err = cluster.Kubectl(t.Context(), "delete", "pod", owner.PodName, "-n", g.Namespace, "--wait=false")
	must(t, err)
	entry, err := g.WaitEntry(t.Context(), before, time.Minute)
	must(t, err)
	if entry.Kind != scene.KindMove || entry.OfflineTime == nil {
		t.Errorf("%s, offline %v; want a move from an owner that was proven offline", scene.DescribeEntry(entry), entry.OfflineTime)
	}
	if seen, err := rivals.Stop(); err != nil || len(seen) != 2 {
		t.Errorf("processes: %+v, %v; want one on each host, one after the other", seen, err)
	}
}

// TestDeletedOwnerHandsOver: `kubectl delete pod` of the owner moves the group in
// order, without waiting for the lease to run out.
func TestDeletedOwnerHandsOver(t *testing.T) {
	q := quickstart(t, stage(t))
	must(t, q.Settled(t.Context()))
	owner := ok(q.Owner(t.Context()))(t)
	standby, _, err := q.Standby(t.Context())
	must(t, err)
	old := ok(q.OwnerContainer(t.Context(), scene.RedisContainer))(t)
	order := watchOrder(t, old, []scene.Container{old})
	before := ok(q.Mark(t.Context()))(t)
	began := time.Now()
	_, err = cluster.Kubectl(t.Context(), "delete", "pod", owner.PodName, "-n", q.Namespace, "--wait=false")
	must(t, err)
	entry, err := q.WaitEntry(t.Context(), before, time.Minute)
	must(t, err)
	must(t, q.Client.WaitUp(t.Context(), scene.Ended(entry).Add(2*scene.Tolerance), 30*time.Second))
	outage := q.Client.Outage(began)
	t.Logf("%s; the client missed %s", scene.DescribeEntry(entry), outage)

	if entry.Kind != scene.KindMove || entry.FromPodName != owner.PodName || entry.ToPodName != standby {
		t.Errorf("%s; want a move from %s to %s", scene.DescribeEntry(entry), owner.PodName, standby)
	}
	if entry.OfflineTime == nil {
		t.Error("the timeline does not say when the old owner was proven offline")
	}
	order.dependentFirst(t)
	// Another pod stands by in its place.
	must(t, q.WaitReady(t.Context(), 2*time.Minute))
	if now := ok(q.Owner(t.Context()))(t); now.PodName != standby {
		t.Errorf("the owner is %s, want %s", now.PodName, standby)
	}
}

// stopOrder watches the two programs of the quickstart end, by one watch: what two see
// does not compare.
type stopOrder struct {
	watch         *scene.Sightings
	redis, depend int
}

// watchOrder watches those of the owner, and all containers for any that start besides.
func watchOrder(t *testing.T, owner scene.Container, all []scene.Container) *stopOrder {
	t.Helper()
	replica := scene.Program{Command: scene.Redis.Command, Argument: ":6380"}
	return &stopOrder{
		redis: ok(owner.One(scene.Redis))(t), depend: ok(owner.One(replica))(t),
		watch: scene.Rivals{Program: scene.Program{Command: scene.Redis.Command}, Containers: all}.Watch(t.Context()),
	}
}

// dependentFirst ends the watch; it returns when redis was seen last.
func (o *stopOrder) dependentFirst(t *testing.T) time.Time {
	t.Helper()
	last := map[int]time.Time{}
	for _, s := range ok(o.watch.Stop())(t) {
		last[s.PID] = s.Last
	}
	if len(last) != 2 || last[o.depend].After(last[o.redis]) {
		t.Errorf("the replica, process %d, and redis, process %d, were last seen at %v: want the replica to end first",
			o.depend, o.redis, last)
	}
	return last[o.redis]
}
