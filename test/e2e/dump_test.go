//go:build e2e

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/utils/ptr"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/test/scene"
)

// TestHangingProviderIsDumped: a provider does not answer, and what it was doing can be
// read after it was killed, by the steps of docs/dumps.md. The container runs as a user
// without rights, on a file system that cannot be written to.
func TestHangingProviderIsDumped(t *testing.T) {
	g, err := cluster.PlayAs(t.Context(), stage(t), "stuck", func(*understudyv1alpha1.ResourceGroupSpec) {}, scene.Actor{
		Name: "hello", Properties: map[string]any{"command": []string{"/hello"}},
		Adjust: func(s *understudyv1alpha1.ClusterResourceSpec) {
			s.IsAlivePollIntervalMilliseconds = ptr.To[int64](500)
			s.DeadlockTimeoutMilliseconds = ptr.To[int64](1000)
		},
	})
	must(t, err)
	must(t, g.WaitReady(t.Context(), 3*time.Minute))
	owner := ok(g.Owner(t.Context()))(t)
	container := ok(g.OwnerContainer(t.Context(), scene.ActorContainer))(t)
	must(t, scene.Signal(ok(container.One(provider))(t), syscall.SIGSTOP))

	var last *understudyv1alpha1.LastDump
	must(t, g.Wait(t.Context(), "a dump", time.Minute, func(ctx context.Context) (bool, string, error) {
		r, err := g.Resource(ctx, "hello")
		if err != nil || r.Status.Owner == nil {
			return false, "no status", err
		}
		last = r.Status.Owner.LastDump
		return last != nil && last.Name != "", fmt.Sprintf("%+v", last), nil
	}))
	if last.Reason != "Deadlock" || last.Bytes == 0 || last.Message != "" {
		t.Errorf("%+v", last)
	}
	list := ok(cluster.Exec(t.Context(), g.Namespace, owner.PodName, monitorContainer, "/monitor", "dumps"))(t)
	if !strings.Contains(list, last.Name) || !strings.Contains(list, scene.ActorContainer) {
		t.Errorf("%s is not in\n%s", last.Name, list)
	}
	text := ok(cluster.Exec(t.Context(), g.Namespace, owner.PodName, monitorContainer, "/monitor", "dumps", last.Name))(t)
	for _, want := range []string{
		"dump of resource hello: Deadlock", "/understudy/bin/provider application", "state T", "cmdline: /hello", "VmRSS:",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	log := ok(cluster.Exec(t.Context(), g.Namespace, owner.PodName, monitorContainer,
		"/monitor", "log", "--resource", "hello", "--level", "error"))(t)
	if !strings.Contains(log, "Deadlock") || strings.Contains(log, "INFO") {
		t.Errorf("the log of the resource:\n%s", log)
	}
	must(t, g.WaitReady(t.Context(), time.Minute))
}
