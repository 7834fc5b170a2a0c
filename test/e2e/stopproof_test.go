//go:build e2e

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/test/scene"
)

// forgotten is what the provider of these tests starts and does not stop.
var forgotten = scene.Program{Command: "misbehaving", Argument: "--step 2"}

// TestLyingProviderKeepsTheLease: a provider says "offline" while its program lives.
// Init would end that at once, so it is stopped. Nobody else may start the program,
// however long that takes: the lease is kept until the stop is proven.
func TestLyingProviderKeepsTheLease(t *testing.T) {
	t.Run("UntilInitGoesOn", func(t *testing.T) {
		keepTheLease(t, func(init int) { must(t, scene.Signal(init, syscall.SIGCONT)) })
	})
	// An init that hangs for good does not hold the group for good: kubelet sees it.
	t.Run("UntilKubeletEndsInit", func(t *testing.T) { keepTheLease(t, func(int) {}) })
}

// liar is a group whose owner was told to move, and whose stop is not proven: its
// provider lies, and its init is stopped.
type liar struct {
	scene.Group
	owner understudyv1alpha1.GroupOwnerStatus
	mark  scene.Mark
	// old is the container on the owner, with init and what is left of the program.
	old       scene.Container
	init, pid int
	watch     *scene.Sightings
}

// caught brings it about, until the condition StopFailed says so.
func caught(t *testing.T, namespace string, adjust func(*understudyv1alpha1.ResourceGroupSpec)) *liar {
	t.Helper()
	kind := &understudyv1alpha1.ResourceType{
		ObjectMeta: metav1.ObjectMeta{Name: "misbehaving"},
		Spec: understudyv1alpha1.ResourceTypeSpec{
			Description: "A provider that breaks the contract where it is told to.",
			Provider: understudyv1alpha1.ProviderSource{
				Inject: &understudyv1alpha1.InjectedProvider{Command: []string{"/misbehaving"}},
			},
			PropertiesSchema: &runtime.RawExtension{Raw: []byte(
				`{"type":"object","properties":{"lock":{"type":"string"},"lie":{"type":"array","items":{"type":"string"}}}}`)},
		},
	}
	must(t, cluster.Client.Create(t.Context(), kind))
	t.Cleanup(func() { _ = cluster.Client.Delete(context.Background(), kind) })
	g, err := cluster.PlayAs(t.Context(), namespace, "liar", adjust, scene.Actor{
		Name: "liar", Type: kind.Name,
		Properties: map[string]any{"lock": "/tmp/lock", "lie": []string{"Offline", "Terminate"}},
		Adjust: func(s *understudyv1alpha1.ClusterResourceSpec) {
			s.PendingTimeoutMilliseconds = new(int64(2000))
		},
	})
	must(t, err)
	must(t, g.WaitReady(t.Context(), 3*time.Minute))
	l := &liar{Group: g, owner: ok(g.Owner(t.Context()))(t), old: ok(g.OwnerContainer(t.Context(), scene.ActorContainer))(t)}
	l.mark = ok(g.Mark(t.Context()))(t)
	l.pid = ok(l.old.One(forgotten))(t)
	l.watch = scene.Rivals{
		Program: forgotten, Containers: ok(g.Containers(t.Context(), scene.ActorContainer))(t),
	}.Watch(t.Context())

	l.init = ok(l.old.One(initProgram))(t)
	must(t, scene.Signal(l.init, syscall.SIGSTOP))
	t.Cleanup(func() {
		// Its number may be another process's by now.
		if pid, err := l.old.One(initProgram); err == nil && pid == l.init {
			_ = scene.Signal(l.init, syscall.SIGCONT)
		}
	})
	call := &understudyv1alpha1.ControlCall{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "move-"},
		Spec:       understudyv1alpha1.ControlCallSpec{GroupName: g.Name, Code: understudyv1alpha1.CodeMove},
	}
	must(t, cluster.Client.Create(t.Context(), call))
	must(t, cluster.Wait(t.Context(), "StopFailed", time.Minute, func(ctx context.Context) (bool, string, error) {
		o, err := g.Get(ctx)
		return apimeta.IsStatusConditionTrue(o.Status.Conditions, understudyv1alpha1.ConditionStopFailed), scene.Describe(o, nil), err
	}))
	return l
}

// lives checks that something is left that must not run twice.
func (l *liar) lives(t *testing.T) {
	t.Helper()
	if now := ok(l.old.Find(forgotten))(t); !slices.Equal(now, []int{l.pid}) {
		t.Fatalf("what runs on the owner is %v, want %d: this proves nothing", now, l.pid)
	}
}

// takenOver waits until the other host has the group, and checks that the program ran
// on one host after the other.
func (l *liar) takenOver(t *testing.T, within time.Duration) {
	t.Helper()
	must(t, cluster.Wait(t.Context(), "the other host to have the group", within,
		func(ctx context.Context) (bool, string, error) {
			o, err := l.Get(ctx)
			s := o.Status.Owner
			return err == nil && s != nil && s.PodUID != l.owner.PodUID && s.State == understudyv1alpha1.GroupOnline,
				scene.Describe(o, nil), err
		}))
	if seen, err := l.watch.Stop(); err != nil || len(seen) != 2 {
		t.Errorf("seen: %+v, %v; want one process on each host, one after the other", seen, err)
	}
}

// keepTheLease checks that it is kept; then is given the init that is stopped.
func keepTheLease(t *testing.T, then func(init int)) {
	l := caught(t, stage(t), func(*understudyv1alpha1.ResourceGroupSpec) {})
	log := ok(l.FollowLease(t.Context()))(t)
	defer log.Stop()
	// The lease goes on being renewed, for longer than it would last.
	renewals := 0
	since := time.Now()
	must(t, cluster.Wait(t.Context(), "renewals over more than a lease", 30*time.Second,
		func(context.Context) (bool, string, error) {
			writes, err := log.All()
			renewals = 0
			for _, w := range writes {
				if w.Seen.After(since) && w.Record.HolderUID == l.owner.PodUID && w.Record.Epoch == l.owner.Epoch {
					renewals++
				}
			}
			return renewals >= 5, fmt.Sprintf("%d renewals", renewals), err
		}))
	l.lives(t)
	then(l.init)
	l.takenOver(t, 3*time.Minute)
}
