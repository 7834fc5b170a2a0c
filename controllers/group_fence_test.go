// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/internal/builders"
)

var stopFailedAt = time.Unix(1_700_000_000, 0)

// stuck is a group under the policy Fence whose owner could not stop.
func stuck() (*understudyv1alpha1.ResourceGroup, *leasev1.Record, []corev1.Pod) {
	g := &understudyv1alpha1.ResourceGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "db"}}
	g.Spec.StopFailure = &understudyv1alpha1.StopFailure{Policy: understudyv1alpha1.StopFailureFence, CronJobName: "off"}
	g.Status.Owner = &understudyv1alpha1.GroupOwnerStatus{Epoch: 7, PodUID: "a", NodeName: "another, as it says"}
	g.Status.Conditions = []metav1.Condition{{
		Type: understudyv1alpha1.ConditionStopFailed, Status: metav1.ConditionTrue,
		LastTransitionTime: metav1.NewTime(stopFailedAt),
	}}
	pod := func(name, uid, node string) corev1.Pod {
		return corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(uid)}, Spec: corev1.PodSpec{NodeName: node},
		}
	}
	return g, &leasev1.Record{Epoch: 7, HolderUID: "a", HolderName: "db-0"},
		[]corev1.Pod{pod("db-1", "b", "two"), pod("db-0", "a", "one")}
}

// A node is ended for the word of the present owner alone, and it is the owner's own.
func TestFailedStop(t *testing.T) {
	for what, change := range map[string]func(*understudyv1alpha1.ResourceGroup, *leasev1.Record, []corev1.Pod){
		"":          nil,
		"no policy": func(g *understudyv1alpha1.ResourceGroup, _ *leasev1.Record, _ []corev1.Pod) { g.Spec.StopFailure = nil },
		"Block": func(g *understudyv1alpha1.ResourceGroup, _ *leasev1.Record, _ []corev1.Pod) {
			g.Spec.StopFailure.Policy = understudyv1alpha1.StopFailureBlock
		},
		"nothing said": func(g *understudyv1alpha1.ResourceGroup, _ *leasev1.Record, _ []corev1.Pod) {
			g.Status.Conditions = nil
		},
		"proven": func(g *understudyv1alpha1.ResourceGroup, _ *leasev1.Record, _ []corev1.Pod) {
			g.Status.Conditions[0].Status = metav1.ConditionFalse
		},
		"no owner":               func(g *understudyv1alpha1.ResourceGroup, _ *leasev1.Record, _ []corev1.Pod) { g.Status.Owner = nil },
		"said by the one before": func(_ *understudyv1alpha1.ResourceGroup, r *leasev1.Record, _ []corev1.Pod) { r.Epoch = 8 },
		"said by another":        func(_ *understudyv1alpha1.ResourceGroup, r *leasev1.Record, _ []corev1.Pod) { r.HolderUID = "b" },
		"free": func(_ *understudyv1alpha1.ResourceGroup, r *leasev1.Record, _ []corev1.Pod) {
			r.HolderUID, r.ReleasedEpoch = "", 7
		},
		"fenced":    func(_ *understudyv1alpha1.ResourceGroup, r *leasev1.Record, _ []corev1.Pod) { r.FencedEpoch = 7 },
		"no record": nil,
	} {
		t.Run(what, func(t *testing.T) {
			g, record, pods := stuck()
			if what == "no record" {
				record = nil
			}
			if change != nil {
				change(g, record, pods)
			}
			f := failedStop(g, record, pods)
			if what != "" {
				if f != nil {
					t.Errorf("%+v is to be fenced", f)
				}
				return
			}
			if f == nil || f.Namespace+"/"+f.Group != "shop/db" || f.Epoch != 7 || f.HostName != "db-0" || f.Node != "one" ||
				f.Mark() != "db-0/a epoch 7 since 2023-11-14T22:13:20Z by off" {
				t.Errorf("%+v", f)
			}
		})
	}
}

