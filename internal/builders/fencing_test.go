// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package builders_test

import (
	"math"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/internal/builders"
)

func fencingInput() builders.FencingInput {
	return builders.FencingInput{
		Namespace: "shop", Group: "db", Epoch: 7, HostName: "db-3", HostUID: "uid-3", Node: "node-1",
	}
}

func agent(pod corev1.PodSpec) *batchv1.CronJob {
	lies := map[string]string{
		"app": "agent", understudyv1alpha1.LabelGroup: "db", understudyv1alpha1.LabelUpgrade: "db",
		understudyv1alpha1.AnnotationFences: "anybody",
	}
	return &batchv1.CronJob{Spec: batchv1.CronJobSpec{JobTemplate: batchv1.JobTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: lies, Annotations: lies},
		Spec: batchv1.JobSpec{
			TTLSecondsAfterFinished: ptr.To[int32](0),
			Template:                corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: lies, Annotations: lies}, Spec: pod},
		},
	}}}
}

// The agent is told whom to end, whatever its template says, and is no host of the group.
func TestFencingJob(t *testing.T) {
	g := NewWithT(t)
	template := agent(corev1.PodSpec{
		InitContainers: []corev1.Container{{Name: "ask"}},
		Containers: []corev1.Container{{Name: "end", Env: []corev1.EnvVar{
			{Name: "UNDERSTUDY_NODE", Value: "lie"}, {Name: "URL", Value: "https://power/$(UNDERSTUDY_NODE)"},
		}}},
	})
	before := template.DeepCopy()
	job := builders.FencingJob(fencingInput(), template)
	g.Expect(template).To(Equal(before), "the template is not ours to change")
	g.Expect(job.Namespace + "/" + job.Name).To(Equal("shop/db-fence-7"))
	g.Expect(job.OwnerReferences).To(BeEmpty())
	g.Expect(job.Labels).To(Equal(map[string]string{
		"app": "agent", understudyv1alpha1.LabelGroup: "db", understudyv1alpha1.LabelManagedBy: "understudy",
	}))
	g.Expect(job.Annotations).To(Equal(map[string]string{
		"app": "agent", understudyv1alpha1.AnnotationFences: fencingInput().Mark(),
	}))
	pod := job.Spec.Template
	g.Expect(pod.Labels).To(Equal(map[string]string{"app": "agent"}))
	g.Expect(pod.Annotations).To(Equal(map[string]string{"app": "agent"}))
	g.Expect(job.Spec.TTLSecondsAfterFinished).To(HaveValue(BeEquivalentTo(60)), "it is seen before it goes")

	var told []string
	for _, v := range pod.Spec.Containers[0].Env {
		told = append(told, v.Name+"="+v.Value)
	}
	want := []string{
		"UNDERSTUDY_GROUP=db", "UNDERSTUDY_NAMESPACE=shop", "UNDERSTUDY_NODE=node-1", "UNDERSTUDY_POD=db-3",
		"UNDERSTUDY_POD_UID=uid-3", "UNDERSTUDY_EPOCH=7",
	}
	g.Expect(told).To(Equal(append(want, "URL=https://power/$(UNDERSTUDY_NODE)")), "first, so that it may be referred to")
	g.Expect(pod.Spec.InitContainers[0].Env).To(HaveLen(len(want)))

	g.Expect(builders.FencedNode(job)).To(Equal("node-1"))
	delete(job.Annotations, understudyv1alpha1.AnnotationFences)
	g.Expect(builders.FencedNode(job)).To(BeEmpty(), "no Job that fences")
}

