// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/controllers/placement"
	"github.com/understudy-dev/understudy/controllers/plan"
	"github.com/understudy-dev/understudy/internal/builders"
	"github.com/understudy-dev/understudy/internal/layout"
)

const (
	// refusedRetry is how soon a refused host pod is tried again: a quota or a
	// namespace's Pod Security may have changed, which nothing tells us.
	refusedRetry = 15 * time.Second
	// serviceRetry is the same for a Service that is in the way.
	serviceRetry = 15 * time.Second
)

// wantedHosts is how many hosts the plan in force asks for: a refused spec changes
// nothing of them.
func (s *groupScope) wantedHosts() int {
	if s.plan != nil && s.plan.Hosts > 0 {
		return int(s.plan.Hosts)
	}
	return int(plan.Hosts(s.group))
}

// hosts keeps as many host pods as the group wants, built from the plan in force.
func (r *groupReconciler) hosts(ctx context.Context, s *groupScope) error {
	if s.plan == nil || s.host == nil {
		return nil
	}
	wanted := s.wantedHosts()
	if len(s.plan.Containers) == 0 && len(s.pods) == 0 {
		return nil // nothing to host yet
	}
	d := placement.Hosts(s.placement(r.now()), wanted, s.plan.HostRevision)
	if d.Again > 0 {
		s.again(d.Again)
	}
	var errs []error
	for _, one := range d.Delete {
		errs = append(errs, r.deleteHost(ctx, s, one.Pod, one.Reason))
	}
	if d.Create > 0 {
		errs = append(errs, r.createHosts(ctx, s, wanted))
	}
	return errors.Join(errs...)
}

// createHosts creates what is missing after it has asked the API server itself:
// the cache may not know the last pod yet.
func (r *groupReconciler) createHosts(ctx context.Context, s *groupScope, wanted int) error {
	var live corev1.PodList
	if err := r.live.List(ctx, &live, client.InNamespace(s.group.Namespace),
		client.MatchingLabels(builders.Labels(s.group.Name))); err != nil {
		return fmt.Errorf("listing pods: %w", err)
	}
	s.pods = ownPods(s.group, live.Items)
	if err := r.readNodes(ctx, s); err != nil {
		return err
	}
	for range placement.Hosts(s.placement(r.now()), wanted, s.plan.HostRevision).Create {
		if err := r.createHost(ctx, s); err != nil {
			return err
		}
		if s.podRefused != "" {
			s.again(refusedRetry)
			return nil
		}
	}
	return nil
}

// createHost takes a number for good before it creates the pod: no two pods of a
// group ever have the same name.
func (r *groupReconciler) createHost(ctx context.Context, s *groupScope) error {
	number := s.group.Status.NextHost
	pod := r.hostPod(s.group, s.plan, s.host)
	// A refusal shall not use a number up.
	err := r.Create(ctx, pod.DeepCopy(), client.FieldOwner(fieldManager), client.DryRunAll)
	if refused(err) {
		s.podRefused = err.Error()
		return nil
	}
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("trying the pod %s: %w", pod.Name, err)
	}
	if _, err := patchStatus(ctx, r.Client, s.group, func(g *understudyv1alpha1.ResourceGroup) {
		g.Status.NextHost = number + 1
	}); err != nil {
		return fmt.Errorf("taking the number of the next host: %w", err)
	}
	if err := r.Create(ctx, pod, client.FieldOwner(fieldManager)); err != nil {
		return fmt.Errorf("creating the pod %s: %w", pod.Name, err)
	}
	r.event(s.group, pod, false, "HostCreated", "Create", "Created the host %s", pod.Name)
	return nil
}

// hostPod is the next host of a plan.
func (r *groupReconciler) hostPod(
	group *understudyv1alpha1.ResourceGroup, p *planv1.Plan, host *builders.Host,
) *corev1.Pod {
	return builders.Pod(builders.PodInput{
		Group: group, Host: *host, HostName: p.HostRevision, Number: group.Status.NextHost,
		Image: r.options.Image, GraceSeconds: plan.GraceSeconds(p),
	})
}

// deleteHost deletes one very pod. Its monitor hands over in order.
func (r *groupReconciler) deleteHost(ctx context.Context, s *groupScope, pod *corev1.Pod, reason string) error {
	if !pod.DeletionTimestamp.IsZero() {
		return nil
	}
	uid := pod.UID
	if err := r.Delete(ctx, pod, client.Preconditions{UID: &uid}); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting the pod %s: %w", pod.Name, err)
	}
	r.event(s.group, pod, false, reason, "Delete", "Deleted the host %s", pod.Name)
	return nil
}

