// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/controllers/placement"
	"github.com/understudy-dev/understudy/controllers/plan"
	"github.com/understudy-dev/understudy/internal/builders"
)

// succession publishes who may take the group over, and drops what hosts that
// are gone said of themselves.
func (r *groupReconciler) succession(ctx context.Context, s *groupScope) error {
	next := placement.Succession(s.placement(r.now()))
	gone, err := r.goneHosts(ctx, s)
	if err != nil {
		return err
	}
	_, err = patchStatus(ctx, r.Client, s.group, func(g *understudyv1alpha1.ResourceGroup) {
		if g.Status.Succession == nil || !equality.Semantic.DeepEqual(g.Status.Succession, next) {
			g.Status.Succession = next
		}
		for _, name := range gone {
			delete(g.Status.Hosts, name)
		}
	})
	if err != nil {
		return fmt.Errorf("publishing the succession: %w", err)
	}
	return nil
}

// goneHosts are those that left a word and no pod. The API server is asked,
// because a host speaks of itself on change only: dropped by mistake, it would
// be missed for ever.
func (r *groupReconciler) goneHosts(ctx context.Context, s *groupScope) ([]string, error) {
	known := map[string]bool{}
	for i := range s.pods {
		known[s.pods[i].Name] = true
	}
	var gone []string
	for name := range s.group.Status.Hosts {
		if known[name] {
			continue
		}
		err := r.live.Get(ctx, types.NamespacedName{Namespace: s.group.Namespace, Name: name}, &corev1.Pod{})
		if apierrors.IsNotFound(err) {
			gone = append(gone, name)
		} else if err != nil {
			return nil, fmt.Errorf("reading the pod %s: %w", name, err)
		}
	}
	return gone, nil
}

// hostCount is how many host pods are there and stay.
func (s *groupScope) hostCount() int32 {
	count := int32(0)
	for i := range s.pods {
		if p := &s.pods[i]; p.DeletionTimestamp.IsZero() && !placement.Finished(p) {
			count++
		}
	}
	return count
}

// report writes the conditions that are the manager's.
func (r *groupReconciler) report(ctx context.Context, s *groupScope) error {
	lost, known := s.ownerLost()
	was := apimeta.IsStatusConditionTrue(s.group.Status.Conditions, lost.Type)
	if lost.Reason == understudyv1alpha1.ReasonOwnerSilent && !was {
		if _, err := r.confirm(ctx, s); err != nil {
			return err
		}
		lost, known = s.ownerLost()
	}
	changed, err := patchStatus(ctx, r.Client, s.group, func(g *understudyv1alpha1.ResourceGroup) {
		setCondition(&g.Status.Conditions, s.hostsReady(r.now()), g.Generation)
		g.Status.HostCount, g.Status.HostSelector = s.hostCount(), builders.Selector(g.Name)
		for _, optional := range []func() (metav1.Condition, bool){s.serviceReady, s.guardWeakened} {
			if c, there := optional(); there {
				setCondition(&g.Status.Conditions, c, g.Generation)
			} else {
				apimeta.RemoveStatusCondition(&g.Status.Conditions, c.Type)
			}
		}
		if known {
			setCondition(&g.Status.Conditions, lost, g.Generation)
		}
	})
	if err != nil {
		return fmt.Errorf("reporting on the group: %w", err)
	}
	if changed && known && !was && lost.Status == metav1.ConditionTrue {
		r.event(s.group, nil, true, lost.Reason, "Watch", "%s", lost.Message)
	}
	return nil
}

// guardWeakened is the condition GuardWeakened: a throttled container may be killed
// late (Ownership section 8). A namespace's LimitRange sets limits that only the
// pods show.
func (s *groupScope) guardWeakened() (condition metav1.Condition, there bool) {
	c := metav1.Condition{
		Type: understudyv1alpha1.ConditionGuardWeakened, Status: metav1.ConditionTrue,
		Reason: understudyv1alpha1.ReasonCPULimit,
	}
	if s.plan == nil || s.host == nil {
		return c, false
	}
	specs := []*corev1.PodSpec{&s.host.Template.Spec}
	for i := range s.pods {
		specs = append(specs, &s.pods[i].Spec)
	}
	var limited []string
	for _, spec := range specs {
		if r := spec.Resources; r != nil && !r.Limits.Cpu().IsZero() {
			limited = append(limited, "the pod as a whole")
		}
		for i := range spec.Containers {
			one := &spec.Containers[i]
			if slices.Contains(s.plan.Containers, one.Name) && !one.Resources.Limits.Cpu().IsZero() {
				limited = append(limited, "the container "+one.Name)
			}
		}
	}
	slices.Sort(limited)
	limited = slices.Compact(limited)
	c.Message = plan.Clip("A CPU limit can delay the kill by which a host that lost its lease ends: remove " +
		"resources.limits.cpu, which the template or a LimitRange of the namespace sets, of " + strings.Join(limited, ", "))
	return c, len(limited) > 0
}
