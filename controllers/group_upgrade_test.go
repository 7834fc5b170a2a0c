// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/understudy-dev/understudy/internal/builders"
	"github.com/understudy-dev/understudy/internal/layout"
)

func TestImageThere(t *testing.T) {
	container := func(state corev1.ContainerState) corev1.PodStatus {
		return corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{
			{Name: "injected"}, {Name: layout.ImageContainer, State: state},
		}}
	}
	ended := func(code int32) corev1.ContainerState {
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: "Error", Message: "why"}}
	}
	waits := func(reason string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: "why"}}
	}
	for name, test := range map[string]struct {
		status corev1.PodStatus
		there  bool
		why    string
	}{
		"new":                          {corev1.PodStatus{Phase: corev1.PodPending}, false, ""},
		"being pulled":                 {container(waits("ContainerCreating")), false, ""},
		"cannot be pulled":             {container(waits("ImagePullBackOff")), false, "ImagePullBackOff: why"},
		"runs":                         {container(corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}), false, ""},
		"ran, beside what others add":  {container(ended(0)), true, ""},
		"no such program, or platform": {container(ended(128)), false, "Error with exit code 128: why"},
		"refused by kubelet": {
			corev1.PodStatus{Phase: corev1.PodFailed, Reason: "OutOfpods", Message: "why"}, false, "OutOfpods: why",
		},
	} {
		t.Run(name, func(t *testing.T) {
			there, why := imageThere(&corev1.Pod{Status: test.status})
			g := NewWithT(t)
			g.Expect(there).To(Equal(test.there))
			g.Expect(why).To(Equal(test.why))
		})
	}
}

// patches is a client that can do nothing else, or refuses it.
type patches struct {
	client.Client
	sent []string
	err  error
}

func (p *patches) Patch(_ context.Context, o client.Object, patch client.Patch, _ ...client.PatchOption) error {
	data, err := patch.Data(o)
	p.sent = append(p.sent, string(patch.Type())+" "+string(data))
	return errors.Join(err, p.err)
}

// Only the monitor's image is sent: other containers may have fields that we do not
// know. What refuses it is said, and nothing but time makes us try again.
func TestMonitorAloneIsChanged(t *testing.T) {
	g := NewWithT(t)
	to := &patches{}
	r := &groupReconciler{
		base: base{Client: to, events: events.NewFakeRecorder(10), options: Options{Image: "operator:2"}}, now: time.Now,
	}
	s := rolling("a", "new", "starting")
	host := &s.pods[1]
	host.ResourceVersion = "7"
	host.Spec.InitContainers = []corev1.Container{{Name: layout.MonitorContainer, Image: "operator:1"}, {Name: "theirs", Image: "theirs:1"}}
	g.Expect(r.upgradeHost(t.Context(), s, host.DeepCopy(), nil)).To(Succeed())
	g.Expect(to.sent).To(HaveExactElements(And(HavePrefix(string(types.StrategicMergePatchType)),
		ContainSubstring(`"resourceVersion":"7"`), ContainSubstring(`"image":"operator:2"`), Not(ContainSubstring("theirs:1")))))
	g.Expect(s.rollout).To(BeEmpty())

	to.err = apierrors.NewForbidden(corev1.Resource("pods"), host.Name, errors.New("no images of yesterday"))
	g.Expect(r.upgradeHost(t.Context(), s, host, nil)).To(Succeed())
	g.Expect(s.rollout).To(And(ContainSubstring("the monitor of a-1 stays as it is"), ContainSubstring("no images of yesterday")))
	g.Expect(s.requeue).To(Equal(refusedRetry))
	g.Expect(host.Spec.InitContainers[0].Image).To(Equal("operator:1"))
}

// What was pulled with other secrets than the host's, kubelet may refuse to the host:
// after it has ended the monitor.
func TestImageOfOtherSecrets(t *testing.T) {
	g := NewWithT(t)
	r := &groupReconciler{base: base{Client: &deletes{}, options: Options{Image: "operator:2"}}, now: time.Now}
	s := rolling("a", "new", "new")
	host := &s.pods[1]
	host.Status.InitContainerStatuses = []corev1.ContainerStatus{{
		Name: layout.MonitorContainer, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
	}}
	pod := builders.ImagePod(host, "a", "operator:2")
	pod.CreationTimestamp = metav1.Now()
	pod.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "new"}}
	pod.Status = corev1.PodStatus{Phase: corev1.PodSucceeded, ContainerStatuses: []corev1.ContainerStatus{{
		Name: layout.ImageContainer, State: corev1.ContainerState{Terminated: ptr.To(corev1.ContainerStateTerminated{})},
	}}}
	g.Expect(r.upgradeHost(t.Context(), s, host, []corev1.Pod{*pod})).To(Succeed())
	g.Expect(s.rollout).To(ContainSubstring("other pull secrets"))
	g.Expect(host.Annotations).To(HaveLen(1), "the host is left alone")
}
