//go:build envtest

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"testing"

	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/internal/builders"
)

// jobSpec is what an agent runs; nothing runs it here.
func jobSpec() batchv1.JobSpec {
	return batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyNever,
		Containers:    []corev1.Container{{Name: "end", Image: "example.test/agent:1"}},
	}}}
}

// newAgent is a CronJob that never runs by itself.
func newAgent(ns string) *batchv1.CronJob {
	return &batchv1.CronJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "power-off"},
		Spec: batchv1.CronJobSpec{
			Schedule: "0 0 31 2 *", Suspend: ptr.To(true), JobTemplate: batchv1.JobTemplateSpec{Spec: jobSpec()},
		},
	}
}

// stuckOwner has the group db, under the epoch 1000, and cannot stop it.
type stuckOwner struct {
	ns    string
	hosts []corev1.Pod
	// own and other are the clients of its monitor and of the standby's.
	own, other client.Client
}

func stuck(g Gomega, t *testing.T, policy *understudyv1alpha1.StopFailure) *stuckOwner {
	t.Helper()
	w := &stuckOwner{ns: namespace(t, nil)}
	w.hosts = readyGroup(g, t, w.ns)
	w.own, w.other = monitorOf(g, t, &w.hosts[0]), monitorOf(g, t, &w.hosts[1])
	w.policy(g, t, policy)
	g.Eventually(func() error { return take(t.Context(), w.own, w.ns, &w.hosts[0], 1_000) }, soon, "100ms").Should(Succeed())
	w.say(g, t, metav1.ConditionTrue)
	return w
}

func (w *stuckOwner) policy(g Gomega, t *testing.T, policy *understudyv1alpha1.StopFailure) {
	t.Helper()
	changeGroup(g, t, w.ns, func(s *understudyv1alpha1.ResourceGroupSpec) { s.StopFailure = policy })
}

func fenceBy(agent string) *understudyv1alpha1.StopFailure {
	return &understudyv1alpha1.StopFailure{
		Policy: understudyv1alpha1.StopFailureFence, CronJobName: agent, AfterSeconds: ptr.To[int32](0),
	}
}

// say is the owner's word on whether its stop failed.
func (w *stuckOwner) say(g Gomega, t *testing.T, failed metav1.ConditionStatus) {
	t.Helper()
	g.Eventually(func() error {
		one := group(g, t, w.ns, "db")
		patch := client.MergeFromWithOptions(one.DeepCopy(), client.MergeFromWithOptimisticLock{})
		one.Status.Owner = &understudyv1alpha1.GroupOwnerStatus{
			Epoch: 1_000, PodUID: string(w.hosts[0].UID), PodName: w.hosts[0].Name, State: understudyv1alpha1.GroupPending,
		}
		apimeta.SetStatusCondition(&one.Status.Conditions, metav1.Condition{
			Type: understudyv1alpha1.ConditionStopFailed, Status: failed, Reason: "Test",
		})
		return w.own.Status().Patch(t.Context(), one, patch)
	}, soon, "50ms").Should(Succeed())
}

// fencing waits for the manager's word.
func (w *stuckOwner) fencing(g Gomega, t *testing.T, reason string, message string) {
	t.Helper()
	g.Eventually(func(g Gomega) {
		g.Expect(condition(g, t, w.ns, understudyv1alpha1.ConditionFencing)).To(HaveValue(And(
			HaveField("Reason", reason), HaveField("Message", ContainSubstring(message)))))
	}, 2*soon, "50ms").Should(Succeed())
}

func (w *stuckOwner) noFencing(g Gomega, t *testing.T) {
	t.Helper()
	g.Eventually(func(g Gomega) {
		g.Expect(condition(g, t, w.ns, understudyv1alpha1.ConditionFencing)).To(BeNil())
	}, soon, "50ms").Should(Succeed())
}

