//go:build e2e

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/understudy-dev/understudy/test/scene"
)

// The programs that do not go when asked: one ignores every signal that can be
// ignored; the other leaves a child in a session of its own that does so, too.
var (
	stubborn = scene.Program{Command: "stubborn"}
	leftover = scene.Program{Command: "daemon", Argument: "--step 2"}
	provider = scene.Program{Command: "provider", Argument: "application"}
)

// TestStubbornProgramsEndWithTheLease: on an owner that is cut off, all is dead before
// the lease has run out, whatever it does against it.
func TestStubbornProgramsEndWithTheLease(t *testing.T) {
	t.Run("Programs", func(t *testing.T) { cutStubborn(t, func(scene.Container) {}) })
	t.Run("ProviderHangs", func(t *testing.T) {
		cutStubborn(t, func(c scene.Container) {
			for _, pid := range ok(c.Find(provider))(t) {
				must(t, scene.Signal(pid, syscall.SIGSTOP))
			}
		})
	})
}

// cutStubborn cuts the owner of such a group off and makes it worse.
func cutStubborn(t *testing.T, worsen func(scene.Container)) {
	namespace := stage(t)
	g, err := cluster.Play(t.Context(), namespace, "stubborn", 2,
		scene.Run("stubborn", "/stubborn"), scene.Run("daemon", "/daemon", "--lock", "/tmp/lock"))
	must(t, err)
	must(t, g.WaitReady(t.Context(), 3*time.Minute))
	owner := ok(g.Owner(t.Context()))(t)
	containers := ok(g.Containers(t.Context(), scene.ActorContainer))(t)
	old := ok(g.OwnerContainer(t.Context(), scene.ActorContainer))(t)
	monitor := ok(g.OwnerContainer(t.Context(), monitorContainer))(t)
	monitorPID := ok(monitor.One(monitorProgram))(t)
	ok(old.One(stubborn))(t)
	ok(old.One(leftover))(t)

	log := ok(g.FollowLease(t.Context()))(t)
	defer log.Stop()
	watches := map[scene.Program]*scene.Sightings{}
	for _, p := range []scene.Program{stubborn, leftover} {
		watches[p] = scene.Rivals{Program: p, Containers: containers}.Watch(t.Context())
	}
	before := ok(g.Mark(t.Context()))(t)
	must(t, cluster.Local.Partition(t.Context(), owner.NodeName))
	worsen(old)
	entry, err := g.WaitEntry(t.Context(), before, time.Minute)
	must(t, err)
	must(t, scene.NotBefore(log, owner.Epoch, entry))

	end, err := scene.LeaseEnd(log, owner.Epoch)
	must(t, err)
	for program, watch := range watches {
		seen, err := watch.Stop()
		if err != nil {
			t.Error(err)
		}
		i := slices.IndexFunc(seen, func(s scene.Sighting) bool { return s.Container == old.Name() })
		if i < 0 || len(seen) != 2 {
			t.Fatalf("%s was seen as %+v, want once on each host", program, seen)
		}
		if seen[i].Last.After(end) {
			t.Errorf("%s lived on the old owner until %s, longer than the lease: %s", program, seen[i].Last, end)
		}
		t.Logf("%s ended %s before the lease did", program, end.Sub(seen[i].Last))
	}
	// The cut itself ended nothing: the monitor goes on.
	if now := ok(monitor.One(monitorProgram))(t); now != monitorPID {
		t.Errorf("the monitor of the old owner is process %d, it was %d", now, monitorPID)
	}
	must(t, cluster.Local.Heal(t.Context(), owner.NodeName))
	must(t, g.WaitReady(t.Context(), 3*time.Minute))
	oneRuns(t, g, stubborn, entry.ToPodName)
	oneRuns(t, g, leftover, entry.ToPodName)
}
