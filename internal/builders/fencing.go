// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package builders

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

const (
	// longestJobName is that of the label by which the pods of a Job are found.
	longestJobName = 63
	// leastTTL keeps a finished Job until the manager has seen how it ended.
	leastTTL int32 = 60
	// envNode tells an agent which node it is to end.
	envNode = "UNDERSTUDY_NODE"
)

// FencingInput is one stop that failed: all that an agent needs to know.
type FencingInput struct {
	Namespace, Group string
	// HostName and HostUID are the pod that the record of ownership names.
	HostName, HostUID string
	Epoch             int64
	// Node is that of the pod, which is to be ended; empty if there is no pod any more.
	// Somebody may have deleted the pod by force: that ends no process.
	Node string
	// Since is when the stop failed: one that fails later under the same epoch needs
	// an agent of its own.
	Since metav1.Time
	// Agent is the CronJob that the group names: the word of no other counts for it. One
	// that is made anew under its name is the same, as is one that is changed: whoever
	// may write it is believed anyhow.
	Agent string
}

// Stop tells this stop from all others.
func (in FencingInput) Stop() string {
	return fmt.Sprintf("%s/%s epoch %d since %s", in.HostName, in.HostUID, in.Epoch, in.Since.UTC().Format(time.RFC3339))
}

// Mark is the annotation of the Job: what it is for, and nothing else.
func (in FencingInput) Mark() string { return in.Stop() + " by " + in.Agent }

// JobName is one for each epoch, so that two managers make one Job.
func (in FencingInput) JobName() string {
	end := "-fence-" + strconv.FormatInt(in.Epoch, 10)
	return in.Group[:min(len(in.Group), longestJobName-len(end))] + end
}

// CheckAgent names what in a template lets a Job complete without a pod that ran to its
// end, or without all that should, or never run: it would say nothing of the node.
func CheckAgent(agent *batchv1.CronJob) error {
	spec := agent.Spec.JobTemplate.Spec
	field, want := "", "must not be set"
	switch {
	case ptr.Deref(spec.Completions, 1) < 1:
		field, want = "completions", "must be at least 1"
	case ptr.Deref(spec.Parallelism, 1) < 1:
		field, want = "parallelism", "must be at least 1"
	case ptr.Deref(spec.Suspend, false):
		field = "suspend"
	case spec.ManagedBy != nil:
		field = "managedBy"
	case spec.SuccessPolicy != nil:
		field = "successPolicy"
	default:
		return nil
	}
	return fmt.Errorf("spec.jobTemplate.spec.%s %s", field, want)
}

// FencingJob is the Job that `kubectl create job --from` makes of a CronJob, told whom
// to end, and kept off that node.
func FencingJob(in FencingInput, agent *batchv1.CronJob) *batchv1.Job {
	template := agent.Spec.JobTemplate.DeepCopy()
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: in.Namespace, Name: in.JobName(),
			Labels: notOurs(template.Labels), Annotations: notOurs(template.Annotations),
		},
		Spec: template.Spec,
	}
	maps.Copy(job.Labels, Labels(in.Group))
	job.Annotations[understudyv1alpha1.AnnotationFences] = in.Mark()
	if ttl := job.Spec.TTLSecondsAfterFinished; ttl != nil {
		job.Spec.TTLSecondsAfterFinished = ptr.To(max(*ttl, leastTTL))
	}
	// No selector shall take the agent for a host.
	pod := &job.Spec.Template
	pod.Labels, pod.Annotations = notOurs(pod.Labels), notOurs(pod.Annotations)
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			tellAgent(&list[i], in)
		}
	}
	avoidNode(&pod.Spec, in.Node)
	return job
}

// FencedNode is the node that a Job ends; empty if it fences none.
func FencedNode(job *batchv1.Job) string {
	if _, marked := job.Annotations[understudyv1alpha1.AnnotationFences]; !marked {
		return ""
	}
	for _, c := range job.Spec.Template.Spec.Containers {
		for _, v := range c.Env {
			if v.Name == envNode {
				return v.Value
			}
		}
	}
	return ""
}

// tellAgent puts what is known first, so that the template's own variables may refer to it.
func tellAgent(c *corev1.Container, in FencingInput) {
	env := []corev1.EnvVar{
		{Name: "UNDERSTUDY_GROUP", Value: in.Group},
		{Name: "UNDERSTUDY_NAMESPACE", Value: in.Namespace},
		{Name: envNode, Value: in.Node},
		{Name: "UNDERSTUDY_POD", Value: in.HostName},
		{Name: "UNDERSTUDY_POD_UID", Value: in.HostUID},
		{Name: "UNDERSTUDY_EPOCH", Value: strconv.FormatInt(in.Epoch, 10)},
	}
	told := map[string]bool{}
	for _, v := range env {
		told[v.Name] = true
	}
	for _, v := range c.Env {
		if !told[v.Name] {
			env = append(env, v)
		}
	}
	c.Env = env
}

// avoidNode keeps a pod off a node. The terms of a selector are alternatives, and one
// that is empty selects nothing.
func avoidNode(spec *corev1.PodSpec, node string) {
	if spec.NodeName == node {
		spec.NodeName = ""
	}
	if spec.Affinity == nil {
		spec.Affinity = &corev1.Affinity{}
	}
	if spec.Affinity.NodeAffinity == nil {
		spec.Affinity.NodeAffinity = &corev1.NodeAffinity{}
	}
	required := &spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	elsewhere := corev1.NodeSelectorRequirement{
		Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpNotIn, Values: []string{node},
	}
	if *required == nil {
		*required = &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchFields: []corev1.NodeSelectorRequirement{elsewhere},
		}}}
		return
	}
	for i := range (*required).NodeSelectorTerms {
		if t := &(*required).NodeSelectorTerms[i]; len(t.MatchExpressions)+len(t.MatchFields) > 0 {
			t.MatchFields = append(t.MatchFields, elsewhere)
		}
	}
}

// notOurs are the labels or annotations that mean nothing to us.
func notOurs(in map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range in {
		if !strings.HasPrefix(k, understudyv1alpha1.GroupName+"/") {
			out[k] = v
		}
	}
	return out
}