func (w *stuckOwner) jobs(g Gomega, t *testing.T) []batchv1.Job {
	var list batchv1.JobList
	g.Expect(c.List(t.Context(), &list, client.InNamespace(w.ns))).To(Succeed())
	return list.Items
}

// job waits for the one that is to end the host of the owner.
func (w *stuckOwner) job(g Gomega, t *testing.T) *batchv1.Job {
	t.Helper()
	job := &batchv1.Job{}
	g.Eventually(func(g Gomega) { get(g, t, w.ns, "db-fence-1000", job) }, 2*soon, "50ms").Should(Succeed())
	return job
}

func (w *stuckOwner) fenced(g Gomega, t *testing.T) (int64, string) {
	r, err := leasev1.Decode(leaseOf(get(g, t, w.ns, leasev1.Name("db"), &coordinationv1.Lease{})))
	g.Expect(err).NotTo(HaveOccurred())
	return r.FencedEpoch, r.FencedBy
}

// remains checks that nothing is fenced, and the Jobs stay so many.
func (w *stuckOwner) remains(g Gomega, t *testing.T, jobs int) {
	t.Helper()
	g.Consistently(func(g Gomega) {
		epoch, _ := w.fenced(g, t)
		g.Expect(epoch).To(BeZero())
		g.Expect(w.jobs(g, t)).To(HaveLen(jobs))
	}, "1500ms", "50ms").Should(Succeed())
}

// end plays the controller of Jobs.
func end(g Gomega, t *testing.T, job *batchv1.Job, how batchv1.JobConditionType) {
	t.Helper()
	now := ptr.To(metav1.Now())
	condition := func(kind batchv1.JobConditionType) batchv1.JobCondition {
		return batchv1.JobCondition{Type: kind, Status: corev1.ConditionTrue, Reason: "Test", LastTransitionTime: *now}
	}
	job.Status.StartTime = now
	if how == batchv1.JobComplete {
		job.Status.CompletionTime, job.Status.Succeeded = now, 1
		job.Status.Conditions = []batchv1.JobCondition{condition(batchv1.JobSuccessCriteriaMet), condition(how)}
	} else {
		job.Status.Conditions = []batchv1.JobCondition{condition(batchv1.JobFailureTarget), condition(how)}
	}
	g.Expect(c.Status().Update(t.Context(), job)).To(Succeed())
}

// The agent runs once; its word fences the owner for its epoch, and no later one.
func TestFencing(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	w := stuck(g, t, nil)
	w.remains(g, t, 0) // Block is the default
	create(g, t, newAgent(w.ns))
	w.policy(g, t, fenceBy("power-off"))
	w.fencing(g, t, understudyv1alpha1.ReasonFencingStarted, "ending the host db-0 on the node "+w.ns+"-db-0")
	job := w.job(g, t)
	g.Expect(job.Spec.Template.Spec.Containers[0].Env).To(ContainElements(
		corev1.EnvVar{Name: "UNDERSTUDY_NODE", Value: w.ns + "-db-0"}, corev1.EnvVar{Name: "UNDERSTUDY_EPOCH", Value: "1000"},
		corev1.EnvVar{Name: "UNDERSTUDY_POD_UID", Value: string(w.hosts[0].UID)}))
	w.remains(g, t, 1)

	g.Expect(take(t.Context(), w.own, w.ns, &w.hosts[0], 1_000)).To(Succeed(), "it renews still")
	end(g, t, job, batchv1.JobComplete)
	w.fencing(g, t, understudyv1alpha1.ReasonFenced, "db-fence-1000 ended the host db-0")
	epoch, by := w.fenced(g, t)
	g.Expect(epoch).To(BeEquivalentTo(1_000))
	g.Expect(by).To(Equal("Job " + w.ns + "/db-fence-1000"))

	g.Expect(take(t.Context(), w.other, w.ns, &w.hosts[1], 1_001)).To(Succeed())
	w.remains(g, t, 1)
	g.Expect(w.job(g, t).UID).To(Equal(job.UID), "the same Job all the time")
	w.fencing(g, t, understudyv1alpha1.ReasonFenced, "db-0") // it stays said
	w.policy(g, t, nil)
	w.noFencing(g, t)
}

