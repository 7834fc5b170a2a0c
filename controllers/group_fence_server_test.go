// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"slices"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

// fenceServer is an API server, and the clock of its manager, with one group whose owner
// could not stop.
type fenceServer struct {
	client.Client
	group *understudyv1alpha1.ResourceGroup
	lease *coordinationv1.Lease
	agent *batchv1.CronJob
	jobs  []batchv1.Job
	// elsewhere are the Jobs of other namespaces.
	elsewhere []batchv1.Job
	// pods are the group's, which the manager has in its cache.
	pods []corev1.Pod
	now  time.Time
	// quiet is how long the record has not been renewed.
	quiet time.Duration
	// stops is what the manager remembers.
	stops *stopWatch
	// cache is what the manager reads if it does not ask the server itself; nil: it is
	// as new as the server.
	cache *fenceServer
}

func newFenceServer(t *testing.T) *fenceServer {
	t.Helper()
	g, record, pods := stuck()
	record.UID, record.ResourceVersion, record.Protocol = "lease", "1", leasev1.Protocol
	record.Inc, record.Seq, record.Duration, record.Members = "inc", 1, leasev1.DefaultD, leasev1.Members{leasev1.AnyMember}
	f := &fenceServer{
		group: g, lease: &coordinationv1.Lease{}, pods: pods, now: stopFailedAt, stops: newStopWatch(),
		agent: &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Namespace: g.Namespace, Name: g.Spec.StopFailure.CronJobName}},
	}
	g.Spec.StopFailure.AfterSeconds = ptr.To[int32](0)
	g.Status.Hosts = map[string]understudyv1alpha1.HostStatus{}
	for i := range pods {
		g.Status.Hosts[pods[i].Name] = understudyv1alpha1.HostStatus{PodUID: string(pods[i].UID), Ready: true}
		pods[i].Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	}
	f.agent.Spec.JobTemplate.Spec.Template.Spec.Containers = []corev1.Container{{Name: "off"}}
	intoLease(leasev1.Encode(*record, leasev1.Lease{}), f.lease)
	f.record(t)
	return f
}

func (f *fenceServer) record(t *testing.T) *leasev1.Record {
	t.Helper()
	record, err := leasev1.Decode(fromLease(f.lease))
	if err != nil {
		t.Fatal(err)
	}
	return &record
}

// reads is what the manager sees without asking the server.
func (f *fenceServer) reads() *fenceServer {
	if f.cache != nil {
		return f.cache
	}
	return f
}

// scope is the manager at work on the group as it sees it.
func (f *fenceServer) scope() (*groupReconciler, *groupScope) {
	r := &groupReconciler{
		base: base{
			Client: &cachedClient{Client: f, reads: f.reads()}, live: f, events: events.NewFakeRecorder(20),
			options: Options{MaxFencingNodes: DefaultMaxFencingNodes},
		},
		stops: f.stops, now: func() time.Time { return f.now },
	}
	s := &groupScope{
		group: f.reads().group.DeepCopy(), pods: f.reads().pods, nodes: map[string]*corev1.Node{},
		quiet: f.quiet, wait: leasev1.W(leasev1.DefaultD),
	}
	for _, p := range s.pods {
		s.nodes[p.Spec.NodeName] = &corev1.Node{Status: corev1.NodeStatus{
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
		}}
	}
	return r, s
}

// fence lets the manager look once.
func (f *fenceServer) fence(t *testing.T) (*groupReconciler, *groupScope) {
	t.Helper()
	r, s := f.scope()
	s.recorded = f.reads().record(t)
	if err := r.fence(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	return r, s
}

func (f *fenceServer) fencing() *metav1.Condition {
	return apimeta.FindStatusCondition(f.group.Status.Conditions, understudyv1alpha1.ConditionFencing)
}

func (f *fenceServer) find(o client.Object) int {
	return slices.IndexFunc(f.jobs, func(j batchv1.Job) bool { return j.Name == o.GetName() })
}

func (f *fenceServer) Get(_ context.Context, key client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	switch o := o.(type) {
	case *understudyv1alpha1.ResourceGroup:
		f.group.DeepCopyInto(o)
	case *coordinationv1.Lease:
		f.lease.DeepCopyInto(o)
	case *batchv1.CronJob:
		if f.agent == nil || f.agent.Name != key.Name {
			return apierrors.NewNotFound(batchv1.Resource("cronjobs"), key.Name)
		}
		f.agent.DeepCopyInto(o)
	case *batchv1.Job:
		o.Name = key.Name
		i := f.find(o)
		if i < 0 {
			return apierrors.NewNotFound(batchv1.Resource("jobs"), key.Name)
		}
		f.jobs[i].DeepCopyInto(o)
	}
	return nil
}

func (f *fenceServer) List(_ context.Context, list client.ObjectList, opts ...client.ListOption) error {
	jobs, is := list.(*batchv1.JobList)
	if !is {
		return nil
	}
	asked := (&client.ListOptions{}).ApplyOptions(opts)
	for _, job := range slices.Concat(f.jobs, f.elsewhere) {
		if (asked.Namespace == "" || asked.Namespace == job.Namespace) && asked.LabelSelector.Matches(labels.Set(job.Labels)) {
			jobs.Items = append(jobs.Items, job)
		}
	}
	return nil
}

func (f *fenceServer) Create(_ context.Context, o client.Object, _ ...client.CreateOption) error {
	if f.find(o) >= 0 {
		return apierrors.NewAlreadyExists(batchv1.Resource("jobs"), o.GetName())
	}
	job := *o.(*batchv1.Job)
	job.CreationTimestamp = metav1.NewTime(f.now)
	f.jobs = append(f.jobs, job)
	return nil
}

// Delete keeps what is deleted in the foreground until its pods are gone: see collect.
func (f *fenceServer) Delete(_ context.Context, o client.Object, opts ...client.DeleteOption) error {
	asked := (&client.DeleteOptions{}).ApplyOptions(opts)
	i := f.find(o)
	switch {
	case i < 0:
	case ptr.Deref(asked.PropagationPolicy, metav1.DeletePropagationBackground) == metav1.DeletePropagationForeground:
		f.jobs[i].DeletionTimestamp = ptr.To(metav1.NewTime(f.now))
	default:
		f.jobs = slices.Delete(f.jobs, i, i+1)
	}
	return nil
}

// collect plays the garbage collector, and the kubelet that ends the pods.
func (f *fenceServer) collect() {
	f.jobs = slices.DeleteFunc(f.jobs, func(j batchv1.Job) bool { return !j.DeletionTimestamp.IsZero() })
}

func (f *fenceServer) Update(_ context.Context, o client.Object, _ ...client.UpdateOption) error {
	f.lease = o.DeepCopyObject().(*coordinationv1.Lease)
	return nil
}

func (f *fenceServer) Status() client.SubResourceWriter { return fenceServerStatus{server: f} }

type fenceServerStatus struct {
	client.SubResourceWriter
	server *fenceServer
}

func (f fenceServerStatus) Patch(
	_ context.Context, o client.Object, _ client.Patch, _ ...client.SubResourcePatchOption,
) error {
	f.server.group = o.DeepCopyObject().(*understudyv1alpha1.ResourceGroup)
	return nil
}

// cachedClient writes to a server, and reads what it said once.
type cachedClient struct {
	client.Client
	reads client.Reader
}

func (c *cachedClient) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	return c.reads.Get(ctx, key, o, opts...)
}

func (c *cachedClient) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	return c.reads.List(ctx, list, opts...)
}
