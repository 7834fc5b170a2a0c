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

// keepTheLease brings it about; then is given the init that is stopped.
func keepTheLease(t *testing.T, then func(init int)) {
	namespace := stage(t)
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
	g, err := cluster.Play(t.Context(), namespace, "liar", 2, scene.Actor{
		Name: "liar", Type: kind.Name,
		Properties: map[string]any{"lock": "/tmp/lock", "lie": []string{"Offline", "Terminate"}},
		Adjust: func(s *understudyv1alpha1.ClusterResourceSpec) {
			s.PendingTimeoutMilliseconds = new(int64(2000))
		},
	})
	must(t, err)
	must(t, g.WaitReady(t.Context(), 3*time.Minute))
	owner := ok(g.Owner(t.Context()))(t)
	old := ok(g.OwnerContainer(t.Context(), scene.ActorContainer))(t)
	pid := ok(old.One(forgotten))(t)
	watch := scene.Rivals{
		Program: forgotten, Containers: ok(g.Containers(t.Context(), scene.ActorContainer))(t),
	}.Watch(t.Context())
	log := ok(g.FollowLease(t.Context()))(t)
	defer log.Stop()

	initPID := ok(old.One(initProgram))(t)
	must(t, scene.Signal(initPID, syscall.SIGSTOP))
	t.Cleanup(func() {
		// Its number may be another process's by now.
		if pid, err := old.One(initProgram); err == nil && pid == initPID {
			_ = scene.Signal(initPID, syscall.SIGCONT)
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
	// The lease goes on being renewed, for longer than it would last.
	renewals := 0
	since := time.Now()
	must(t, cluster.Wait(t.Context(), "renewals over more than a lease", 30*time.Second,
		func(context.Context) (bool, string, error) {
			writes, err := log.All()
			renewals = 0
			for _, w := range writes {
				if w.Seen.After(since) && w.Record.HolderUID == owner.PodUID && w.Record.Epoch == owner.Epoch {
					renewals++
				}
			}
			return renewals >= 5, fmt.Sprintf("%d renewals", renewals), err
		}))
	if now := ok(old.Find(forgotten))(t); !slices.Equal(now, []int{pid}) {
		t.Fatalf("what runs on the owner is %v, want %d: this proves nothing", now, pid)
	}

	then(initPID)
	must(t, cluster.Wait(t.Context(), "the other host to have the group", 3*time.Minute,
		func(ctx context.Context) (bool, string, error) {
			o, err := g.Get(ctx)
			s := o.Status.Owner
			return err == nil && s != nil && s.PodUID != owner.PodUID && s.State == understudyv1alpha1.GroupOnline,
				scene.Describe(o, nil), err
		}))
	if seen, err := watch.Stop(); err != nil || len(seen) != 2 {
		t.Errorf("seen: %+v, %v; want one process on each host, one after the other", seen, err)
	}
}