// The agent has to wait, and people see until when; a stop that is proven meanwhile ends no node.
func TestFencingPending(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	w := stuck(g, t, nil)
	create(g, t, newAgent(w.ns))
	later := fenceBy("power-off")
	later.AfterSeconds = ptr.To[int32](3600)
	w.policy(g, t, later)
	w.fencing(g, t, understudyv1alpha1.ReasonFencingPending,
		"to end the host db-0 on the node "+w.ns+"-db-0 at ")
	w.remains(g, t, 0)
	w.say(g, t, metav1.ConditionFalse)
	w.noFencing(g, t)

	w.say(g, t, metav1.ConditionTrue)
	w.fencing(g, t, understudyv1alpha1.ReasonFencingPending, "db-0")
	later.AfterSeconds = ptr.To[int32](4)
	w.policy(g, t, later)
	w.job(g, t)
	w.fencing(g, t, understudyv1alpha1.ReasonFencingStarted, "db-0")
}

// Nothing is fenced by an agent that is not there, or fails; each says what to do next.
func TestFencingFails(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	w := stuck(g, t, fenceBy("power-off"))
	w.fencing(g, t, understudyv1alpha1.ReasonAgentMissing, "the CronJob power-off, which does not exist: create it")
	w.remains(g, t, 0)
	create(g, t, newAgent(w.ns))
	job := w.job(g, t) // nothing told the manager, it looks again
	end(g, t, job, batchv1.JobFailed)
	w.fencing(g, t, understudyv1alpha1.ReasonFencingFailed, "delete the Job to try again")
	w.remains(g, t, 1)

	g.Expect(c.Delete(t.Context(), job, client.PropagationPolicy(metav1.DeletePropagationBackground))).To(Succeed())
	w.fencing(g, t, understudyv1alpha1.ReasonFencingStarted, "db-0")
	again := w.job(g, t)
	g.Expect(again.UID).NotTo(Equal(job.UID))
	end(g, t, again, batchv1.JobComplete)
	w.fencing(g, t, understudyv1alpha1.ReasonFenced, "db-0")
}

// force deletes a pod as the API server alone does it, whatever runs there.
func force(g Gomega, t *testing.T, pod *corev1.Pod) {
	t.Helper()
	g.Expect(c.Delete(t.Context(), pod, client.GracePeriodSeconds(0))).To(Succeed())
	gone(g, t, pod)
}

// Whoever deletes the owner's pod by force ends no process of it: an agent at work goes on,
// and its word counts. None begins: nobody says any more which node it was.
func TestFencingWithoutThePod(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	w := stuck(g, t, nil)
	create(g, t, newAgent(w.ns))
	w.policy(g, t, fenceBy("power-off"))
	job := w.job(g, t)
	force(g, t, &w.hosts[0])
	w.fencing(g, t, understudyv1alpha1.ReasonFencingStarted, "ending the host db-0, whose pod is gone")
	w.remains(g, t, 1)
	g.Expect(w.job(g, t).UID).To(Equal(job.UID), "the same Job all the time")
	end(g, t, w.job(g, t), batchv1.JobComplete)
	w.fencing(g, t, understudyv1alpha1.ReasonFenced, "db-0")

	late := stuck(g, t, nil)
	create(g, t, newAgent(late.ns))
	force(g, t, &late.hosts[0])
	late.policy(g, t, fenceBy("power-off"))
	late.remains(g, t, 0)
	late.noFencing(g, t)
}

