// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package placement decides which hosts a group has and in which order they may
// take it over. It is pure: pods and nodes in, decisions out.
package placement

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

// LostAfter is how long a node may be not ready before its hosts are replaced:
// Kubernetes' own patience. The old host stays until its node is back or gone,
// because the lease, not its absence, keeps it from acting.
const LostAfter = 5 * time.Minute

// Reasons why a host is barred.
const (
	ReasonDeleting     = "Deleting"
	ReasonFinished     = "Finished"
	ReasonNodeNotReady = "NodeNotReady"
	ReasonNodeGone     = "NodeGone"
)

// Input is what is known of the hosts of a group.
type Input struct {
	// Pods of the group.
	Pods []corev1.Pod
	// Nodes by name; those that do not exist are absent.
	Nodes map[string]*corev1.Node
	// Hosts is what they say of themselves.
	Hosts map[string]understudyv1alpha1.HostStatus
	// OwnerUID is the pod UID of the present owner.
	OwnerUID string
	// Locked says that a resource of the owner is in locked mode: no roll-out touches
	// its host then, unless it is not ready anyhow.
	Locked bool
	// Now is the wall clock.
	Now time.Time
}

// Succession is who may take the group over: ready hosts in the order of their
// numbers, the present owner last; then those that live and are not ready, whose
// own monitors know best. Hosts without a node are not listed.
func Succession(in Input) *understudyv1alpha1.Succession {
	s := &understudyv1alpha1.Succession{}
	pods := sorted(in.Pods, in.OwnerUID)
	for i := range pods {
		p := &pods[i]
		if p.Spec.NodeName == "" {
			continue
		}
		if reason := barred(p, in.Nodes); reason != "" {
			s.Barred = append(s.Barred, understudyv1alpha1.BarredHost{
				PodUID: string(p.UID), PodName: p.Name, Reason: reason,
			})
			continue
		}
		one := understudyv1alpha1.Successor{PodUID: string(p.UID), PodName: p.Name, NodeName: p.Spec.NodeName}
		switch {
		case Ready(p, in) && !in.Nodes[p.Spec.NodeName].Spec.Unschedulable:
			s.Line = append(s.Line, one)
		case p.Status.Phase == corev1.PodRunning:
			s.Reserve = append(s.Reserve, one)
		}
	}
	return s
}

// Ready says whether a host can take the group over: by its own word, its
// pod's and its node's.
func Ready(p *corev1.Pod, in Input) bool {
	h, ok := in.Hosts[p.Name]
	return ok && h.Ready && h.PodUID == string(p.UID) && podReady(p) && barred(p, in.Nodes) == ""
}

// held says that locked mode keeps a roll-out from this host.
func held(p *corev1.Pod, in Input) bool {
	return in.Locked && string(p.UID) == in.OwnerUID && Ready(p, in)
}

func podReady(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// barred is why a host must not take the group; empty if it may.
func barred(p *corev1.Pod, nodes map[string]*corev1.Node) string {
	switch node := nodes[p.Spec.NodeName]; {
	case !p.DeletionTimestamp.IsZero():
		return ReasonDeleting
	case Finished(p):
		return ReasonFinished
	case node == nil:
		return ReasonNodeGone
	case !nodeReady(node):
		return ReasonNodeNotReady
	}
	return ""
}

// Finished says that no container of the pod runs or will run again.
func Finished(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded
}

func readyCondition(n *corev1.Node) *corev1.NodeCondition {
	for i := range n.Status.Conditions {
		if n.Status.Conditions[i].Type == corev1.NodeReady {
			return &n.Status.Conditions[i]
		}
	}
	return nil
}

func nodeReady(n *corev1.Node) bool {
	c := readyCondition(n)
	return c != nil && c.Status == corev1.ConditionTrue
}

// Unreachable says that kubelet will not answer for the pod's node: it is gone
// or not ready.
func Unreachable(p *corev1.Pod, nodes map[string]*corev1.Node) bool {
	if p.Spec.NodeName == "" {
		return false
	}
	node := nodes[p.Spec.NodeName]
	return node == nil || !nodeReady(node)
}

// sorted are the pods by number, the owner last.
func sorted(pods []corev1.Pod, ownerUID string) []corev1.Pod {
	out := slices.Clone(pods)
	slices.SortFunc(out, func(a, b corev1.Pod) int {
		return cmp.Or(
			compareBool(string(a.UID) == ownerUID, string(b.UID) == ownerUID),
			cmp.Compare(number(&a), number(&b)),
			cmp.Compare(a.Name, b.Name),
		)
	})
	return out
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func number(p *corev1.Pod) int64 {
	n, err := strconv.ParseInt(p.Name[strings.LastIndexByte(p.Name, '-')+1:], 10, 64)
	if err != nil {
		return -1
	}
	return n
}
