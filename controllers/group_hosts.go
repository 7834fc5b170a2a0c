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
	if d.Roll != nil && !s.plan.OnDelete && r.turn(ctx, s) {
		errs = append(errs, r.deleteHost(ctx, s, d.Roll, placement.DeleteOutdated))
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
	s.moved = true
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
	s.moved = true
	r.event(s.group, pod, false, reason, "Delete", "Deleted the host %s", pod.Name)
	return nil
}

// markHosts shows people who the owner is.
func (r *groupReconciler) markHosts(ctx context.Context, s *groupScope) error {
	owner := s.ownerUID()
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
			metav1.SetMetaDataAnnotation(&p.ObjectMeta, understudyv1alpha1.AnnotationGroupUID, string(s.group.UID))
		})
		if client.IgnoreNotFound(err) != nil {
			errs = append(errs, fmt.Errorf("marking the pod %s: %w", p.Name, err))
		}
	}
	return errors.Join(errs...)
}

// readyHosts is how many hosts can take the group over.
func (s *groupScope) readyHosts(now time.Time) int {
	in, ready := s.placement(now), 0
	for i := range s.pods {
		if placement.Ready(&s.pods[i], in) {
			ready++
		}
	}
	return ready
}

// hostsReady is the condition HostsReady.
func (s *groupScope) hostsReady(now time.Time) metav1.Condition {
	c := metav1.Condition{
		Type: understudyv1alpha1.ConditionHostsReady, Status: metav1.ConditionTrue,
		Reason: understudyv1alpha1.ReasonHostsReady, Message: "Every wanted host is ready",
	}
	in, ready, wanted := s.placement(now), s.readyHosts(now), s.wantedHosts()
	outdated, texts := 0, []string{}
	for i := range s.pods {
		p := &s.pods[i]
		if s.plan != nil && p.DeletionTimestamp.IsZero() && !placement.Current(p, s.plan.HostRevision) {
			outdated++
		}
		if !placement.Ready(p, in) && p.DeletionTimestamp.IsZero() {
			texts = append(texts, p.Name+": "+whyNotReady(p, in, s.plan))
		}
	}
	slices.Sort(texts)
	switch {
	case s.podRefused != "":
		c.Status, c.Reason = metav1.ConditionFalse, understudyv1alpha1.ReasonPodRefused
		c.Message = "The API server refuses a host pod, correct the template or the namespace's limits: " + s.podRefused
	case s.plan == nil:
		c.Status, c.Reason = metav1.ConditionFalse, understudyv1alpha1.ReasonHostsMissing
		c.Message = "No plan was accepted yet: see the condition Accepted"
	case len(s.plan.Containers) == 0 && len(s.pods) == 0:
		c.Status, c.Reason = metav1.ConditionFalse, understudyv1alpha1.ReasonHostsMissing
		c.Message = "There is nothing to host: create a ClusterResource with this groupName"
	case ready < wanted && s.fit != nil:
		c.Status, c.Reason = metav1.ConditionFalse, understudyv1alpha1.ReasonNoPossibleHost
		c.Message = plan.Clip(fmt.Sprintf("%d of %d hosts are ready; %s, and each host needs one of its own: %s, or lower "+
			"spec.hosts; ", ready, wanted, s.fit, fitAdvice) + strings.Join(texts, "; "))
	case ready < wanted:
		c.Status, c.Reason = metav1.ConditionFalse, understudyv1alpha1.ReasonHostsMissing
		c.Message = fmt.Sprintf("%d of %d hosts are ready; ", ready, wanted) + strings.Join(texts, "; ")
	}
	if outdated > 0 && s.plan.OnDelete {
		c.Message += fmt.Sprintf("; %d of an earlier template stay until somebody deletes them", outdated)
	}
	if s.rollout != "" {
		c.Message += "; " + s.rollout
	}
	c.Message = plan.Clip(c.Message)
	return c
}

// whyNotReady says what keeps a host from being ready, in the order in which
// things become ready.
func whyNotReady(p *corev1.Pod, in placement.Input, inForce *planv1.Plan) string {
	if placement.Unreachable(p, in.Nodes) {
		return "its node " + p.Spec.NodeName + " is not ready"
	}
	if placement.Finished(p) {
		return sentence("it ended and is going to be replaced: "+p.Status.Reason, p.Status.Message)
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return c.Reason + ": " + c.Message
		}
	}
	for _, list := range [][]corev1.ContainerStatus{p.Status.InitContainerStatuses, p.Status.ContainerStatuses} {
		for _, c := range list {
			if w := c.State.Waiting; w != nil && w.Reason != "PodInitializing" {
				return sentence("container "+c.Name+broughtBy(c.Name, inForce)+": "+w.Reason, w.Message)
			}
			// Kubelet leaves it so between two starts, for minutes if it ends again and again.
			if e := c.State.Terminated; e != nil && e.ExitCode != 0 {
				return fmt.Sprintf("container %s: %s: it ended with exit code %d, see its log", c.Name, e.Reason, e.ExitCode)
			}
		}
	}
	if h, ok := in.Hosts[p.Name]; ok && h.PodUID == string(p.UID) && !h.Ready && h.Reason != "" {
		return sentence(h.Reason, h.Message)
	}
	return "is starting"
}

// sentence is a reason with its message, if there is one.
func sentence(reason, message string) string { return strings.TrimSuffix(reason+": "+message, ": ") }

// broughtBy names the ResourceType that added a container to what the template has.
func broughtBy(container string, p *planv1.Plan) string {
	if p != nil && strings.HasPrefix(container, layout.Reserved) {
		for _, r := range p.Resources {
			if r.Container == container {
				return fmt.Sprintf(" (of the ResourceType %s)", r.Type)
			}
		}
	}
	return ""
}