// The word of an agent that has been replaced does not count, not even if it comes first.
func TestFencingByAnotherAgent(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	w := stuck(g, t, fenceBy("power-off"))
	better := newAgent(w.ns)
	better.Name, better.Spec.JobTemplate.Spec.Template.Spec.Containers[0].Image = "better", "example.test/agent:2"
	create(g, t, newAgent(w.ns), better)
	job := w.job(g, t)
	w.policy(g, t, fenceBy("better"))
	w.calledOff(g, t, job)
	g.Eventually(func(g Gomega) { g.Expect(w.job(g, t).UID).NotTo(Equal(job.UID)) }, 2*soon, "100ms").Should(Succeed())
	again := w.job(g, t)
	g.Expect(again.Spec.Template.Spec.Containers[0].Image).To(Equal("example.test/agent:2"))
	w.remains(g, t, 1)
	end(g, t, again, batchv1.JobComplete)
	w.fencing(g, t, understudyv1alpha1.ReasonFenced, "db-0")
}

// A template that would complete without running is not run: its word would be worth
// nothing. Nor is that of a Job that completed so all the same.
func TestFencingByNothing(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	w := stuck(g, t, nil)
	agent := newAgent(w.ns)
	agent.Spec.JobTemplate.Spec.Completions = ptr.To[int32](0)
	create(g, t, agent)
	w.policy(g, t, fenceBy("power-off"))
	w.fencing(g, t, understudyv1alpha1.ReasonAgentRefused, "spec.jobTemplate.spec.completions must be at least 1")
	w.remains(g, t, 0)
	g.Expect(c.Patch(t.Context(), agent, merge(`{"spec":{"jobTemplate":{"spec":{"completions":1}}}}`))).To(Succeed())
	job := w.job(g, t)
	now := ptr.To(metav1.Now())
	job.Status.StartTime, job.Status.CompletionTime = now, now
	for _, kind := range []batchv1.JobConditionType{batchv1.JobSuccessCriteriaMet, batchv1.JobComplete} {
		job.Status.Conditions = append(job.Status.Conditions, batchv1.JobCondition{
			Type: kind, Status: corev1.ConditionTrue, Reason: "Test", LastTransitionTime: *now,
		})
	}
	g.Expect(c.Status().Update(t.Context(), job)).To(Succeed())
	w.fencing(g, t, understudyv1alpha1.ReasonFencingFailed, "delete the Job to try again")
	w.remains(g, t, 1)
}

// An agent that is not needed any more is called off.
func TestFencingIsCalledOff(t *testing.T) {
	t.Parallel()
	for what, over := range map[string]func(Gomega, *testing.T, *stuckOwner){
		"the stop is proven": func(g Gomega, t *testing.T, w *stuckOwner) { w.say(g, t, metav1.ConditionFalse) },
		"the policy is Block": func(g Gomega, t *testing.T, w *stuckOwner) {
			w.policy(g, t, &understudyv1alpha1.StopFailure{Policy: understudyv1alpha1.StopFailureBlock})
		},
		"another host has the group": func(g Gomega, t *testing.T, w *stuckOwner) {
			g.Expect(take(t.Context(), w.other, w.ns, &w.hosts[1], 1_001)).To(Succeed())
		},
		"the record is released": func(g Gomega, t *testing.T, w *stuckOwner) {
			g.Expect(take(t.Context(), w.own, w.ns, nil, 1_000)).To(Succeed())
		},
		"a person fences": func(g Gomega, t *testing.T, w *stuckOwner) {
			lease := get(g, t, w.ns, leasev1.Name("db"), &coordinationv1.Lease{})
			g.Expect(c.Patch(t.Context(), lease, merge(`{"metadata":{"annotations":{
				"understudy.dev/fenced-epoch":"1000","understudy.dev/fenced-by":"a person"}}}`))).To(Succeed())
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			w := stuck(g, t, nil)
			create(g, t, newAgent(w.ns))
			w.policy(g, t, fenceBy("power-off"))
			w.fencing(g, t, understudyv1alpha1.ReasonFencingStarted, "db-0")
			job := w.job(g, t)
			over(g, t, w)
			w.noFencing(g, t)
			w.calledOff(g, t, job)
			g.Consistently(func(g Gomega) { g.Expect(w.jobs(g, t)).To(BeEmpty()) }, "1s", "50ms").Should(Succeed())
		})
	}
}

