// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"cmp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

// Reasons why a host is deleted.
const (
	DeleteFinished = "HostFinished"
	DeleteSurplus  = "HostSurplus"
	DeleteOutdated = "HostOutdated"
)

// endedRetry is how old a host that ended gets at least before another takes its
// place. What kubelet refuses at once, the scheduler would send there again and again.
const endedRetry = 10 * time.Second

// Delete is one host that is to go.
type Delete struct {
	Pod    *corev1.Pod
	Reason string
}

// Decision is what to do about the hosts of a group.
type Decision struct {
	// Create is how many new hosts are missing.
	Create int
	// Delete are the hosts that go now.
	Delete []Delete
	// Roll is the host that goes next because it is outdated; nil if there is none,
	// or if it waits for the others.
	Roll *corev1.Pod
	// Again is when to look again, because a node may count as lost by then, or a host
	// that ended be replaced; 0 is never.
	Again time.Duration
}

// Hosts decides which hosts are missing and which must go: finished ones at
// once if they are not quite new, then those that are too many, then, one at a time
// and only while another host is ready, those that are built from another template
// than hostName. Standbys go first, the owner last.
func Hosts(in Input, wanted int, hostName string) Decision {
	var d Decision
	var counted []*corev1.Pod
	leaving := false
	for i := range in.Pods {
		p := &in.Pods[i]
		lost, again := lost(p, in)
		if Finished(p) {
			again = tooNew(p, in.Now)
		}
		switch {
		case !p.DeletionTimestamp.IsZero():
			// On an unreachable node it may be leaving for ever.
			leaving = leaving || !Unreachable(p, in.Nodes)
		case Finished(p) && again == 0:
			d.Delete = append(d.Delete, Delete{Pod: p, Reason: DeleteFinished})
		case lost:
		default:
			counted = append(counted, p)
			if again > 0 && (d.Again == 0 || again < d.Again) {
				d.Again = again
			}
		}
	}
	slices.SortFunc(counted, func(a, b *corev1.Pod) int { return worst(a, b, in, hostName) })
	if missing := wanted - len(counted); missing > 0 {
		d.Create = missing
		return d
	}
	surplus := len(counted) - wanted
	for _, p := range counted[:surplus] {
		d.Delete = append(d.Delete, Delete{Pod: p, Reason: DeleteSurplus})
	}
	if surplus == 0 && !leaving && len(d.Delete) == 0 {
		d.Roll = outdated(counted, in, hostName)
	}
	return d
}

// tooNew is how long a host that ended stays before it is replaced; 0 is not at all.
func tooNew(p *corev1.Pod, now time.Time) time.Duration {
	left := endedRetry - now.Sub(p.CreationTimestamp.Time)
	if left > 2*endedRetry {
		return 0 // the API server's clock is far ahead of ours
	}
	return max(left, 0)
}

// worst orders hosts by how little is lost with them: not ready, then built from
// another template, then the newest. The owner is last whatever it is.
func worst(a, b *corev1.Pod, in Input, hostName string) int {
	return cmp.Or(
		compareBool(string(a.UID) == in.OwnerUID, string(b.UID) == in.OwnerUID),
		compareBool(Ready(a, in), Ready(b, in)),
		compareBool(Current(a, hostName), Current(b, hostName)),
		cmp.Compare(number(b), number(a)),
	)
}

// outdated is the next host to roll, or nil. The order is that of worst, so the
// owner comes when all others are renewed.
func outdated(counted []*corev1.Pod, in Input, hostName string) *corev1.Pod {
	for _, p := range counted {
		if Current(p, hostName) {
			continue
		}
		if string(p.UID) != in.OwnerUID && !Ready(p, in) {
			return p // nothing is lost with it
		}
		unsteady := func(other *corev1.Pod) bool { return other != p && !steady(other, in) }
		if held(p, in) || slices.ContainsFunc(counted, unsteady) {
			return nil
		}
		return p
	}
	return nil
}

// Current says that a host is built from the template hostName.
func Current(p *corev1.Pod, hostName string) bool {
	return p.Annotations[understudyv1alpha1.AnnotationHost] == hostName
}

// lost says that the pod's node has been away so long that the host is replaced;
// if not yet, when it will be.
func lost(p *corev1.Pod, in Input) (bool, time.Duration) {
	if p.Spec.NodeName == "" {
		return false, 0
	}
	node := in.Nodes[p.Spec.NodeName]
	if node == nil {
		return true, 0
	}
	c := readyCondition(node)
	if c == nil || c.Status == corev1.ConditionTrue {
		return false, 0
	}
	left := LostAfter - in.Now.Sub(c.LastTransitionTime.Time)
	return left <= 0, max(left, 0)
}
