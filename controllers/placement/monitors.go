// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/internal/layout"
)

// NextMonitor is the host whose monitor is the next to run another image; nil if
// there is none, or if it waits for the others. What is not ready goes first, then
// standbys one at a time, each after those before it are back, and the owner last.
// Hosts on unreachable nodes are left out: no kubelet would act.
func NextMonitor(in Input, image string) *corev1.Pod {
	var living []*corev1.Pod
	for i := range in.Pods {
		p := &in.Pods[i]
		if p.DeletionTimestamp.IsZero() && !Finished(p) && !Unreachable(p, in.Nodes) && Monitor(p) != nil {
			living = append(living, p)
		}
	}
	slices.SortFunc(living, func(a, b *corev1.Pod) int {
		return cmp.Or(
			compareBool(string(a.UID) == in.OwnerUID, string(b.UID) == in.OwnerUID),
			compareBool(Ready(a, in), Ready(b, in)),
			cmp.Compare(number(a), number(b)),
		)
	})
	for _, p := range living {
		if Monitor(p).Image == image {
			continue
		}
		if string(p.UID) != in.OwnerUID && !Ready(p, in) {
			return p // nothing is lost with it
		}
		unsteady := func(other *corev1.Pod) bool { return other != p && !steady(other, in) }
		if held(p, in) || slices.ContainsFunc(living, unsteady) {
			return nil
		}
		return p
	}
	return nil
}

// Settled says that a roll-out harms nobody any more: as many hosts are ready as when
// it began, or as are wanted, and no host is next. Of those that kubelet answers for
// none has another monitor than image, or is built from another template than hostName
// unless that may stay; or those that do wait for hosts that were not ready before.
func Settled(in Input, wanted, before int, hostName string, outdatedStay bool, image string) bool {
	if NextMonitor(in, image) != nil || !outdatedStay && Hosts(in, wanted, hostName).Roll != nil {
		return false
	}
	ready, left, leaving := 0, false, false
	for i := range in.Pods {
		p := &in.Pods[i]
		switch {
		case Finished(p) || Unreachable(p, in.Nodes):
		case !p.DeletionTimestamp.IsZero():
			leaving = true
		default:
			c := Monitor(p)
			left = left || c != nil && c.Image != image || !outdatedStay && !Current(p, hostName)
			if steady(p, in) {
				ready++
			}
		}
	}
	// What is left may be waiting only for a host to be gone.
	return ready >= min(wanted, before) && !(left && leaving)
}

// Monitor is the container of the monitor in the spec of a host pod; nil if it has none.
func Monitor(p *corev1.Pod) *corev1.Container {
	for i := range p.Spec.InitContainers {
		if c := &p.Spec.InitContainers[i]; c.Name == layout.MonitorContainer {
			return c
		}
	}
	return nil
}

// MonitorStatus is what kubelet says of it; zero if it has not said anything yet.
func MonitorStatus(p *corev1.Pod) corev1.ContainerStatus {
	for _, c := range p.Status.InitContainerStatuses {
		if c.Name == layout.MonitorContainer {
			return c
		}
	}
	return corev1.ContainerStatus{}
}

// steady says that a host is ready, and not only still seems to be because kubelet
// has not yet told what a change of its monitor's image did to it.
func steady(p *corev1.Pod, in Input) bool {
	if !Ready(p, in) {
		return false
	}
	before, changed := p.Annotations[understudyv1alpha1.AnnotationReplacedMonitor]
	if !changed {
		return true
	}
	// The container is another one, and runs. The image in a status is no proof:
	// the runtime may write its name in full, or as another tag of the same content.
	now := MonitorStatus(p)
	return now.ContainerID != before && now.State.Running != nil && ptr.Deref(now.Started, false)
}