// calledOff waits until the Job is deleted as one whose pods may still run, and plays the
// garbage collector, which lets it go when they are gone.
func (w *stuckOwner) calledOff(g Gomega, t *testing.T, job *batchv1.Job) {
	t.Helper()
	g.Eventually(func(g Gomega) {
		now := get(g, t, w.ns, job.Name, &batchv1.Job{})
		g.Expect(now.UID).To(Equal(job.UID))
		g.Expect(now.DeletionTimestamp).NotTo(BeNil())
		g.Expect(now.Finalizers).To(ConsistOf(metav1.FinalizerDeleteDependents))
	}, 2*soon, "50ms").Should(Succeed())
	g.Expect(c.Patch(t.Context(), job.DeepCopy(), merge(`{"metadata":{"finalizers":null}}`))).To(Succeed())
}

func (w *stuckOwner) job0() *batchv1.Job {
	return &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "db-fence-1000"}}
}

// A Job of that name that is somebody else's is neither believed nor touched.
func TestFencingJobOfSomebodyElse(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	w := stuck(g, t, nil)
	theirs := w.job0()
	theirs.Spec, theirs.Labels = jobSpec(), builders.Labels("db")
	create(g, t, newAgent(w.ns), theirs)
	end(g, t, theirs, batchv1.JobComplete)
	w.policy(g, t, fenceBy("power-off"))
	w.fencing(g, t, understudyv1alpha1.ReasonAgentRefused, `the Job "db-fence-1000" exists and is not Understudy's: delete it`)
	w.remains(g, t, 1)
	g.Expect(w.job(g, t).UID).To(Equal(theirs.UID))
}

// A Job that the manager cannot see, because somebody mightier than the policy took its
// label, is shown to people.
func TestFencingJobWithoutItsLabel(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	w := stuck(g, t, nil)
	create(g, t, newAgent(w.ns))
	w.policy(g, t, fenceBy("power-off"))
	job := w.job(g, t)
	g.Expect(c.Patch(t.Context(), job, merge(`{"metadata":{"labels":{"app.kubernetes.io/managed-by":null}}}`))).To(Succeed())
	w.fencing(g, t, understudyv1alpha1.ReasonAgentRefused, `the Job "db-fence-1000" exists and is not Understudy's: delete it`)
	w.remains(g, t, 1)
	g.Expect(c.Delete(t.Context(), job, client.PropagationPolicy(metav1.DeletePropagationBackground))).To(Succeed())
	g.Eventually(func(g Gomega) { g.Expect(w.job(g, t).UID).NotTo(Equal(job.UID)) }, 2*soon, "100ms").Should(Succeed())
}

// A deleted group whose owner cannot stop is ended in the same way, and leaves no Job.
func TestFencingOfADeletedGroup(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	w := stuck(g, t, fenceBy("power-off"))
	create(g, t, newAgent(w.ns))
	g.Expect(c.Delete(t.Context(), group(g, t, w.ns, "db"))).To(Succeed())
	var job *batchv1.Job
	g.Eventually(func(g Gomega) { // the lease of an owner that does not renew would run out
		g.Expect(take(t.Context(), w.own, w.ns, &w.hosts[0], 1_000)).To(Succeed())
		job = get(g, t, w.ns, "db-fence-1000", &batchv1.Job{})
	}, 2*soon, "200ms").Should(Succeed())
	end(g, t, job, batchv1.JobComplete)
	removePod(g, t, w.ns, "db-1") // that of the owner needs no kubelet: its host is ended
	w.calledOff(g, t, job)
	g.Eventually(func(g Gomega) {
		g.Expect(apierrors.IsNotFound(c.Get(t.Context(), client.ObjectKey{Namespace: w.ns, Name: "db"},
			&understudyv1alpha1.ResourceGroup{}))).To(BeTrue())
		g.Expect(w.jobs(g, t)).To(BeEmpty())
	}, soon, "50ms").Should(Succeed())
}

