//go:build e2e

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/understudy-dev/understudy/test/scene"
)

// stage makes a namespace for a test and removes it afterwards. Of a test that
// failed it tells first how everything was.
func stage(t *testing.T) string {
	t.Helper()
	// What stands behind the last slash: the test, or the part of it that this is for.
	name := strings.ToLower(t.Name()[strings.LastIndex(t.Name(), "/")+1:])
	namespace, err := cluster.MakeNamespace(t.Context(), name[:min(len(name), 40)])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The test's own context has ended.
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
		defer cancel()
		if t.Failed() {
			t.Log(cluster.Report(ctx, namespace))
		}
		// So that the next test finds all nodes and the manager.
		if err := cluster.Local.Mend(ctx); err != nil {
			t.Error(err)
		}
		if err := cluster.ScaleManager(ctx, 2); err != nil {
			t.Error(err)
		}
		if err := cluster.RemoveGroups(ctx, namespace); err != nil {
			t.Error(err)
		}
		n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
		if err := client.IgnoreNotFound(cluster.Client.Delete(ctx, n)); err != nil {
			t.Error(err)
		}
	})
	must(t, cluster.WaitProxies(t.Context(), namespace))
	return namespace
}

// quickstart opens examples/quickstart with a client.
func quickstart(t *testing.T, namespace string) *scene.Quickstart {
	t.Helper()
	q, err := cluster.OpenQuickstart(t.Context(), namespace)
	must(t, err)
	t.Cleanup(q.Client.Quit)
	return q
}

// must ends a test that cannot go on.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// ok is must for what returns something besides.
func ok[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		must(t, err)
		return value
	}
}
