// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/controllers/plan"
	"github.com/understudy-dev/understudy/internal/builders"
)

// defaultFenceAfter is how many seconds there are for a kill that works after all, as it is
// repeated each second, before a node is ended with all that runs there. Kubelet ends an
// init that hangs after a minute; who would rather wait for that sets afterSeconds.
const defaultFenceAfter = 10

// The verb fence is what the policy of the record asks for, of people and of us alike.
// +kubebuilder:rbac:groups=understudy.dev,resources=resourcegroups,verbs=fence
// +kubebuilder:rbac:groups=batch,resources=cronjobs,verbs=get
// +kubebuilder:rbac:groups=batch,resources=jobs,verbs=get;list;watch;create;delete

// failedStop is the stop for which the group's policy asks for an agent; nil if there
// is none. The owner's word counts only under the epoch that the record has. The node
// is that of the pod, whatever the owner says it is.
func failedStop(
	g *understudyv1alpha1.ResourceGroup, record *leasev1.Record, pods []corev1.Pod,
) *builders.FencingInput {
	failed := apimeta.FindStatusCondition(g.Status.Conditions, understudyv1alpha1.ConditionStopFailed)
	owner := g.Status.Owner
	switch {
	case !fences(g), failed == nil, failed.Status != metav1.ConditionTrue, owner == nil,
		record == nil, !record.Held(), record.Fenced(), owner.Epoch != record.Epoch, owner.PodUID != record.HolderUID:
		return nil
	}
	stop := &builders.FencingInput{
		Namespace: g.Namespace, Group: g.Name, HostName: record.HolderName, HostUID: record.HolderUID,
		Epoch: record.Epoch, Since: failed.LastTransitionTime, Agent: g.Spec.StopFailure.CronJobName,
	}
	if i := slices.IndexFunc(pods, func(p corev1.Pod) bool { return string(p.UID) == record.HolderUID }); i >= 0 {
		stop.Node = pods[i].Spec.NodeName
	}
	return stop
}

// victim names whom an agent ends, for people.
func victim(failed builders.FencingInput) string {
	if failed.Node == "" {
		return fmt.Sprintf("the host %s, whose pod is gone,", failed.HostName)
	}
	return fmt.Sprintf("the host %s on the node %s", failed.HostName, failed.Node)
}

func fences(g *understudyv1alpha1.ResourceGroup) bool {
	return g.Spec.StopFailure != nil && g.Spec.StopFailure.Policy == understudyv1alpha1.StopFailureFence
}

// fencingDue is when the agent may run. A stop failed on another node, by whose clock this
// is: nothing but the wait depends on it.
func fencingDue(g *understudyv1alpha1.ResourceGroup, failed builders.FencingInput) time.Time {
	return failed.Since.Add(time.Duration(ptr.Deref(g.Spec.StopFailure.AfterSeconds, defaultFenceAfter)) * time.Second)
}

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

// fence ends the host of an owner whose stop failed, if the group's policy says so: an
// agent does it, and its word is written into the record, for that epoch alone. Jobs
// are all that is to be remembered, so that another manager goes on where one died.
func (r *groupReconciler) fence(ctx context.Context, s *groupScope) error {
	jobs, err := fencingJobs(ctx, r.Client, s.group)
	if err != nil {
		return err
	}
	failed := failedStop(s.group, s.recorded, s.pods)
	step := nextFencing(failed, jobs)
	if behind, err := r.dropJobs(ctx, s, step.drop); err != nil || behind {
		s.again(conflictDelay)
		return err
	}
	switch {
	case failed == nil, step.job == nil && failed.Node == "":
		return r.tellFencingOver(ctx, s, jobs)
	case step.start:
		due := fencingDue(s.group, *failed)
		if wait := due.Sub(r.now()); wait > 0 {
			s.again(wait)
			return r.tellFencing(ctx, s, nil, understudyv1alpha1.ReasonFencingPending, fmt.Sprintf(
				"An agent is to end %s at %s, unless the stop is proven before (epoch %d)",
				victim(*failed), due.UTC().Format(time.RFC3339), failed.Epoch))
		}
		return r.startFencing(ctx, s, *failed)
	case step.job == nil:
		return nil
	case step.end == batchv1.JobComplete:
		return r.fenceRecord(ctx, s, *failed, step.job)
	case step.end == batchv1.JobFailed:
		return r.tellFencing(ctx, s, step.job, understudyv1alpha1.ReasonFencingFailed, fmt.Sprintf(
			"The Job %s, which was to end %s, failed: look at its pods, and delete the Job to try "+
				"again, or, if the node is off for certain, fence the host by hand",
			step.job.Name, victim(*failed)))
	}
	return r.tellStarted(ctx, s, *failed, step.job)
}

func (r *groupReconciler) tellStarted(
	ctx context.Context, s *groupScope, failed builders.FencingInput, job *batchv1.Job,
) error {
	return r.tellFencing(ctx, s, job, understudyv1alpha1.ReasonFencingStarted, fmt.Sprintf(
		"The Job %s is ending %s because its stop is not proven (epoch %d)", job.Name, victim(failed), failed.Epoch))
}

