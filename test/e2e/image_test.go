//go:build e2e

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/test/scene"
)

// minimalProvider is the process: the short name of a program has 15 characters.
var minimalProvider = scene.Program{Command: "provider-minima"}

// imageContainers are the containers of the resources of TestImageProvider: "one" and
// "two" have a provider process of their own, the others share one.
var imageContainers = map[string]string{
	"one": "understudy-resource-one", "two": "understudy-resource-two",
	"three": "understudy-type-minimal", "four": "understudy-type-minimal",
}

// TestImageProvider: a provider in an image of its own, without a shell, beside a
// container of the template that nobody supervises. A provider process that ends
// fails the resources that it serves, and no others, which the owner restarts.
func TestImageProvider(t *testing.T) {
	kind := minimalType(t, understudyv1alpha1.ProviderSource{Image: &understudyv1alpha1.ImageProvider{
		Image: "demo-programs:dev", ImagePullPolicy: corev1.PullIfNotPresent, Command: []string{"/provider-minimal"},
	}})
	var actors []scene.Actor
	for _, name := range []string{"one", "two", "three", "four"} {
		actors = append(actors, scene.Actor{
			Name: name, Type: kind, Properties: map[string]any{},
			Adjust: func(s *understudyv1alpha1.ClusterResourceSpec) {
				s.ContainerName, s.SeparateMonitor = "", imageContainers[name] != imageContainers["three"]
			},
		})
	}
	g, err := cluster.Play(t.Context(), stage(t), "image", 2, actors...)
	must(t, err)
	must(t, g.WaitReady(t.Context(), 3*time.Minute))
	owner := ok(g.Owner(t.Context()))(t)
	for _, name := range imageContainers {
		for _, c := range ok(g.Containers(t.Context(), name))(t) {
			_ = ok(c.One(minimalProvider))(t)
		}
	}
	plain := ok(g.OwnerContainer(t.Context(), scene.ActorContainer))(t)
	if pids := ok(plain.Find(initProgram))(t); len(pids) > 0 {
		t.Errorf("the template's container is supervised, though no resource is in it: init is %v", pids)
	}

	// It ends with all that it has to say on its standard error.
	endProvider(t, g, owner, "one", syscall.SIGQUIT)
	if said := podLogs(t, g, owner.PodName, imageContainers["one"]); !strings.Contains(said, "goroutine 1") {
		t.Errorf("the log of the container has nothing of its provider's last words: %s", said)
	}
	endProvider(t, g, owner, "three", syscall.SIGKILL)

	standby, _, err := g.Standby(t.Context())
	must(t, err)
	mustSucceed(t, ok(g.Call(t.Context(), understudyv1alpha1.ControlCallSpec{Code: understudyv1alpha1.CodeMove}, time.Minute))(t))
	must(t, g.Wait(t.Context(), "the move", time.Minute, func(ctx context.Context) (bool, string, error) {
		o, err := g.Owner(ctx)
		return o.PodName == standby && o.Epoch > owner.Epoch, fmt.Sprintf("%s, epoch %d", o.PodName, o.Epoch), err
	}))
	must(t, g.WaitReady(t.Context(), 2*time.Minute))
}

// endProvider ends the provider process of a resource, and waits until those that it
// serves are online again, where they were. Nothing happens to the others.
func endProvider(t *testing.T, g scene.Group, owner understudyv1alpha1.GroupOwnerStatus, resource string, how syscall.Signal) {
	t.Helper()
	before, pids := map[string]*understudyv1alpha1.ResourceOwnerStatus{}, map[string]int{}
	for name, container := range imageContainers {
		before[name] = ok(g.Resource(t.Context(), name))(t).Status.Owner
		pids[container] = ok(ok(g.OwnerContainer(t.Context(), container))(t).One(minimalProvider))(t)
	}
	hit := imageContainers[resource]
	must(t, scene.Signal(pids[hit], how))
	for name, container := range imageContainers {
		if container != hit {
			continue
		}
		must(t, g.Wait(t.Context(), "the restart of "+name, time.Minute, func(ctx context.Context) (bool, string, error) {
			r, err := g.Resource(ctx, name)
			if err != nil || r.Status.Owner == nil {
				return false, "no owner", err
			}
			o := r.Status.Owner
			return o.State == understudyv1alpha1.StateOnline && o.StateTime.After(before[name].StateTime.Time),
				fmt.Sprintf("%s since %s", o.State, o.StateTime), nil
		}))
	}
	for name, container := range imageContainers {
		pid := ok(ok(g.OwnerContainer(t.Context(), container))(t).One(minimalProvider))(t)
		o := ok(g.Resource(t.Context(), name))(t).Status.Owner
		if container == hit {
			if pid == pids[container] || o.LastFailure == nil {
				t.Errorf("%s: process %d, it was %d; last failure %v", name, pid, pids[container], o.LastFailure)
			}
		} else if pid != pids[container] || !o.StateTime.Equal(&before[name].StateTime) ||
			len(o.Transitions) != len(before[name].Transitions) {
			t.Errorf("%s: process %d, %s since %s; it was %d, %s since %s, and another's provider ended",
				name, pid, o.State, o.StateTime, pids[container], before[name].State, before[name].StateTime)
		}
		if o.PodName != owner.PodName || o.Epoch != owner.Epoch {
			t.Errorf("%s is on %s, epoch %d; want it where it was: %s, %d", name, o.PodName, o.Epoch, owner.PodName, owner.Epoch)
		}
	}
}

// podLogs is what kubectl logs shows of a container.
func podLogs(t *testing.T, g scene.Group, pod, container string) string {
	t.Helper()
	stream := ok(g.Clientset.CoreV1().Pods(g.Namespace).
		GetLogs(pod, &corev1.PodLogOptions{Container: container}).Stream(t.Context()))(t)
	defer func() { _ = stream.Close() }()
	return string(ok(io.ReadAll(stream))(t))
}