// To name the agent is to answer for what it says, as to fence by hand; and nobody but
// the manager makes a Job whose word counts, or changes what it runs.
func TestFencingPolicy(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	w := stuck(g, t, nil)
	ctx, ns := t.Context(), w.ns
	edit := editor(g, t, ns)
	admin := person(g, t, ns, "admin", nil, "system:aggregate-to-edit", "understudy-viewer", "understudy-editor", "understudy-admin")
	fencer := person(g, t, ns, "fencer", []rbacv1.PolicyRule{{
		APIGroups: []string{understudyv1alpha1.GroupName}, Resources: []string{"resourcegroups"},
		ResourceNames: []string{"other"}, Verbs: []string{"fence"},
	}}, "system:aggregate-to-edit", "understudy-viewer", "understudy-editor")
	change := func(as client.Client, policy *understudyv1alpha1.StopFailure) error {
		one := group(g, t, ns, "db")
		patch := client.MergeFrom(one.DeepCopy())
		one.Spec.StopFailure = policy
		return as.Patch(ctx, one, patch)
	}
	needs := MatchError(ContainSubstring("needs the verb fence on the ResourceGroup db"))
	g.Eventually(func() error { return change(edit, fenceBy("mine")) }, soon, "100ms").Should(needs)
	g.Expect(change(fencer, fenceBy("mine"))).To(needs, "of another group")
	g.Expect(change(edit, &understudyv1alpha1.StopFailure{Policy: understudyv1alpha1.StopFailureBlock})).To(Succeed())
	fresh := newGroup(ns, "fresh")
	fresh.Spec.StopFailure = fenceBy("mine")
	g.Expect(edit.Create(ctx, fresh)).To(MatchError(ContainSubstring("needs the verb fence on the ResourceGroup fresh")))
	fresh.Name, fresh.GenerateName = "", "fresh-"
	g.Expect(edit.Create(ctx, fresh)).To(MatchError(ContainSubstring("needs the verb fence on the ResourceGroup fresh-")))

	create(g, t, newAgent(ns))
	g.Eventually(func() error { return change(admin, fenceBy("power-off")) }, soon, "100ms").Should(Succeed())
	job := w.job(g, t)
	g.Expect(change(edit, fenceBy("mine"))).To(needs, "another agent")
	g.Expect(edit.Patch(ctx, group(g, t, ns, "db"), merge(`{"spec":{"hosts":3}}`))).To(Succeed(), "what is not the agent's")

	forged := w.job0()
	forged.Spec, forged.Labels, forged.Annotations = jobSpec(), job.Labels, job.Annotations
	forged.Name = "forged"
	alone := MatchError(ContainSubstring("made by the manager alone"))
	for who, as := range map[string]client.Client{"edit": edit, "admin": admin} {
		g.Expect(as.Create(ctx, forged.DeepCopy())).To(alone, who)
		for _, patch := range []string{
			`{"spec":{"suspend":true}}`, `{"spec":{"parallelism":0}}`,
			`{"metadata":{"annotations":{"understudy.dev/fences":null}}}`,
			`{"metadata":{"annotations":{"understudy.dev/fences":"another"}}}`,
			`{"metadata":{"labels":{"understudy.dev/group":"other"}}}`,
			`{"metadata":{"labels":{"app.kubernetes.io/managed-by":"other"}}}`,
			`{"metadata":{"labels":{"app.kubernetes.io/managed-by":null}}}`,
		} {
			g.Expect(as.Patch(ctx, job.DeepCopy(), merge(patch))).To(alone, "%s: %s", who, patch)
		}
	}
	plain := w.job0()
	plain.Name, plain.Spec = "plain", jobSpec()
	g.Expect(edit.Create(ctx, plain)).To(Succeed(), "a Job of theirs")
	g.Expect(edit.Patch(ctx, plain.DeepCopy(), merge(`{"metadata":{"annotations":{"understudy.dev/fences":"a"}}}`))).To(alone)
	g.Expect(edit.Patch(ctx, job.DeepCopy(), merge(`{"metadata":{"labels":{"seen":"yes"}}}`))).To(Succeed(), "a label of theirs")
	g.Expect(edit.Delete(ctx, job, client.PropagationPolicy(metav1.DeletePropagationBackground))).To(Succeed(), "to try again")
	g.Expect(change(edit, nil)).To(Succeed(), "to give it up")
}