// That the pod is gone says nothing of what runs, and so changes nothing but that the node
// is not known.
func TestFailedStopWithoutAPod(t *testing.T) {
	g, record, pods := stuck()
	want := *failedStop(g, record, pods)
	pods[1].UID = "c" // of its name, and not it
	have := *failedStop(g, record, pods)
	if have.Mark() != want.Mark() || have.Node != "" {
		t.Errorf("%+v, want %+v without the node", have, want)
	}
}

// A Job counts for the stop that it was made for. What was left by another is in the way.
func TestNextFencing(t *testing.T) {
	failed := func(change func(*builders.FencingInput)) *builders.FencingInput {
		f := failedStop(stuck())
		change(f)
		return f
	}
	now := failed(func(*builders.FencingInput) {})
	later := failed(func(f *builders.FencingInput) { f.Since = metav1.NewTime(f.Since.Add(time.Second)) })
	before := failed(func(f *builders.FencingInput) { f.Epoch = 6 })
	podGone := failed(func(f *builders.FencingInput) { f.Node = "" })
	other := failed(func(f *builders.FencingInput) { f.Agent = "another" })
	job := func(f *builders.FencingInput, ends ...batchv1.JobConditionType) batchv1.Job {
		j := batchv1.Job{ObjectMeta: metav1.ObjectMeta{
			Name: f.JobName(), Annotations: map[string]string{understudyv1alpha1.AnnotationFences: f.Mark()},
		}}
		for _, end := range ends {
			if end == batchv1.JobComplete {
				j.Status.Succeeded = 1
			}
			j.Status.Conditions = append(j.Status.Conditions, batchv1.JobCondition{Type: end, Status: corev1.ConditionTrue})
		}
		return j
	}
	leaving := func(j batchv1.Job) batchv1.Job {
		j.DeletionTimestamp = &metav1.Time{Time: time.Unix(1_700_000_000, 0)}
		return j
	}
	notYet := job(now, batchv1.JobComplete)
	notYet.Status.Conditions[0].Status = corev1.ConditionFalse
	empty := job(now, batchv1.JobSuccessCriteriaMet, batchv1.JobComplete)
	empty.Status.Succeeded = 0
	for what, test := range map[string]struct {
		failed *builders.FencingInput
		jobs   []batchv1.Job
		want   string
	}{
		"nothing to do":                       {nil, nil, ""},
		"begins":                              {now, nil, "start"},
		"runs":                                {now, []batchv1.Job{job(now)}, "runs db-fence-7"},
		"its pods are still ending":           {now, []batchv1.Job{job(now, batchv1.JobSuccessCriteriaMet)}, "runs db-fence-7"},
		"is not complete":                     {now, []batchv1.Job{notYet}, "runs db-fence-7"},
		"completed":                           {now, []batchv1.Job{job(now, batchv1.JobSuccessCriteriaMet, batchv1.JobComplete)}, "Complete db-fence-7"},
		"completed, and nothing ran":          {now, []batchv1.Job{empty}, "Failed db-fence-7"},
		"failed":                              {now, []batchv1.Job{job(now, batchv1.JobFailureTarget, batchv1.JobFailed)}, "Failed db-fence-7"},
		"deleted by hand, gone":               {now, nil, "start"},
		"deleted by hand, leaving":            {now, []batchv1.Job{leaving(job(now, batchv1.JobComplete))}, ""},
		"the stop was proven":                 {nil, []batchv1.Job{job(now)}, "drop db-fence-7"},
		"the stop was proven, after it ended": {nil, []batchv1.Job{job(now, batchv1.JobComplete)}, ""},
		"another stop of the same owner":      {later, []batchv1.Job{job(now, batchv1.JobComplete)}, "drop db-fence-7"},
		"the pod is gone":                     {podGone, nil, ""},
		"the pod is gone, and the agent runs": {podGone, []batchv1.Job{job(now)}, "runs db-fence-7"},
		"the pod is gone, and the agent did":  {podGone, []batchv1.Job{job(now, batchv1.JobComplete)}, "Complete db-fence-7"},
		"another agent":                       {other, []batchv1.Job{job(now)}, "drop db-fence-7"},
		"another agent, after this one ended": {other, []batchv1.Job{job(now, batchv1.JobComplete)}, "drop db-fence-7"},
		"another owner":                       {now, []batchv1.Job{job(before, batchv1.JobComplete)}, "drop db-fence-6, start"},
		"another owner, and it still runs":    {now, []batchv1.Job{job(before), job(now)}, "drop db-fence-6, runs db-fence-7"},
	} {
		t.Run(what, func(t *testing.T) {
			step := nextFencing(test.failed, test.jobs)
			var have []string
			for _, j := range step.drop {
				have = append(have, "drop "+j.Name)
			}
			slices.Sort(have)
			if step.start {
				have = append(have, "start")
			}
			switch {
			case step.job != nil && step.end == "":
				have = append(have, "runs "+step.job.Name)
			case step.job != nil:
				have = append(have, string(step.end)+" "+step.job.Name)
			}
			if have := strings.Join(have, ", "); have != test.want {
				t.Errorf("%q, want %q", have, test.want)
			}
		})
	}
}

