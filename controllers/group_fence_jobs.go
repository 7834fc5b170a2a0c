// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/internal/builders"
)

// fencingStep is what is to be done about the Jobs of a group.
type fencingStep struct {
	// drop are Jobs for what is over: an agent that is late, or has been replaced, or one
	// that ended when the same host was to be fenced before, whose word would count once
	// more.
	drop []*batchv1.Job
	// start says that the agent is to be run.
	start bool
	// job is the one for this very stop, and end how it ended; empty while it runs.
	job *batchv1.Job
	end batchv1.JobConditionType
}

// nextFencing judges the Jobs by the stop that failed. A finished one is kept for people
// to read, until another is needed. A Job that somebody deletes is made again: to end
// what has ended harms nobody. An owner without a pod has no token any more, and lets its
// lease run out: an agent that knows its node goes on until then, and none begins.
func nextFencing(failed *builders.FencingInput, jobs []batchv1.Job) fencingStep {
	step := fencingStep{start: failed != nil && failed.Node != ""}
	for i := range jobs {
		job := &jobs[i]
		end, leaving := jobEnd(job), !job.DeletionTimestamp.IsZero()
		if failed != nil && job.Name == failed.JobName() {
			step.start = false // if it is not the right one, the name is free when it is gone
		}
		switch {
		case leaving:
		case failed != nil && job.Annotations[understudyv1alpha1.AnnotationFences] == failed.Mark():
			step.job, step.end = job, end
		case failed != nil || end == "":
			step.drop = append(step.drop, job)
		}
	}
	return step
}

// jobEnd is how a Job ended, once its pods have; empty before. One that completed without
// a pod that succeeded did nothing, and counts as failed.
func jobEnd(job *batchv1.Job) batchv1.JobConditionType {
	for _, c := range job.Status.Conditions {
		if c.Status == corev1.ConditionTrue && c.Type == batchv1.JobComplete && job.Status.Succeeded < 1 {
			return batchv1.JobFailed
		}
		if c.Status == corev1.ConditionTrue && (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) {
			return c.Type
		}
	}
	return ""
}

// dropJobs deletes Jobs for what is over, unless it is the cache that is behind: what an
// agent has begun it should end, and what one has said should be heard.
func (r *groupReconciler) dropJobs(ctx context.Context, s *groupScope, jobs []*batchv1.Job) (behind bool, err error) {
	if len(jobs) == 0 {
		return false, nil
	}
	live, err := r.confirmFailed(ctx, s)
	if err != nil {
		return false, err
	}
	for _, job := range jobs {
		if live.mark != "" && job.Annotations[understudyv1alpha1.AnnotationFences] == live.mark {
			behind = true
		} else if err := r.deleteJob(ctx, job); err != nil {
			return behind, err
		}
	}
	return behind, nil
}

// fencingJobs are the Jobs of the group that fence.
func fencingJobs(
	ctx context.Context, from client.Reader, g *understudyv1alpha1.ResourceGroup,
) ([]batchv1.Job, error) {
	var list batchv1.JobList
	ours := client.MatchingLabels(builders.Labels(g.Name))
	if err := from.List(ctx, &list, client.InNamespace(g.Namespace), ours); err != nil {
		return nil, fmt.Errorf("listing the Jobs that fence: %w", err)
	}
	return slices.DeleteFunc(list.Items, func(j batchv1.Job) bool { return !isFencingJob(g, &j) }), nil
}

// isFencingJob knows a Job by its mark, which a policy lets nobody but us set, and by the
// labels without which we do not see it.
func isFencingJob(g *understudyv1alpha1.ResourceGroup, job *batchv1.Job) bool {
	_, marked := job.Annotations[understudyv1alpha1.AnnotationFences]
	return marked && labels.SelectorFromSet(builders.Labels(g.Name)).Matches(labels.Set(job.Labels))
}

// dropFencing deletes all Jobs of a group that is gone.
func (r *groupReconciler) dropFencing(
	ctx context.Context, from client.Reader, g *understudyv1alpha1.ResourceGroup,
) error {
	jobs, err := fencingJobs(ctx, from, g)
	for i := range jobs {
		if err == nil {
			err = r.deleteJob(ctx, &jobs[i])
		}
	}
	return err
}

// deleteJob deletes a Job, which stays until its pods are gone: as long as an agent may
// still be at work, its node counts among those that are being ended.
func (r *groupReconciler) deleteJob(ctx context.Context, job *batchv1.Job) error {
	uid := job.UID
	err := r.Delete(ctx, job, client.Preconditions{UID: &uid},
		client.PropagationPolicy(metav1.DeletePropagationForeground))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting the Job %s: %w", job.Name, err)
	}
	return nil
}