// liveStop is a stop that failed by what the API server itself says.
type liveStop struct {
	lease  *coordinationv1.Lease
	record leasev1.Record
	// mark is empty if there is none, or none any more.
	mark string
}

// confirmFailed asks the API server itself for what was judged by the cache: a node is
// ended for it, a rival begins, or an agent is interrupted.
func (r *groupReconciler) confirmFailed(ctx context.Context, s *groupScope) (liveStop, error) {
	g, lease := &understudyv1alpha1.ResourceGroup{}, &coordinationv1.Lease{}
	if err := r.live.Get(ctx, client.ObjectKeyFromObject(s.group), g); err != nil {
		return liveStop{}, client.IgnoreNotFound(err)
	}
	if err := r.live.Get(ctx, s.leaseKey(), lease); err != nil {
		return liveStop{}, client.IgnoreNotFound(err)
	}
	record, bad := leasev1.Decode(fromLease(lease))
	if bad != nil {
		return liveStop{}, nil
	}
	live := liveStop{lease: lease, record: record}
	if failed := failedStop(g, &record, s.pods); failed != nil {
		live.mark = failed.Mark()
	}
	return live, nil
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

// startFencing runs the agent, when it is its turn.
func (r *groupReconciler) startFencing(ctx context.Context, s *groupScope, failed builders.FencingInput) error {
	r.fencing.Lock()
	defer r.fencing.Unlock()
	others, err := r.othersEnded(ctx, failed.Node)
	if err != nil {
		return err
	}
	if len(others) >= r.options.MaxFencingNodes {
		s.again(refusedRetry)
		return r.tellFencing(ctx, s, nil, understudyv1alpha1.ReasonFencingPending, fmt.Sprintf(
			"An agent is to end %s when it is its turn: other nodes are being ended (%s), as many at once as "+
				"--max-fencing-nodes of the manager allows", victim(failed), strings.Join(others, ", ")))
	}
	if live, err := r.confirmFailed(ctx, s); err != nil || live.mark != failed.Mark() {
		s.again(conflictDelay)
		return err
	}
	agent := &batchv1.CronJob{}
	key := types.NamespacedName{Namespace: s.group.Namespace, Name: s.group.Spec.StopFailure.CronJobName}
	switch err := r.live.Get(ctx, key, agent); {
	case apierrors.IsNotFound(err):
		s.again(refusedRetry) // nothing tells when it comes
		return r.tellFencing(ctx, s, nil, understudyv1alpha1.ReasonAgentMissing, fmt.Sprintf(
			"The host %s is to be ended by the CronJob %s, which does not exist: create it, or correct "+
				"spec.stopFailure.cronJobName", failed.HostName, key.Name))
	case err != nil:
		return fmt.Errorf("reading the CronJob %s: %w", key.Name, err)
	}
	job := builders.FencingJob(failed, agent)
	err = builders.CheckAgent(agent)
	if err == nil {
		err = r.Create(ctx, job, client.FieldOwner(fieldManager))
		switch {
		case err == nil:
			return r.tellStarted(ctx, s, failed, job)
		case apierrors.IsAlreadyExists(err):
			there := &batchv1.Job{}
			if err := r.live.Get(ctx, client.ObjectKeyFromObject(job), there); err != nil {
				s.again(conflictDelay)
				return client.IgnoreNotFound(err)
			}
			if isFencingJob(s.group, there) {
				s.again(refusedRetry) // the cache does not know it yet, and tells when it does
				return nil
			}
			err = fmt.Errorf("the Job %q exists and is not Understudy's: delete it", job.Name)
		case !refused(err):
			return fmt.Errorf("creating the Job %s: %w", job.Name, err)
		}
	}
	s.again(refusedRetry)
	return r.tellFencing(ctx, s, nil, understudyv1alpha1.ReasonAgentRefused, fmt.Sprintf(
		"The host %s is to be ended by a Job of the CronJob %s, which cannot be created: %s",
		failed.HostName, key.Name, err))
}

// fenceRecord writes that the host is stopped, over the very version that says who it is.
func (r *groupReconciler) fenceRecord(
	ctx context.Context, s *groupScope, failed builders.FencingInput, job *batchv1.Job,
) error {
	live, err := r.confirmFailed(ctx, s)
	if err != nil || live.mark != failed.Mark() {
		s.again(conflictDelay)
		return err
	}
	lease, record := live.lease, live.record
	fenced, _ := leasev1.Fence(record, fencedBy(job))
	intoLease(leasev1.Encode(fenced, fromLease(lease)), lease)
	if err := r.Update(ctx, lease, client.FieldOwner(fieldManager)); err != nil {
		return fmt.Errorf("fencing the host %s: %w", failed.HostName, err)
	}
	s.lease, s.recorded, s.quiet = lease, &fenced, 0
	return r.tellFencing(ctx, s, job, understudyv1alpha1.ReasonFenced, fencedMessage(job, record.HolderName))
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

// deleteJob deletes a Job with its pods, which the API server would leave.
func (r *groupReconciler) deleteJob(ctx context.Context, job *batchv1.Job) error {
	uid := job.UID
	err := r.Delete(ctx, job, client.Preconditions{UID: &uid},
		client.PropagationPolicy(metav1.DeletePropagationBackground))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting the Job %s: %w", job.Name, err)
	}
	return nil
}
