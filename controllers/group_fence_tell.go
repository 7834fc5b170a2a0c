// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/controllers/plan"
	"github.com/understudy-dev/understudy/internal/builders"
)

// victim names whom an agent ends, for people.
func victim(failed builders.FencingInput) string {
	if failed.Node == "" {
		return fmt.Sprintf("the host %s, whose pod is gone,", failed.HostName)
	}
	return fmt.Sprintf("the host %s on the node %s", failed.HostName, failed.Node)
}

func (r *groupReconciler) tellStarted(
	ctx context.Context, s *groupScope, failed builders.FencingInput, job *batchv1.Job,
) error {
	return r.tellFencing(ctx, s, job, understudyv1alpha1.ReasonFencingStarted, fmt.Sprintf(
		"The Job %s is ending %s because its stop is not proven (epoch %d)", job.Name, victim(failed), failed.Epoch))
}

// tellRefused says why no Job can be made of the agent, and has that looked at again.
func (r *groupReconciler) tellRefused(
	ctx context.Context, s *groupScope, failed builders.FencingInput, why error,
) error {
	s.again(refusedRetry)
	return r.tellFencing(ctx, s, nil, understudyv1alpha1.ReasonAgentRefused, fmt.Sprintf(
		"The host %s is to be ended by a Job of the CronJob %s, which cannot be created: %s",
		failed.HostName, failed.Agent, why))
}

// fencedBy is the author of a fence, as the record names it.
func fencedBy(job *batchv1.Job) string { return "Job " + job.Namespace + "/" + job.Name }

func fencedMessage(job *batchv1.Job, host string) string {
	return fmt.Sprintf("The Job %s ended the host %s: another may take over", job.Name, host)
}

// tellFencingOver: what was said of a stop that is proven, or of an owner that is none
// any more, means nothing now. That a host was fenced stays said.
func (r *groupReconciler) tellFencingOver(ctx context.Context, s *groupScope, jobs []batchv1.Job) error {
	said := apimeta.FindStatusCondition(s.group.Status.Conditions, understudyv1alpha1.ConditionFencing)
	if said == nil || said.Reason == understudyv1alpha1.ReasonFenced && fences(s.group) {
		return nil
	}
	if s.recorded != nil && s.recorded.Fenced() {
		// A manager wrote it and died before it could say so.
		for i := range jobs {
			if fencedBy(&jobs[i]) == s.recorded.FencedBy {
				return r.tellFencing(ctx, s, &jobs[i], understudyv1alpha1.ReasonFenced,
					fencedMessage(&jobs[i], s.recorded.HolderName))
			}
		}
	}
	_, err := patchStatus(ctx, r.Client, s.group, func(g *understudyv1alpha1.ResourceGroup) {
		apimeta.RemoveStatusCondition(&g.Status.Conditions, understudyv1alpha1.ConditionFencing)
	})
	return client.IgnoreNotFound(err)
}

// tellFencing writes the condition, and an Event each time that it changes.
func (r *groupReconciler) tellFencing(
	ctx context.Context, s *groupScope, job *batchv1.Job, reason, message string,
) error {
	c := metav1.Condition{
		Type: understudyv1alpha1.ConditionFencing, Status: metav1.ConditionFalse, Reason: reason, Message: plan.Clip(message),
	}
	if reason == understudyv1alpha1.ReasonFencingStarted {
		c.Status = metav1.ConditionTrue
	}
	changed, err := patchStatus(ctx, r.Client, s.group, func(g *understudyv1alpha1.ResourceGroup) {
		setCondition(&g.Status.Conditions, c, g.Generation)
	})
	if err != nil {
		return fmt.Errorf("reporting on fencing: %w", err)
	}
	if changed {
		var related client.Object
		if job != nil {
			related = job
		}
		r.event(s.group, related, true, reason, "Fence", "%s", c.Message)
	}
	return nil
}
