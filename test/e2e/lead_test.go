//go:build e2e

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/test/scene"
)

// lead is a group of two hosts that something is about to happen to, and all that must
// be known of it before.
type lead struct {
	scene.Group
	program scene.Program
	owner   understudyv1alpha1.GroupOwnerStatus
	standby string
	pid     int
	mark    scene.Mark
	rivals  *scene.Sightings
}

// watched waits until all is right with a group and remembers how it is.
func watched(t *testing.T, g scene.Group, program scene.Program) *lead {
	t.Helper()
	must(t, g.WaitRight(t.Context(), 3*time.Minute))
	l := &lead{Group: g, program: program, owner: ok(g.Owner(t.Context()))(t), mark: ok(g.Mark(t.Context()))(t)}
	var err error
	l.standby, _, err = g.Standby(t.Context())
	must(t, err)
	l.pid = ok(ok(g.OwnerContainer(t.Context(), scene.ActorContainer))(t).One(program))(t)
	l.rivals = scene.Rivals{
		Program: program, Containers: ok(g.Containers(t.Context(), scene.ActorContainer))(t),
	}.Watch(t.Context())
	return l
}

// interrupted waits for the one interruption that followed and for all to be right
// again. It checks what the statuses tell, and that nothing ran twice.
func (l *lead) interrupted(t *testing.T, kind, cause string) scene.Entry {
	t.Helper()
	entry := ok(l.WaitEntry(t.Context(), l.mark, time.Minute))(t)
	must(t, l.WaitRight(t.Context(), 2*time.Minute))
	t.Logf("%s, %s after it was detected", scene.DescribeEntry(entry), scene.Ended(entry).Sub(entry.DetectedTime.Time))
	after := ok(l.Owner(t.Context()))(t)
	if news := l.mark.News(after.Timeline); len(news) != 1 {
		t.Errorf("the timeline tells of %d interruptions: %+v", len(news), news)
	}
	to := l.owner.PodName
	if kind != scene.KindRestart {
		to = l.standby
	}
	if entry.Kind != kind || entry.Cause != cause || entry.FromPodName != l.owner.PodName || entry.ToPodName != to {
		t.Errorf("%s; want %s (%s) from %s to %s", scene.DescribeEntry(entry), kind, cause, l.owner.PodName, to)
	}
	if (kind == scene.KindRestart) != (after.Epoch == l.owner.Epoch) || entry.Epoch != after.Epoch || after.PodName != to {
		t.Errorf("the owner is %s, epoch %d, it was %s, %d; the timeline says %s",
			after.PodName, after.Epoch, l.owner.PodName, l.owner.Epoch, scene.DescribeEntry(entry))
	}
	if seen, err := l.rivals.Stop(); err != nil || len(seen) != 2 {
		t.Errorf("processes: %+v, %v; want one before and one after", seen, err)
	}
	oneRuns(t, l.Group, l.program, to)
	return entry
}

// untouched checks that all is right and that nothing happened to what runs.
func (l *lead) untouched(t *testing.T) {
	t.Helper()
	must(t, l.WaitRight(t.Context(), 2*time.Minute))
	after := ok(l.Owner(t.Context()))(t)
	if news := l.mark.News(after.Timeline); len(news) > 0 || after.Epoch != l.owner.Epoch || after.PodUID != l.owner.PodUID {
		t.Errorf("the owner is %s, epoch %d, it was %s, %d; the timeline tells of %+v",
			after.PodName, after.Epoch, l.owner.PodName, l.owner.Epoch, news)
	}
	if seen, err := l.rivals.Stop(); err != nil || len(seen) != 1 || seen[0].PID != l.pid {
		t.Errorf("processes: %+v, %v; want %d alone", seen, err, l.pid)
	}
	oneRuns(t, l.Group, l.program, l.owner.PodName)
}

// lastFailure is that of the only resource of the group; empty if it has none.
func (l *lead) lastFailure(t *testing.T) understudyv1alpha1.ResourceFailure {
	t.Helper()
	resources := ok(l.Resources(t.Context()))(t)
	if len(resources) != 1 || resources[0].Status.Owner == nil {
		t.Fatalf("resources: %+v; want one", resources)
	}
	return ptr.Deref(resources[0].Status.Owner.LastFailure, understudyv1alpha1.ResourceFailure{})
}

// restarted waits until every container of a host that was running is another one.
func restarted(t *testing.T, g scene.Group, before *corev1.Pod) {
	t.Helper()
	old := map[string]string{}
	for _, c := range before.Status.ContainerStatuses {
		old[c.Name] = c.ContainerID
	}
	must(t, cluster.Wait(t.Context(), "other containers in "+before.Name, 2*time.Minute,
		func(ctx context.Context) (bool, string, error) {
			pod, err := g.Pod(ctx, before.Name)
			if err != nil {
				return false, "", err
			}
			for _, c := range pod.Status.ContainerStatuses {
				if c.State.Running == nil || c.ContainerID == old[c.Name] {
					return false, fmt.Sprintf("%s is %s", c.Name, c.ContainerID), nil
				}
			}
			return pod.UID == before.UID, "another pod", nil
		}))
}