// markHosts shows people who the owner is, and brings the monitor of each live
// pod up to our own version, which restarts that container alone: the owner's
// last, when all others are up to date and ready.
func (r *groupReconciler) markHosts(ctx context.Context, s *groupScope) error {
	if s.plan == nil || s.host == nil {
		return nil
	}
	owner, in := s.ownerUID(), s.placement(r.now())
	others := true
	for i := range s.pods {
		p := &s.pods[i]
		if string(p.UID) != owner && p.DeletionTimestamp.IsZero() && !placement.Unreachable(p, s.nodes) {
			others = others && placement.Ready(p, in) && monitorImage(p) == r.options.Image
		}
	}
	var errs []error
	for i := range s.pods {
		p := &s.pods[i]
		if !p.DeletionTimestamp.IsZero() || placement.Finished(p) {
			continue
		}
		role := understudyv1alpha1.RoleStandby
		if string(p.UID) == owner {
			role = understudyv1alpha1.RoleOwner
		}
		err := patchMeta(ctx, r.Client, p, func(p *corev1.Pod) {
			p.Labels[understudyv1alpha1.LabelRole] = role
			if c := monitorOf(p); c != nil && (others || role == understudyv1alpha1.RoleStandby) {
				c.Image = r.options.Image
			}
		})
		if client.IgnoreNotFound(err) != nil {
			errs = append(errs, fmt.Errorf("marking the pod %s: %w", p.Name, err))
		}
	}
	return errors.Join(errs...)
}

// monitorOf is the monitor's container of a host pod.
func monitorOf(p *corev1.Pod) *corev1.Container {
	for i := range p.Spec.InitContainers {
		if c := &p.Spec.InitContainers[i]; c.Name == layout.MonitorContainer {
			return c
		}
	}
	return nil
}

func monitorImage(p *corev1.Pod) string {
	if c := monitorOf(p); c != nil {
		return c.Image
	}
	return ""
}

// hostsReady is the condition HostsReady.
func (s *groupScope) hostsReady(now time.Time) metav1.Condition {
	c := metav1.Condition{
		Type: understudyv1alpha1.ConditionHostsReady, Status: metav1.ConditionTrue,
		Reason: understudyv1alpha1.ReasonHostsReady, Message: "Every wanted host is ready",
	}
	in, wanted := s.placement(now), s.wantedHosts()
	ready, texts := 0, []string{}
	for i := range s.pods {
		p := &s.pods[i]
		if placement.Ready(p, in) {
			ready++
		} else if p.DeletionTimestamp.IsZero() {
			texts = append(texts, p.Name+": "+whyNotReady(p, in))
		}
	}
	slices.Sort(texts)
	switch {
	case s.podRefused != "":
		c.Status, c.Reason = metav1.ConditionFalse, understudyv1alpha1.ReasonPodRefused
		c.Message = plan.Clip(
			"The API server refuses a host pod, correct the template or the namespace's limits: " + s.podRefused)
	case s.plan == nil:
		c.Status, c.Reason = metav1.ConditionFalse, understudyv1alpha1.ReasonHostsMissing
		c.Message = "No plan was accepted yet: see the condition Accepted"
	case len(s.plan.Containers) == 0 && len(s.pods) == 0:
		c.Status, c.Reason = metav1.ConditionFalse, understudyv1alpha1.ReasonHostsMissing
		c.Message = "There is nothing to host: create a ClusterResource with this groupName"
	case ready < wanted:
		c.Status, c.Reason = metav1.ConditionFalse, understudyv1alpha1.ReasonHostsMissing
		c.Message = plan.Clip(fmt.Sprintf("%d of %d hosts are ready; ", ready, wanted) + strings.Join(texts, "; "))
	}
	return c
}

// whyNotReady says what keeps a host from being ready, in the order in which
// things become ready.
func whyNotReady(p *corev1.Pod, in placement.Input) string {
	if placement.Unreachable(p, in.Nodes) {
		return "its node " + p.Spec.NodeName + " is not ready"
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return c.Reason + ": " + c.Message
		}
	}
	for _, list := range [][]corev1.ContainerStatus{p.Status.InitContainerStatuses, p.Status.ContainerStatuses} {
		for _, c := range list {
			if w := c.State.Waiting; w != nil && w.Reason != "PodInitializing" {
				return strings.TrimSuffix(fmt.Sprintf("container %s: %s: %s", c.Name, w.Reason, w.Message), ": ")
			}
			// Kubelet leaves it so between two starts, for minutes if it ends again and again.
			if e := c.State.Terminated; e != nil && e.ExitCode != 0 {
				return fmt.Sprintf("container %s: %s: it ended with exit code %d, see its log", c.Name, e.Reason, e.ExitCode)
			}
		}
	}
	if h, ok := in.Hosts[p.Name]; ok && h.PodUID == string(p.UID) && !h.Ready && h.Reason != "" {
		return strings.TrimSuffix(h.Reason+": "+h.Message, ": ")
	}
	return "is starting"
}
