// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/internal/builders"
)

// elsewhere is an agent of another group at work.
func elsewhere(server *fenceServer) *batchv1.Job {
	job := builders.FencingJob(builders.FencingInput{
		Namespace: "bank", Group: "ledger", Epoch: 3, HostName: "ledger-0", HostUID: "x", Node: "nine",
	}, &batchv1.CronJob{Spec: batchv1.CronJobSpec{JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{
		Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "off"}}}},
	}}}})
	job.CreationTimestamp = metav1.NewTime(server.now.Add(time.Second - fencingTurn))
	return job
}

// No more nodes are ended at once than the manager is told, so that what stops many hosts
// does not have all their nodes ended.
func TestFencingInTurn(t *testing.T) {
	for what, test := range map[string]struct {
		change func(*fenceServer, *batchv1.Job)
		most   int
		starts bool
	}{
		"another node is being ended": {func(*fenceServer, *batchv1.Job) {}, 1, false},
		"two may be":                  {func(*fenceServer, *batchv1.Job) {}, 2, true},
		"another has been": {func(_ *fenceServer, j *batchv1.Job) {
			j.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobFailed, Status: corev1.ConditionTrue}}
		}, 1, true},
		"another is called off, and its pods run": {func(_ *fenceServer, j *batchv1.Job) {
			j.DeletionTimestamp = &j.CreationTimestamp
		}, 1, false},
		"another has been, and is being deleted": {func(_ *fenceServer, j *batchv1.Job) {
			j.DeletionTimestamp = &j.CreationTimestamp
			j.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobFailed, Status: corev1.ConditionTrue}}
		}, 1, true},
		"it is the same node":  {func(s *fenceServer, _ *batchv1.Job) { s.pods[1].Spec.NodeName = "nine" }, 1, true},
		"its agent never ends": {func(s *fenceServer, _ *batchv1.Job) { s.now = s.now.Add(time.Second) }, 1, true},
		"it is a Job like any": {func(_ *fenceServer, j *batchv1.Job) {
			delete(j.Annotations, understudyv1alpha1.AnnotationFences)
		}, 1, true},
	} {
		t.Run(what, func(t *testing.T) {
			server := newFenceServer(t)
			other := elsewhere(server)
			test.change(server, other)
			server.elsewhere = []batchv1.Job{*other}
			r, s := server.scope()
			r.options.MaxFencingNodes = test.most
			s.recorded = server.record(t)
			if err := r.fence(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			c := server.fencing()
			switch {
			case c == nil:
				t.Fatal("nothing is said")
			case test.starts && (len(server.jobs) != 1 || c.Reason != understudyv1alpha1.ReasonFencingStarted):
				t.Errorf("%d Jobs, %+v, want that it began", len(server.jobs), c)
			case !test.starts && (len(server.jobs) != 0 || c.Reason != understudyv1alpha1.ReasonFencingPending ||
				!strings.Contains(c.Message, "(1, and") || strings.Contains(c.Message, "nine") || s.requeue != refusedRetry):
				t.Errorf("%d Jobs, another look after %s, %+v, want that it waits", len(server.jobs), s.requeue, c)
			}
		})
	}
}

// oneAtATime fails a test whose manager may start two agents at the same time.
type oneAtATime struct {
	*fenceServer
	t  *testing.T
	by *groupReconciler
	at []string
}

func (o *oneAtATime) look(what string) {
	o.at = append(o.at, what)
	if o.by.fencing.TryLock() {
		o.by.fencing.Unlock()
		o.t.Errorf("%s: another group may do the same now", what)
	}
}

func (o *oneAtATime) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	o.look("counts")
	return o.fenceServer.List(ctx, list, opts...)
}

func (o *oneAtATime) Create(ctx context.Context, job client.Object, opts ...client.CreateOption) error {
	o.look("creates")
	return o.fenceServer.Create(ctx, job, opts...)
}

// From the count of the agents to the next one, no other group counts.
func TestFencingCountsOneByOne(t *testing.T) {
	server := newFenceServer(t)
	r, s := server.scope()
	watch := &oneAtATime{fenceServer: server, t: t, by: r}
	r.Client, r.live = watch, watch
	failed := failedStop(server.group, server.record(t), server.pods)
	if err := r.startFencing(t.Context(), s, *failed, server.agent); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(watch.at, []string{"counts", "creates"}) {
		t.Errorf("it %v", watch.at)
	}
}

// A Job that is called off keeps its node among those that are being ended until its pods are
// gone: no other begins before, of whatever group, and the next one of its own has its name.
func TestFencingCalledOffStillCounts(t *testing.T) {
	server := newFenceServer(t)
	server.fence(t)
	server.group.Spec.StopFailure.CronJobName, server.agent.Name = "better", "better"
	for range 2 {
		r, _ := server.fence(t)
		n, err := r.othersEnded(t.Context(), "two")
		if err != nil {
			t.Fatal(err)
		}
		c := server.fencing()
		if n != 1 || len(server.jobs) != 1 || c.Reason != understudyv1alpha1.ReasonFencingPending ||
			!strings.Contains(c.Message, "db-fence-7") {
			t.Fatalf("%d are being ended, %d Jobs, %+v", n, len(server.jobs), c)
		}
	}
	server.collect()
	server.fence(t)
	if c := server.fencing(); len(server.jobs) != 1 || c.Reason != understudyv1alpha1.ReasonFencingStarted ||
		!server.jobs[0].DeletionTimestamp.IsZero() {
		t.Errorf("when it is gone: %d Jobs, %+v", len(server.jobs), c)
	}
}
