//go:build e2e

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"slices"
	"testing"

	"github.com/understudy-dev/understudy/test/scene"
)

// ownerNode is the node that has a group.
func ownerNode(t *testing.T, g scene.Group) string {
	t.Helper()
	return ok(g.Owner(t.Context()))(t).NodeName
}

// daemonsOf are the processes of a node outside of pods: kubelet, containerd and
// kube-proxy.
func daemonsOf(t *testing.T, node string) []scene.Process {
	t.Helper()
	list := ok(cluster.Local.Daemons(node))(t)
	var names []string
	for _, p := range list {
		names = append(names, p.Command)
	}
	for _, want := range []string{"kubelet", "containerd", "kube-proxy"} {
		if !slices.Contains(names, want) {
			t.Fatalf("%s has no process %s, but %v", node, want, list)
		}
	}
	return list
}

// sameProcesses fails if one of those before is not there after.
func sameProcesses(t *testing.T, before, after []scene.Process) {
	t.Helper()
	for _, p := range before {
		if !slices.Contains(after, p) {
			t.Errorf("process %v ended; there are %v", p, after)
		}
	}
}
