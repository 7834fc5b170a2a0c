// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/controllers/plan"
)

// tryPlan asks the API server what only it can say against a plan that is to be
// put in force. No watch tells when its answer changes, so it is asked again.
func (r *groupReconciler) tryPlan(ctx context.Context, s *groupScope, next *plan.Result) (plan.Problems, error) {
	var problems plan.Problems
	for _, try := range []func(context.Context, *groupScope, *plan.Result) (*plan.Problem, error){
		r.tryService, r.tryHost, r.tryNodes,
	} {
		problem, err := try(ctx, s, next)
		if err != nil {
			return nil, err
		}
		if problem != nil {
			problem.Kind, problem.Name = plan.KindGroup, s.group.Name
			problems = append(problems, *problem)
			s.again(refusedRetry)
		}
	}
	return problems, nil
}

// tryService finds a Service of somebody else, or of a group that came first, that has the name of ours.
func (r *groupReconciler) tryService(ctx context.Context, s *groupScope, next *plan.Result) (*plan.Problem, error) {
	if next.Plan.Service == nil {
		return nil, nil
	}
	err := r.findService(ctx, s, next.Plan.Service.Name, &corev1.Service{})
	if t, is := taken(err); is {
		return &plan.Problem{
			Field: "spec.service", Reason: understudyv1alpha1.ReasonServiceTaken, Message: t.Error(),
		}, nil
	}
	return nil, client.IgnoreNotFound(err)
}

// costsHosts says that hosts which run, or ever ran, what the group is for are given
// up for a plan. Otherwise there is nothing to lose, and what a template asks for may
// come because its pods wait: then the condition HostsReady says what is wrong.
func (s *groupScope) costsHosts(next *plan.Result) bool {
	if s.plan == nil || len(s.plan.Containers) == 0 || s.plan.HostRevision == next.Plan.HostRevision {
		return false
	}
	return s.group.Status.Owner != nil ||
		slices.ContainsFunc(s.pods, func(p corev1.Pod) bool { return p.Spec.NodeName != "" })
}

// tryHost tries a pod of another template than the one in force: running hosts
// are given up for it, so one must be possible.
func (r *groupReconciler) tryHost(ctx context.Context, s *groupScope, next *plan.Result) (*plan.Problem, error) {
	if !s.costsHosts(next) {
		return nil, nil
	}
	pod := r.hostPod(s.group, &next.Plan, &next.Host)
	err := r.Create(ctx, pod, client.FieldOwner(fieldManager), client.DryRunAll)
	switch {
	case err == nil, apierrors.IsAlreadyExists(err), exceedsQuota(err):
		return nil, nil
	case refused(err):
		return &plan.Problem{
			Field: "spec.template", Reason: understudyv1alpha1.ReasonTemplateRefused,
			Message: "the API server refuses a host pod made of it and of what its types add: " + err.Error(),
		}, nil
	}
	return nil, fmt.Errorf("trying the pod %s: %w", pod.Name, err)
}
