//go:build e2e

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/test/scene"
)

// TestProgramOOM: a program takes more memory than its container may have, and the
// kernel kills one process of that container: most likely the program, which is the
// largest.
func TestProgramOOM(t *testing.T) {
	// The kernel takes the program: that is an end of the program like others.
	t.Run("Program", func(t *testing.T) {
		t.Parallel()
		l := starve(t, hello)
		l.interrupted(t, scene.KindRestart, "Exited")
		if f := l.lastFailure(t); f.Reason != "Exited" || !strings.Contains(f.Message, "signal 9") ||
			!strings.Contains(f.Message, "memory") {
			t.Errorf("the last failure is %+v; want it to tell of signal 9 and of memory", f)
		}
	})
	// It takes the provider: init ends what that ran and starts another.
	t.Run("Provider", func(t *testing.T) {
		t.Parallel()
		l := starve(t, provider)
		l.interrupted(t, scene.KindRestart, "ProviderLost")
		if f := l.lastFailure(t); f.Reason != "ProviderLost" {
			t.Errorf("the last failure is %+v; want ProviderLost", f)
		}
	})
	// It takes init, and with it all of the container: kubelet would make the group wait
	// for it, and another host does not.
	t.Run("Container", func(t *testing.T) {
		t.Parallel()
		l := starve(t, initProgram)
		l.interrupted(t, scene.KindFailover, "ContainerLost")
		pod := ok(l.Pod(t.Context(), l.owner.PodName))(t)
		for _, c := range pod.Status.ContainerStatuses {
			if c.RestartCount != 1 || c.LastTerminationState.Terminated == nil || c.LastTerminationState.Terminated.Reason != "OOMKilled" {
				t.Errorf("the container was ended otherwise: %+v", c)
			}
		}
	})
}

// starve lets the program of a group take all the memory of its container. The kernel
// is told which process to kill first.
func starve(t *testing.T, first scene.Program) *lead {
	t.Helper()
	g, err := cluster.PlayAs(t.Context(), stage(t), "hungry", func(s *understudyv1alpha1.ResourceGroupSpec) {
		s.Template.Spec.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("96Mi")}
	}, scene.Run("hello", "/hello", "--hungry"))
	must(t, err)
	l := watched(t, g, hello)
	container := ok(g.OwnerContainer(t.Context(), scene.ActorContainer))(t)
	must(t, container.KillSingly())
	victim := ok(container.One(first))(t)
	for _, p := range ok(container.Processes())(t) {
		score := "0"
		if p.PID == victim {
			score = "1000"
		}
		must(t, os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", p.PID), []byte(score), 0))
	}
	pod := ok(g.Pod(t.Context(), l.owner.PodName))(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+pod.Status.PodIP+":8080/eat", nil)
	must(t, err)
	// A connection of its own: one that lives on would be taken by the next test's request.
	answer, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err == nil {
		_ = answer.Body.Close()
		t.Fatalf("it ate and lived: %s", answer.Status)
	}
	if ctx.Err() != nil {
		t.Fatal("it ate for a minute, and nobody killed it: has the container a limit?")
	}
	return l
}
