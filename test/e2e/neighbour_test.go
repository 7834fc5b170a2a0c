//go:build e2e

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"testing"
	"time"

	"github.com/understudy-dev/understudy/test/scene"
)

// hello is the program of the neighbour, and of other groups.
var hello = scene.Program{Command: "hello"}

// neighbour is a group that must not notice what happens to the one beside it.
type neighbour struct {
	scene.Group
	epoch int64
	pid   int
}

// standNeighbour has a host on every node, so on the one that is tortured, too.
func standNeighbour(t *testing.T, namespace string) *neighbour {
	t.Helper()
	g, err := cluster.Play(t.Context(), namespace, "neighbour", 3, scene.Run("neighbour", "/hello"))
	must(t, err)
	must(t, g.WaitReady(t.Context(), 3*time.Minute))
	n := &neighbour{Group: g}
	n.epoch, n.pid = n.now(t)
	return n
}

func (n *neighbour) now(t *testing.T) (epoch int64, pid int) {
	t.Helper()
	owner := ok(n.Owner(t.Context()))(t)
	container := ok(n.OwnerContainer(t.Context(), scene.ActorContainer))(t)
	return owner.Epoch, ok(container.One(hello))(t)
}

// untouched is a subtest: same process, same epoch.
func (n *neighbour) untouched(t *testing.T) {
	if epoch, pid := n.now(t); epoch != n.epoch || pid != n.pid {
		t.Errorf("the neighbour has process %d, epoch %d; it had %d, %d", pid, epoch, n.pid, n.epoch)
	}
}