// noJobs is an API server that has a group, and cannot list Jobs.
type noJobs struct {
	client.Client
	group *understudyv1alpha1.ResourceGroup
	err   error
}

func (n *noJobs) Get(_ context.Context, key client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	if g, is := o.(*understudyv1alpha1.ResourceGroup); is {
		n.group.DeepCopyInto(g)
		return nil
	}
	return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
}

func (n *noJobs) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	if _, is := list.(*batchv1.JobList); is {
		return n.err
	}
	return nil
}

func (n *noJobs) Status() client.SubResourceWriter { return noJobsStatus{server: n} }

type noJobsStatus struct {
	client.SubResourceWriter
	server *noJobs
}

func (n noJobsStatus) Patch(
	_ context.Context, o client.Object, _ client.Patch, _ ...client.SubResourcePatchOption,
) error {
	n.server.group = o.DeepCopyObject().(*understudyv1alpha1.ResourceGroup)
	return nil
}

// Whatever is wrong with Jobs, a deleted group goes down.
func TestFencingKeepsNoDeletion(t *testing.T) {
	g, _, _ := stuck()
	g.DeletionTimestamp, g.Finalizers = &metav1.Time{Time: time.Unix(1_700_000_000, 0)}, []string{understudyv1alpha1.Finalizer}
	server := &noJobs{group: g, err: errors.New("down")}
	r := &groupReconciler{
		base: base{Client: server, live: server}, now: time.Now,
		leases: newLeaseWatch(), stops: newStopWatch(), rollouts: newSlots(1, func(types.NamespacedName) {}),
	}
	_, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(g)})
	if !errors.Is(err, server.err) {
		t.Errorf("%v, want that it is tried again", err)
	}
	if !apimeta.IsStatusConditionTrue(server.group.Status.Conditions, understudyv1alpha1.ConditionRetiring) {
		t.Error("it is not retired")
	}
}

// A cache that is behind tells when it is not any more: nothing is asked all the time.
func TestFencingWaitsForTheCache(t *testing.T) {
	server := newFenceServer(t)
	failed := failedStop(server.group, server.record(t), server.pods)
	server.jobs = []batchv1.Job{*builders.FencingJob(*failed, server.agent)}
	r, s := server.scope()
	if err := r.startFencing(t.Context(), s, *failed, server.agent); err != nil {
		t.Fatal(err)
	}
	if s.requeue != refusedRetry {
		t.Errorf("tried again after %s, want %s", s.requeue, refusedRetry)
	}
}

