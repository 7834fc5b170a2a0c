// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package placement_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/controllers/placement"
	"github.com/understudy-dev/understudy/internal/layout"
)

var now = time.Unix(1_000_000, 0)

// world reads a group from words: a word a host, "number:flags". The flags are
// r ready, p pending (no node), d deleting, f finished, n node not ready, l node
// not ready for long, g node gone, c node cordoned, o owner, b built from the old
// template, m monitor of another image, u its image was changed and kubelet has not
// seen it, s it has been started again since, y created four seconds ago, z in two, by a clock
// that is ahead of ours.
func world(text string) placement.Input {
	in := placement.Input{Nodes: map[string]*corev1.Node{}, Hosts: map[string]understudyv1alpha1.HostStatus{}, Now: now}
	for word := range strings.FieldsSeq(text) {
		number, flags, _ := strings.Cut(word, ":")
		has := func(f string) bool { return strings.Contains(flags, f) }
		pod := corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Name: "db-" + number, UID: types.UID("u" + number),
				Annotations: map[string]string{understudyv1alpha1.AnnotationHost: "new"},
			},
			Spec:   corev1.PodSpec{NodeName: "n" + number},
			Status: corev1.PodStatus{Phase: corev1.PodRunning},
		}
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n" + number}}
		ready := corev1.NodeCondition{
			Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(now.Add(-time.Hour)),
		}
		if has("n") || has("l") {
			ready.Status = corev1.ConditionUnknown
		}
		if has("n") {
			ready.LastTransitionTime = metav1.NewTime(now.Add(-time.Minute))
		}
		node.Status.Conditions = []corev1.NodeCondition{ready}
		node.Spec.Unschedulable = has("c")
		if !has("g") {
			in.Nodes[node.Name] = node
		}
		if has("r") {
			in.Hosts[pod.Name] = understudyv1alpha1.HostStatus{PodUID: string(pod.UID), Ready: true}
			pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		}
		if has("p") {
			pod.Spec.NodeName, pod.Status.Phase = "", corev1.PodPending
		}
		if has("y") {
			pod.CreationTimestamp = metav1.NewTime(now.Add(-4 * time.Second))
		}
		if has("z") {
			pod.CreationTimestamp = metav1.NewTime(now.Add(2 * time.Second))
		}
		if has("d") {
			pod.DeletionTimestamp = &metav1.Time{Time: now}
		}
		if has("f") {
			pod.Status.Phase = corev1.PodFailed
		}
		if has("b") {
			pod.Annotations[understudyv1alpha1.AnnotationHost] = "old"
		}
		monitor := corev1.Container{Name: layout.MonitorContainer, Image: "new"}
		if has("m") {
			monitor.Image = "old"
		}
		pod.Spec.InitContainers = []corev1.Container{monitor}
		if has("u") || has("s") {
			pod.Annotations[understudyv1alpha1.AnnotationReplacedMonitor] = "container-1"
			status := corev1.ContainerStatus{
				Name: layout.MonitorContainer, ContainerID: "container-1", Started: ptr.To(true),
				State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
			}
			if has("s") {
				status.ContainerID = "container-2"
			}
			pod.Status.InitContainerStatuses = []corev1.ContainerStatus{status}
		}
		if has("o") {
			in.OwnerUID = string(pod.UID)
		}
		in.Pods = append(in.Pods, pod)
	}
	return in
}

func TestSuccession(t *testing.T) {
	for text, want := range map[string]string{
		"":                     "line reserve barred",
		"0:ro 1:r":             "line db-1 db-0 reserve barred", // the owner is asked last
		"2:r 0:ro 10:r 1:r":    "line db-1 db-2 db-10 db-0 reserve barred",
		"0:ro 1:":              "line db-0 reserve db-1 barred", // its own monitor knows best
		"0:ro 1:rc":            "line db-0 reserve db-1 barred", // cordoned: rather another
		"0:ro 1:rd":            "line db-0 reserve barred db-1=Deleting",
		"0:ro 1:f":             "line db-0 reserve barred db-1=Finished",
		"0:ron 1:r":            "line db-1 reserve barred db-0=NodeNotReady",
		"0:rog 1:r":            "line db-1 reserve barred db-0=NodeGone",
		"0:ro 1:p":             "line db-0 reserve barred", // on no node: cannot take
		"0:rdo 1:rd":           "line reserve barred db-1=Deleting db-0=Deleting",
		"0:r 1:r 2:rd 3: 4:rl": "line db-0 db-1 reserve db-3 barred db-2=Deleting db-4=NodeNotReady",
	} {
		t.Run(text, func(t *testing.T) {
			NewWithT(t).Expect(describe(placement.Succession(world(text)))).To(Equal(want))
		})
	}
}

