// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/internal/builders"
)

// defaultFenceAfter is how many seconds there are for a kill that works after all, as it is
// repeated each second, before a node is ended with all that runs there. Kubelet ends an
// init that hangs after a minute; who would rather wait for that sets afterSeconds.
const defaultFenceAfter = 10

// behindDelay is how soon we look again when the API server says otherwise than the cache.
// What the cache lacks wakes us when it comes: this is for a watch that hangs, and each look
// asks the API server.
const behindDelay = time.Second

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

func fences(g *understudyv1alpha1.ResourceGroup) bool {
	return g.Spec.StopFailure != nil && g.Spec.StopFailure.Policy == understudyv1alpha1.StopFailureFence
}

// fenceAfter is how long a stop must have failed before the agent runs.
func fenceAfter(g *understudyv1alpha1.ResourceGroup) time.Duration {
	return time.Duration(ptr.Deref(g.Spec.StopFailure.AfterSeconds, defaultFenceAfter)) * time.Second
}

// fence ends the host of an owner whose stop failed, if the group's policy says so: an
// agent does it, and its word is written into the record, for that epoch alone. Jobs
// are all that must be remembered, so that another manager goes on where one died: but for
// the wait before there is one, which begins anew.
func (r *groupReconciler) fence(ctx context.Context, s *groupScope) error {
	failed := failedStop(s.group, s.recorded, s.pods)
	since := r.stops.since(client.ObjectKeyFromObject(s.group), failed, r.now())
	jobs, err := fencingJobs(ctx, r.Client, s.group)
	if err != nil {
		return err
	}
	step := nextFencing(failed, jobs)
	if behind, err := r.dropJobs(ctx, s, step.drop); err != nil || behind {
		s.again(behindDelay)
		return err
	}
	switch {
	case failed == nil, step.job == nil && failed.Node == "":
		return r.tellFencingOver(ctx, s, jobs)
	case step.start:
		agent, err := r.fencingAgent(ctx, s, *failed)
		if agent == nil {
			return err
		}
		due := since.Add(fenceAfter(s.group))
		if wait := due.Sub(r.now()); wait > 0 {
			s.again(wait)
			return r.tellFencing(ctx, s, nil, understudyv1alpha1.ReasonFencingPending, fmt.Sprintf(
				"An agent is to end %s at %s, unless the stop is proven before (epoch %d)",
				victim(*failed), due.UTC().Format(time.RFC3339), failed.Epoch))
		}
		if why, again := s.uselessNow(r.now()); why != "" {
			s.again(again)
			return r.tellFencing(ctx, s, nil, understudyv1alpha1.ReasonFencingPending, fmt.Sprintf(
				"No agent ends %s yet: %s (epoch %d)", victim(*failed), why, failed.Epoch))
		}
		return r.startFencing(ctx, s, *failed, agent)
	case step.job == nil:
		return r.tellFencing(ctx, s, nil, understudyv1alpha1.ReasonFencingPending, fmt.Sprintf(
			"An agent is to end %s once the Job %s of before, which is being deleted, is gone with its pods",
			victim(*failed), failed.JobName()))
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
	live := liveStop{lease: lease}
	// A record that cannot be read names no owner.
	if record, bad := leasev1.Decode(fromLease(lease)); bad == nil {
		live.record = record
		if failed := failedStop(g, &record, s.pods); failed != nil {
			live.mark = failed.Mark()
		}
	}
	return live, nil
}

// fencingAgent is the CronJob that the group names. There is none without a word to people,
// before any wait: one that is missing or useless they should mend meanwhile.
func (r *groupReconciler) fencingAgent(
	ctx context.Context, s *groupScope, failed builders.FencingInput,
) (*batchv1.CronJob, error) {
	agent := &batchv1.CronJob{}
	key := types.NamespacedName{Namespace: failed.Namespace, Name: failed.Agent}
	switch err := r.live.Get(ctx, key, agent); {
	case apierrors.IsNotFound(err):
		s.again(refusedRetry) // nothing tells when it comes
		return nil, r.tellFencing(ctx, s, nil, understudyv1alpha1.ReasonAgentMissing, fmt.Sprintf(
			"The host %s is to be ended by the CronJob %s, which does not exist: create it, or correct "+
				"spec.stopFailure.cronJobName", failed.HostName, failed.Agent))
	case err != nil:
		return nil, fmt.Errorf("reading the CronJob %s: %w", failed.Agent, err)
	}
	if err := builders.CheckAgent(agent); err != nil {
		return nil, r.tellRefused(ctx, s, failed, err)
	}
	return agent, nil
}

// startFencing runs the agent, when it is its turn.
func (r *groupReconciler) startFencing(
	ctx context.Context, s *groupScope, failed builders.FencingInput, agent *batchv1.CronJob,
) error {
	r.fencing.Lock()
	defer r.fencing.Unlock()
	others, err := r.othersEnded(ctx, failed.Node)
	if err != nil {
		return err
	}
	if others >= r.options.MaxFencingNodes {
		s.again(refusedRetry)
		return r.tellFencing(ctx, s, nil, understudyv1alpha1.ReasonFencingPending, fmt.Sprintf(
			"An agent is to end %s when it is its turn: other nodes are being ended (%d, and --max-fencing-nodes of the "+
				"manager is %d)", victim(failed), others, r.options.MaxFencingNodes))
	}
	if live, err := r.confirmFailed(ctx, s); err != nil || live.mark != failed.Mark() {
		s.again(behindDelay)
		return err
	}
	job := builders.FencingJob(failed, agent)
	err = r.Create(ctx, job, client.FieldOwner(fieldManager))
	switch {
	case err == nil:
		return r.tellStarted(ctx, s, failed, job)
	case apierrors.IsAlreadyExists(err):
		there := &batchv1.Job{}
		if err := r.live.Get(ctx, client.ObjectKeyFromObject(job), there); err != nil {
			s.again(behindDelay)
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
	return r.tellRefused(ctx, s, failed, err)
}

// fenceRecord writes that the host is stopped, over the very version that says who it is.
func (r *groupReconciler) fenceRecord(
	ctx context.Context, s *groupScope, failed builders.FencingInput, job *batchv1.Job,
) error {
	live, err := r.confirmFailed(ctx, s)
	if err != nil || live.mark != failed.Mark() {
		s.again(behindDelay)
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
