//go:build e2e

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"slices"
	"testing"
	"time"

	"github.com/understudy-dev/understudy/test/scene"
)

// TestWithoutManager: no failover needs the manager.
func TestWithoutManager(t *testing.T) {
	namespace := stage(t)
	q := quickstart(t, namespace)
	must(t, cluster.ScaleManager(t.Context(), 0))
	event, err := q.KillOnce(t.Context())
	must(t, err)
	t.Log(event.Did, event.Client)
	event, err = q.KillBeyondThreshold(t.Context())
	must(t, err)
	t.Log(event.Did, event.Client)
	cut, err := q.CutOwner(t.Context())
	if cut.Lease != nil {
		defer cut.Lease.Stop()
	}
	must(t, err)
	t.Log(cut.Did, cut.Client)
	event, err = q.Heal(t.Context(), cut)
	must(t, err)
	t.Log(event.Did)
}

// TestThirdInLine: owner and next in line are lost while the manager is away.
func TestThirdInLine(t *testing.T) {
	namespace := stage(t)
	g, err := cluster.Play(t.Context(), namespace, "three", 3, scene.Run("hello", "/hello"))
	must(t, err)
	must(t, g.WaitReady(t.Context(), 3*time.Minute))
	o := ok(g.Get(t.Context()))(t)
	owner := *o.Status.Owner
	var line []string
	if o.Status.Succession != nil {
		for _, s := range o.Status.Succession.Line {
			if s.PodUID != owner.PodUID {
				line = append(line, s.PodName)
			}
		}
	}
	if len(line) != 2 {
		t.Fatalf("the line without the owner is %v, want two hosts: %+v", line, o.Status.Succession)
	}
	must(t, cluster.ScaleManager(t.Context(), 0))
	next := ok(g.Pod(t.Context(), line[0]))(t)
	log := ok(g.FollowLease(t.Context()))(t)
	defer log.Stop()
	before := ok(g.Mark(t.Context()))(t)
	must(t, cluster.Local.Kill(t.Context(), next.Spec.NodeName))
	must(t, cluster.Local.Kill(t.Context(), owner.NodeName))

	entry, err := g.WaitEntry(t.Context(), before, time.Minute)
	must(t, err)
	t.Log(scene.DescribeEntry(entry))
	if entry.Kind != scene.KindFailover || entry.FromPodName != owner.PodName || entry.ToPodName != line[1] {
		t.Errorf("%s; want a failover from %s to %s", scene.DescribeEntry(entry), owner.PodName, line[1])
	}
	must(t, scene.NotBefore(log, owner.Epoch, entry))

	// Both come back: nothing changes, and nobody but the owner runs anything.
	must(t, cluster.Local.Start(t.Context(), owner.NodeName))
	must(t, cluster.Local.Start(t.Context(), next.Spec.NodeName))
	must(t, cluster.ScaleManager(t.Context(), 2))
	must(t, g.WaitReady(t.Context(), 3*time.Minute))
	if epochs := ok(log.Epochs())(t); !slices.Equal(epochs, []int64{owner.Epoch, entry.Epoch}) {
		t.Errorf("the lease was held in epochs %v, want %d and %d", epochs, owner.Epoch, entry.Epoch)
	}
	oneRuns(t, g, hello, entry.ToPodName)
}

// oneRuns fails unless a program runs in one host of a group, once.
func oneRuns(t *testing.T, g scene.Group, program scene.Program, pod string) {
	t.Helper()
	for _, c := range ok(g.Containers(t.Context(), scene.ActorContainer))(t) {
		want := 0
		if c.Name() == pod+"/"+scene.ActorContainer {
			want = 1
		}
		if pids := ok(c.Find(program))(t); len(pids) != want {
			t.Errorf("%s has %d processes %s, want %d", c.Name(), len(pids), program, want)
		}
	}
}