// A node is ended for a stop that has failed for a while, and a kill may work meanwhile. The
// manager counts by its own clock: when the owner says that it failed is no matter.
func TestFencingAfter(t *testing.T) {
	for what, test := range map[string]struct {
		after *int32
		wait  time.Duration
		ahead time.Duration
	}{
		"default":                        {nil, 10 * time.Second, 0},
		"at once":                        {ptr.To[int32](0), 0, 0},
		"longer":                         {ptr.To[int32](90), 90 * time.Second, 0},
		"the clock of the owner ahead":   {nil, 10 * time.Second, time.Hour},
		"the clock of the owner behind":  {nil, 10 * time.Second, -time.Hour},
		"at once, whatever the clock is": {ptr.To[int32](0), 0, time.Hour},
	} {
		t.Run(what, func(t *testing.T) {
			server := newFenceServer(t)
			server.group.Spec.StopFailure.AfterSeconds = test.after
			seen := stopFailedAt.Add(-test.ahead)
			for _, waited := range []time.Duration{0, test.wait - time.Second, test.wait} {
				waited = max(waited, 0)
				server.now = seen.Add(waited)
				_, s := server.fence(t)
				if c := server.fencing(); waited == test.wait {
					if len(server.jobs) != 1 || c == nil || c.Reason != understudyv1alpha1.ReasonFencingStarted {
						t.Errorf("when it is time: %d Jobs, %+v", len(server.jobs), c)
					}
				} else if due := seen.Add(test.wait).UTC().Format(time.RFC3339); len(server.jobs) != 0 ||
					s.requeue != test.wait-waited || c == nil || c.Status != metav1.ConditionFalse ||
					c.Reason != understudyv1alpha1.ReasonFencingPending || !strings.Contains(c.Message, due) {
					t.Errorf("after %s: %d Jobs, another look after %s, %+v", waited, len(server.jobs), s.requeue, c)
				}
			}
		})
	}
}

// The wait is for one stop, of which a manager knows what it has seen itself.
func TestFencingCountsAnew(t *testing.T) {
	for what, test := range map[string]struct {
		change func(*fenceServer)
		anew   bool
	}{
		"nothing happened": {func(*fenceServer) {}, false},
		"another agent is due": {func(s *fenceServer) {
			s.group.Spec.StopFailure.CronJobName, s.agent.Name = "better", "better"
		}, false},
		"another manager": {func(s *fenceServer) { s.stops = newStopWatch() }, true},
		"it failed again": {func(s *fenceServer) {
			s.group.Status.Conditions[0].LastTransitionTime = metav1.NewTime(stopFailedAt.Add(time.Second))
		}, true},
	} {
		t.Run(what, func(t *testing.T) {
			server := newFenceServer(t)
			server.group.Spec.StopFailure.AfterSeconds = nil
			server.fence(t)
			test.change(server)
			server.now = server.now.Add(defaultFenceAfter * time.Second)
			server.fence(t)
			if c := server.fencing(); (c.Reason == understudyv1alpha1.ReasonFencingPending) != test.anew {
				t.Errorf("%+v", c)
			}
			server.now = server.now.Add(defaultFenceAfter * time.Second)
			server.fence(t)
			if c := server.fencing(); c.Reason != understudyv1alpha1.ReasonFencingStarted {
				t.Errorf("in the end: %+v", c)
			}
		})
	}
}

// Nothing is remembered of a stop that is proven, or of a group that is gone.
func TestFencingForgets(t *testing.T) {
	server := newFenceServer(t)
	server.fence(t)
	if len(server.stops.seen) != 1 {
		t.Fatalf("it remembers %v", server.stops.seen)
	}
	server.group.Status.Conditions[0].Status = metav1.ConditionFalse
	server.fence(t)
	if len(server.stops.seen) != 0 {
		t.Errorf("of a stop that is proven it remembers %v", server.stops.seen)
	}

	g, _, _ := stuck()
	down := &noGroup{noJobs: noJobs{group: g, err: errors.New("down")}}
	r := &groupReconciler{
		base: base{Client: down, live: down}, now: time.Now,
		leases: newLeaseWatch(), stops: newStopWatch(), rollouts: newSlots(1, func(types.NamespacedName) {}),
	}
	key := client.ObjectKeyFromObject(g)
	r.stops.since(key, failedStop(stuck()), r.now())
	if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: key}); !errors.Is(err, down.err) {
		t.Fatal(err)
	}
	if len(r.stops.seen) != 0 {
		t.Errorf("of a group that is gone it remembers %v", r.stops.seen)
	}
}

// noGroup is an API server whose group is gone.
type noGroup struct{ noJobs }

func (n *noGroup) Get(_ context.Context, key client.ObjectKey, _ client.Object, _ ...client.GetOption) error {
	return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
}

