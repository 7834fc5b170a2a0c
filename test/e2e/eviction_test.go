//go:build e2e

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/test/scene"
)

// TestEviction: whoever asks a node's pods to go by the eviction API gets an ordered
// hand-over, and the group gets another host.
func TestEviction(t *testing.T) {
	// The group may use two nodes only: the new host has to wait for the one it leaves.
	t.Run("Evicted", func(t *testing.T) {
		nodes := ok(cluster.ReadyNodes(t.Context()))(t)[:2]
		g, err := cluster.PlayAs(t.Context(), stage(t), "evicted", onNodes(nodes), scene.Run("hello", "/hello"))
		must(t, err)
		l := watched(t, g, hello)
		pod := &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: g.Namespace, Name: l.owner.PodName}}
		// A budget for disruptions may say no until it has counted the hosts.
		must(t, cluster.Wait(t.Context(), "the eviction to be allowed", 30*time.Second,
			func(ctx context.Context) (bool, string, error) {
				err := cluster.Clientset.PolicyV1().Evictions(g.Namespace).Evict(ctx, pod)
				return err == nil, "", err
			}))
		l.drained(t)
		if nodeOf := l.newHost(t); nodeOf != l.owner.NodeName {
			t.Errorf("the new host is on %s, want %s, which became free", nodeOf, l.owner.NodeName)
		}
	})
	// The node is closed besides: the new host must go elsewhere, and nobody comes back.
	t.Run("Drained", func(t *testing.T) {
		g, err := cluster.Play(t.Context(), stage(t), "drained", 2, scene.Run("hello", "/hello"))
		must(t, err)
		l := watched(t, g, hello)
		node := l.owner.NodeName
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if _, err := cluster.Kubectl(ctx, "uncordon", node); err != nil {
				t.Error(err)
			}
		})
		_, err = cluster.Kubectl(t.Context(), "drain", node, "--delete-emptydir-data", "--timeout=50s",
			"--pod-selector="+understudyv1alpha1.LabelGroup+"="+g.Name)
		must(t, err)
		l.drained(t)
		if nodeOf := l.newHost(t); nodeOf == node {
			t.Errorf("the new host is on %s, which is closed", nodeOf)
		}
	})
}

// onNodes holds a group to some nodes.
func onNodes(nodes []string) func(*understudyv1alpha1.ResourceGroupSpec) {
	return func(s *understudyv1alpha1.ResourceGroupSpec) {
		s.Template.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
				NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{
					{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: nodes},
				}}},
			},
		}}
	}
}

// drained checks that the owner handed over in order.
func (l *lead) drained(t *testing.T) {
	t.Helper()
	entry := l.interrupted(t, scene.KindMove, "PodStopping")
	if entry.OfflineTime == nil || entry.LastHeardTime != nil {
		t.Errorf("%+v; want an owner that was proven offline before, not one that fell silent", entry)
	}
	history := ok(l.Owner(t.Context()))(t).History
	if h := history[max(0, len(history)-2)]; h.Epoch != l.owner.Epoch || h.PodUID != l.owner.PodUID || h.Reason != "Drain" {
		t.Errorf("the history says of the ownership before: %+v; want epoch %d, %s, Drain", h, l.owner.Epoch, l.owner.PodName)
	}
}

// newHost is the node of the host that came for the one that went.
func (l *lead) newHost(t *testing.T) string {
	t.Helper()
	pods := ok(l.Pods(t.Context()))(t)
	i := slices.IndexFunc(pods, func(p corev1.Pod) bool { return p.Name != l.standby })
	if i < 0 || pods[i].Name == l.owner.PodName {
		t.Fatalf("no new host: %+v", pods)
	}
	return pods[i].Spec.NodeName
}