// That an agent has ended a node is said by the controller of Jobs: not by whoever may
// patch a status, nor by the way that a status may take its metadata along.
func TestFencingJobStatus(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	w := stuck(g, t, fenceBy("power-off"))
	create(g, t, newAgent(w.ns))
	job := w.job(g, t)
	patcher := person(g, t, w.ns, "patcher", []rbacv1.PolicyRule{{
		APIGroups: []string{batchv1.GroupName}, Resources: []string{"jobs/status"}, Verbs: []string{"update", "patch"},
	}}, "system:aggregate-to-edit", "understudy-viewer", "understudy-editor", "understudy-admin")
	alone := MatchError(ContainSubstring("said by the controller of Jobs alone"))
	done := merge(`{"status":{"active":0,"succeeded":1,"startTime":"2026-01-01T00:00:00Z","completionTime":"2026-01-01T00:00:00Z",
		"conditions":[{"type":"SuccessCriteriaMet","status":"True"},{"type":"Complete","status":"True"}]}}`)
	mark := merge(`{"metadata":{"annotations":{"understudy.dev/fences":"a"}}}`)
	g.Expect(patcher.Status().Patch(t.Context(), job.DeepCopy(), done)).To(alone)
	plain := w.job0()
	plain.Name, plain.Spec = "plain", jobSpec()
	create(g, t, plain)
	ours := MatchError(ContainSubstring("made by the manager alone"))
	g.Expect(patcher.Status().Patch(t.Context(), plain.DeepCopy(), mark)).To(ours)
	g.Expect(patcher.Status().Patch(t.Context(), plain.DeepCopy(), done)).To(Succeed(), "a Job of theirs")
	// What the controllers have by themselves is to update; nor has the second of them that
	// where each controller has an account of its own.
	const own, all = "system:serviceaccount:kube-system:job-controller", "system:kube-controller-manager"
	user := func(name string) rbacv1.Subject {
		return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}
	}
	create(g, t, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "controllers"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "patcher"},
		Subjects:   []rbacv1.Subject{user(own), user(all)},
	})
	g.Eventually(func() error {
		return impersonate(g, all).Status().Patch(t.Context(), job.DeepCopy(), merge(`{"status":{"active":1}}`))
	}, soon, "100ms").Should(Succeed())
	controller := impersonate(g, own)
	g.Expect(controller.Status().Patch(t.Context(), job.DeepCopy(), mark)).To(ours, "not whom it ends")
	w.remains(g, t, 2)
	g.Expect(controller.Status().Patch(t.Context(), job.DeepCopy(), done)).To(Succeed())
	w.fencing(g, t, understudyv1alpha1.ReasonFenced, "db-0")
}

// impersonate is a client of one of Kubernetes' own users.
func impersonate(g Gomega, user string) client.Client {
	as := rest.CopyConfig(config)
	as.Impersonate = rest.ImpersonationConfig{UserName: user}
	out, err := client.New(as, client.Options{Scheme: c.Scheme()})
	g.Expect(err).NotTo(HaveOccurred())
	return out
}