// A wrong agent is told at once, whatever else the fencing waits for.
func TestFencingLooksAtTheAgentFirst(t *testing.T) {
	for agent, want := range map[string]string{
		"missing": understudyv1alpha1.ReasonAgentMissing, "useless": understudyv1alpha1.ReasonAgentRefused,
	} {
		for wait, until := range map[string]func(*fenceServer){
			"its turn": func(s *fenceServer) { s.elsewhere = []batchv1.Job{*elsewhere(s)} },
			"its time": func(s *fenceServer) { s.group.Spec.StopFailure.AfterSeconds = ptr.To[int32](3600) },
		} {
			t.Run(agent+", before "+wait, func(t *testing.T) {
				server := newFenceServer(t)
				until(server)
				if server.agent.Spec.JobTemplate.Spec.Suspend = ptr.To(true); agent == "missing" {
					server.agent = nil
				}
				_, s := server.fence(t)
				if c := server.fencing(); c == nil || c.Reason != want || len(server.jobs) != 0 || s.requeue != refusedRetry {
					t.Errorf("%d Jobs, another look after %s, %+v, want %s", len(server.jobs), s.requeue, c, want)
				}
			})
		}
	}
}

// An agent at work goes on, whatever the wait is now.
func TestFencingAfterIsNoReprieve(t *testing.T) {
	server := newFenceServer(t)
	server.fence(t)
	server.group.Spec.StopFailure.AfterSeconds = ptr.To[int32](3600)
	server.fence(t)
	if c := server.fencing(); len(server.jobs) != 1 || c.Reason != understudyv1alpha1.ReasonFencingStarted {
		t.Errorf("%d Jobs, %+v", len(server.jobs), c)
	}
}

// An agent is not interrupted, nor its word thrown away, because the cache is behind.
func TestFencingDropsNothingByTheCache(t *testing.T) {
	for what, old := range map[string]func(*understudyv1alpha1.ResourceGroup, *leasev1.Record){
		"before the stop failed": func(g *understudyv1alpha1.ResourceGroup, _ *leasev1.Record) {
			g.Status.Conditions[0].Status = metav1.ConditionFalse
		},
		"before it failed again": func(g *understudyv1alpha1.ResourceGroup, _ *leasev1.Record) {
			g.Status.Conditions[0].LastTransitionTime = metav1.NewTime(stopFailedAt.Add(-time.Minute))
		},
		"before the policy": func(g *understudyv1alpha1.ResourceGroup, _ *leasev1.Record) { g.Spec.StopFailure = nil },
		"before the owner":  func(_ *understudyv1alpha1.ResourceGroup, r *leasev1.Record) { r.Epoch = 6 },
	} {
		for how, ends := range map[string][]batchv1.JobCondition{
			"runs": nil, "completed": {{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}},
		} {
			t.Run(what+", "+how, func(t *testing.T) {
				server, cache := newFenceServer(t), newFenceServer(t)
				server.fence(t)
				record := cache.record(t)
				old(cache.group, record)
				intoLease(leasev1.Encode(*record, leasev1.Lease{}), cache.lease)
				server.jobs[0].Status.Conditions, server.jobs[0].Status.Succeeded = ends, 1
				server.cache, cache.jobs = cache, server.jobs
				_, s := server.fence(t)
				c := server.fencing()
				if len(server.jobs) != 1 || c == nil || c.Reason != understudyv1alpha1.ReasonFencingStarted ||
					s.requeue != time.Second && len(ends) == 0 {
					t.Errorf("%d Jobs, another look after %s, %+v", len(server.jobs), s.requeue, c)
				}
				server.cache = nil
				server.fence(t)
				want := understudyv1alpha1.ReasonFencingStarted
				if len(ends) > 0 {
					want = understudyv1alpha1.ReasonFenced
				}
				if c := server.fencing(); len(server.jobs) != 1 || c == nil || c.Reason != want {
					t.Errorf("when the cache is as new: %d Jobs, %+v, want %s", len(server.jobs), c, want)
				}
			})
		}
	}
}
