//go:build e2e

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/understudy-dev/understudy/test/scene"
)

// TestQuickstart plays the demonstration: each scene checks how it ended, and that
// what the client saw and what the timeline says agree. Beside it stands a group that
// nothing happens to.
//
// The demonstration itself forgives nothing. Here, on a machine that may be doing
// something else as well, one scene may be felt late by the client, by less than a
// second: a timeline that is wrong is so in every scene.
func TestQuickstart(t *testing.T) {
	namespace := stage(t)
	neighbour := standNeighbour(t, namespace)
	q := quickstart(t, namespace)
	late := 0
	play := func(name string, one func(context.Context) (scene.Event, error)) {
		if !t.Run(name, func(t *testing.T) {
			event, err := one(t.Context())
			disagreements, err := scene.Disagreements(err)
			must(t, err)
			for _, d := range disagreements {
				t.Logf("%s; the client saw:%s", d, q.Client.Changes(event.Client.Down.Add(-time.Second)))
				if d.By > time.Second {
					t.Error("that is not a matter of a busy machine")
				}
			}
			late += min(len(disagreements), 1)
			t.Logf("%s: the client missed %s", event.Did, event.Client)
		}) {
			t.FailNow() // what follows would begin from an unknown stage
		}
	}
	play("KillOnce", q.KillOnce)
	play("KillBeyondThreshold", q.KillBeyondThreshold)
	play("Move", q.Move)
	play("Ask", q.Ask)
	t.Run("NeighbourUntouched", neighbour.untouched)

	var cut scene.Cut
	t.Cleanup(func() {
		if cut.Lease != nil {
			cut.Lease.Stop()
		}
	})
	play("CutOwner", func(ctx context.Context) (scene.Event, error) {
		before := daemonsOf(t, ownerNode(t, q.Group))
		var err error
		cut, err = q.CutOwner(ctx)
		if err == nil {
			// A cut drops packets; it ends nothing.
			sameProcesses(t, before, daemonsOf(t, cut.Node))
		}
		return cut.Event, err
	})
	play("Heal", func(ctx context.Context) (scene.Event, error) { return q.Heal(ctx, cut) })
	// The healed host is of use again.
	play("MoveBack", q.Move)
	if late > 1 {
		t.Errorf("client and timeline disagreed in %d scenes", late)
	}
}