// The agent never runs on the node that it ends.
func TestFencingJobAvoidsTheNode(t *testing.T) {
	elsewhere := corev1.NodeSelectorRequirement{
		Key: "metadata.name", Operator: corev1.NodeSelectorOpNotIn, Values: []string{"node-1"},
	}
	zone := corev1.NodeSelectorRequirement{Key: "zone", Operator: corev1.NodeSelectorOpExists}
	terms := func(list ...corev1.NodeSelectorTerm) *corev1.Affinity {
		return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: list},
		}}
	}
	alone := corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{elsewhere}}
	for what, test := range map[string]struct{ have, want *corev1.Affinity }{
		"none":    {nil, terms(alone)},
		"of pods": {&corev1.Affinity{PodAffinity: &corev1.PodAffinity{}}, terms(alone)},
		"an alternative": {terms(corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{zone}}, alone), terms(
			corev1.NodeSelectorTerm{
				MatchExpressions: []corev1.NodeSelectorRequirement{zone}, MatchFields: []corev1.NodeSelectorRequirement{elsewhere},
			}, corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{elsewhere, elsewhere}})},
		"one that selects nothing": {terms(corev1.NodeSelectorTerm{}), terms(corev1.NodeSelectorTerm{})},
	} {
		t.Run(what, func(t *testing.T) {
			g := NewWithT(t)
			job := builders.FencingJob(fencingInput(), agent(corev1.PodSpec{NodeName: "node-1", Affinity: test.have}))
			g.Expect(job.Spec.Template.Spec.NodeName).To(BeEmpty())
			g.Expect(job.Spec.Template.Spec.Affinity.NodeAffinity).To(Equal(test.want.NodeAffinity))
		})
	}
}

// The name fits into the label of the Job's pods, and tells epochs apart.
func TestFencingJobName(t *testing.T) {
	g := NewWithT(t)
	long := fencingInput()
	long.Group, long.Epoch = strings.Repeat("g", 40), math.MaxInt64
	g.Expect(long.JobName()).To(HaveLen(63))
	g.Expect(long.JobName()).To(HaveSuffix("g-fence-9223372036854775807"))
	long.Epoch = 1_700_000_000
	g.Expect(long.JobName()).To(Equal(long.Group + "-fence-1700000000"))
}

// A Job that ends, or waits, without having run is no word on a node.
func TestCheckAgent(t *testing.T) {
	for what, test := range map[string]struct {
		spec batchv1.JobSpec
		want string
	}{
		"nothing said":     {},
		"once":             {spec: batchv1.JobSpec{Completions: ptr.To[int32](1), Parallelism: ptr.To[int32](1)}},
		"more than once":   {spec: batchv1.JobSpec{Completions: ptr.To[int32](2), Parallelism: ptr.To[int32](2)}},
		"a queue":          {spec: batchv1.JobSpec{Parallelism: ptr.To[int32](2)}},
		"not suspended":    {spec: batchv1.JobSpec{Suspend: ptr.To(false)}},
		"never":            {batchv1.JobSpec{Completions: ptr.To[int32](0)}, "completions must be at least 1"},
		"by nobody":        {batchv1.JobSpec{Parallelism: ptr.To[int32](0)}, "parallelism must be at least 1"},
		"suspended":        {batchv1.JobSpec{Suspend: ptr.To(true)}, "suspend must not be set"},
		"of another":       {batchv1.JobSpec{ManagedBy: ptr.To("example.test/them")}, "managedBy must not be set"},
		"of nobody":        {batchv1.JobSpec{ManagedBy: ptr.To("")}, "managedBy must not be set"},
		"some are enough":  {batchv1.JobSpec{SuccessPolicy: &batchv1.SuccessPolicy{}}, "successPolicy must not be set"},
		"more than one is": {batchv1.JobSpec{Completions: ptr.To[int32](0), Suspend: ptr.To(true)}, "completions must be at least 1"},
	} {
		t.Run(what, func(t *testing.T) {
			g := NewWithT(t)
			template := agent(corev1.PodSpec{})
			template.Spec.JobTemplate.Spec = test.spec
			if err := builders.CheckAgent(template); test.want == "" {
				g.Expect(err).NotTo(HaveOccurred())
			} else {
				g.Expect(err).To(MatchError("spec.jobTemplate.spec." + test.want))
			}
		})
	}
}
