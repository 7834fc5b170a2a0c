//go:build e2e

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/test/scene"
)

// TestMatrix: templates as strict as they come, in a namespace that takes no other.
// Each is brought online, loses its program, and is moved. None has a shell or a
// capability, and all run as a user of no rights.
func TestMatrix(t *testing.T) {
	namespace := stage(t)
	must(t, cluster.Client.Patch(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
		client.RawPatch("application/merge-patch+json", []byte(
			`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"restricted"}}}`))))
	second := scene.Run("second", "/hello", "--listen", ":8081")
	second.Adjust = func(s *understudyv1alpha1.ClusterResourceSpec) { s.ContainerName = "second" }
	for name, one := range map[string]struct {
		template func(*corev1.PodSpec)
		more     []scene.Actor
		// user as which the program runs.
		user int
		// unready is what HostsReady says of a host; empty if all are ready.
		unready string
		check   func(*testing.T, scene.Group)
	}{
		// The user of the monitor, and nowhere to write to but the provider's own folder.
		"same-user-nothing-to-write": {user: 65532, template: func(s *corev1.PodSpec) {
			s.SecurityContext.RunAsUser = ptr.To[int64](65532)
			s.Containers[0].VolumeMounts, s.Volumes = nil, nil
		}},
		// Groups that own the volumes, the built ones too, and a root file system to write to.
		"groups-writable-root": {user: 10001, template: func(s *corev1.PodSpec) {
			s.SecurityContext.RunAsGroup, s.SecurityContext.FSGroup = ptr.To[int64](20001), ptr.To[int64](20002)
			s.SecurityContext.SupplementalGroups = []int64{20003}
			s.Containers[0].SecurityContext.ReadOnlyRootFilesystem = nil
		}},
		// Two containers that are supervised, each as a user of its own.
		"two-users": {user: 10001, more: []scene.Actor{second}, template: func(s *corev1.PodSpec) {
			other := sidecar(s, "second")
			other.SecurityContext.RunAsUser = ptr.To[int64](10002)
			s.Containers = append(s.Containers, other)
		}, check: func(t *testing.T, g scene.Group) {
			for _, p := range ok(ok(g.OwnerContainer(t.Context(), "second"))(t).Processes())(t) {
				if user := ok(p.User())(t); user != 10002 {
					t.Errorf("%v runs as user %d, want 10002", p, user)
				}
			}
		}},
		// Containers of somebody else's, which are left alone: before the group's, and beside it.
		"sidecars": {user: 10001, template: func(s *corev1.PodSpec) {
			native := sidecar(s, "native", "/hello", "--listen", ":8081")
			native.RestartPolicy = ptr.To(corev1.ContainerRestartPolicyAlways)
			s.InitContainers = append(s.InitContainers, native)
			s.Containers = append(s.Containers, sidecar(s, "plain", "/hello", "--listen", ":8082"))
		}, check: func(t *testing.T, g scene.Group) {
			for _, name := range []string{"native", "plain"} {
				for _, c := range ok(g.Containers(t.Context(), name))(t) {
					processes := ok(c.Processes())(t)
					if len(processes) != 1 || processes[0].Command != hello.Command {
						t.Errorf("%s runs %v, want its own program and no other", c.Name(), processes)
					}
				}
			}
		}},
		// One of them crashes all the time: people are told, and the group goes on and moves.
		"crashing-sidecar": {user: 10001, unready: "container crashing: ", template: func(s *corev1.PodSpec) {
			s.Containers = append(s.Containers, sidecar(s, "crashing", "/hello", "--listen", "nowhere"))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, err := cluster.PlayAs(t.Context(), namespace, name, func(s *understudyv1alpha1.ResourceGroupSpec) {
				one.template(&s.Template.Spec)
			}, append([]scene.Actor{scene.Run(name, "/hello")}, rename(one.more, name)...)...)
			must(t, err)
			right := func() { must(t, g.WaitRight(t.Context(), 3*time.Minute)) }
			if one.unready != "" {
				right = func() { must(t, waitUnready(t, g, one.unready)) }
			}
			right()
			owner := ok(g.Owner(t.Context()))(t)
			rivals := scene.Rivals{
				Program: hello, Containers: ok(g.Containers(t.Context(), scene.ActorContainer))(t),
			}.Watch(t.Context())
			container := ok(g.OwnerContainer(t.Context(), scene.ActorContainer))(t)
			for _, p := range ok(container.Processes())(t) {
				if user := ok(p.User())(t); user != one.user {
					t.Errorf("%v runs as user %d, want %d", p, user, one.user)
				}
			}
			if one.check != nil {
				one.check(t, g)
			}
			if _, err := cluster.Exec(t.Context(), namespace, owner.PodName, scene.ActorContainer, "sh", "-c", "true"); err == nil {
				t.Error("the image has a shell: this test shows less than it should")
			}

			before := ok(g.Mark(t.Context()))(t)
			must(t, scene.Signal(ok(container.One(hello))(t), syscall.SIGKILL))
			restart := ok(g.WaitEntry(t.Context(), before, time.Minute))(t)
			if restart.Kind != scene.KindRestart || restart.Cause != "Exited" || restart.ResourceName != name || restart.Epoch != owner.Epoch {
				t.Errorf("%s; want a restart of %s in place", scene.DescribeEntry(restart), name)
			}
			right()

			before = ok(g.Mark(t.Context()))(t)
			mustSucceed(t, ok(g.Call(t.Context(), understudyv1alpha1.ControlCallSpec{Code: understudyv1alpha1.CodeMove}, time.Minute))(t))
			move := ok(g.WaitEntry(t.Context(), before, time.Minute))(t)
			if move.Kind != scene.KindMove || move.FromPodName != owner.PodName || move.ToPodName == owner.PodName || move.OfflineTime == nil {
				t.Errorf("%s, offline %v; want a move, proven offline", scene.DescribeEntry(move), move.OfflineTime)
			}
			right()
			if seen, err := rivals.Stop(); err != nil || len(seen) != 3 {
				t.Errorf("processes: %+v, %v; want the first, the restarted and the moved one", seen, err)
			}
			oneRuns(t, g, hello, move.ToPodName)
		})
	}
}

// sidecar is another container as strict as the first.
func sidecar(s *corev1.PodSpec, name string, command ...string) corev1.Container {
	c := *s.Containers[0].DeepCopy()
	c.Name, c.Command, c.VolumeMounts = name, command, nil
	return c
}

// rename makes the names of a group's further resources its own: all groups share a
// namespace.
func rename(actors []scene.Actor, group string) []scene.Actor {
	var own []scene.Actor
	for _, a := range actors {
		a.Name = group + "-" + a.Name
		own = append(own, a)
	}
	return own
}

// waitUnready waits until a group is served, its hosts call themselves ready, and
// HostsReady says why a pod is not. The other may just be trying again.
func waitUnready(t *testing.T, g scene.Group, why string) error {
	t.Helper()
	if err := g.WaitReady(t.Context(), 3*time.Minute); err != nil {
		return err
	}
	if err := g.WaitServed(t.Context(), time.Minute); err != nil {
		return err
	}
	return cluster.Wait(t.Context(), why+" in HostsReady", 2*time.Minute, func(ctx context.Context) (bool, string, error) {
		o, err := g.Get(ctx)
		if err != nil {
			return false, "", err
		}
		c := ptr.Deref(apimeta.FindStatusCondition(o.Status.Conditions, understudyv1alpha1.ConditionHostsReady), metav1.Condition{})
		return c.Status == "False" && strings.Contains(c.Message, why), c.Message, nil
	})
}