func describe(s *understudyv1alpha1.Succession) string {
	words := []string{"line"}
	for _, one := range s.Line {
		words = append(words, one.PodName)
	}
	words = append(words, "reserve")
	for _, one := range s.Reserve {
		words = append(words, one.PodName)
	}
	words = append(words, "barred")
	for _, one := range s.Barred {
		words = append(words, one.PodName+"="+one.Reason)
	}
	return strings.Join(words, " ")
}

func TestHosts(t *testing.T) {
	for _, test := range []struct {
		wanted int
		world  string
		want   string
	}{
		{2, "", "create 2"},
		{2, "0:ro", "create 1"},
		{2, "0:ro 1:r", ""},
		{2, "0:ro 1:p", ""},
		{2, "0:ro 1:rd", "create 1"}, // it is going: its replacement comes at once
		{2, "0:ro 1:f", "create 1, HostFinished db-1"},
		{2, "0:ro 1:fy", "again in 6s"},                 // it would end again as fast
		{2, "0:ro 1:fz", "again in 12s"},                // likewise
		{2, "0:ro 1:fyl", "create 1"},                   // its node does not answer
		{2, "0:ro 1:fn", "create 1, HostFinished db-1"}, // for its node there is no patience
		{2, "0:ro 1:ry", ""},
		{2, "0:ro 1:rn", "again in 4m0s"}, // patience with its node
		{2, "0:ro 1:rl", "create 1"},      // none left
		{2, "0:ro 1:rg", "create 1"},
		{1, "0:ro 1:r", "HostSurplus db-1"}, // a standby, not the owner
		{1, "0:r 1:ro", "HostSurplus db-0"},
		{1, "0: 1:r 2:ro", "HostSurplus db-0, HostSurplus db-1"},
		{2, "0:ro 1:r 2:", "HostSurplus db-2"}, // what is not ready first
		{1, "0:o 1:r", "HostSurplus db-1"},     // the owner stays, ready or not
		{2, "0:rob 1:rb", "HostOutdated db-1"}, // standby first
		{2, "0:rob 1:", ""},                    // then wait for it
		{2, "0:rob 1:r", "HostOutdated db-0"},  // owner last
		{2, "0:rob 1:b", "HostOutdated db-1"},  // nothing is lost with it
		{2, "0:ob 1:b", "HostOutdated db-1"},
		{3, "0:rob 1:rb 2:r", "HostOutdated db-1"},
		{3, "0:rob 1:rb 2:", ""},                          // one at a time
		{3, "0:rob 1:rb 2:rb 3:rd", ""},                   // one is still going
		{3, "0:rob 1:rb 2:rb 3:rdn", "HostOutdated db-2"}, // one that cannot go does not block
		{1, "0:rob", "HostOutdated db-0"},                 // alone: there is no other way
		{2, "0:rob 1:rb 2:r", "HostSurplus db-1"},         // the number first
		{2, "0:rob 1:ru", ""},                             // its monitor is being replaced
		{2, "0:rob 1:rs", "HostOutdated db-0"},
	} {
		t.Run(fmt.Sprintf("%d of %s", test.wanted, test.world), func(t *testing.T) {
			d := placement.Hosts(world(test.world), test.wanted, "new")
			var words []string
			if d.Create > 0 {
				words = append(words, fmt.Sprintf("create %d", d.Create))
			}
			for _, one := range d.Delete {
				words = append(words, one.Reason+" "+one.Pod.Name)
			}
			if d.Roll != nil {
				words = append(words, placement.DeleteOutdated+" "+d.Roll.Name)
			}
			if d.Again > 0 {
				words = append(words, "again in "+d.Again.String())
			}
			NewWithT(t).Expect(strings.Join(words, ", ")).To(Equal(test.want))
		})
	}
}
