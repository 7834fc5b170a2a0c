//go:build e2e

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/understudy-dev/understudy/test/scene"
)

// idleMinute is how long nothing happens. This is the one test that waits for time
// to pass: that it passes and nothing happens is what it tests.
const idleMinute = time.Minute

// TestIdleGroupCostsItsLease: a healthy group costs the API server the renewals of its
// lease, and nothing else.
func TestIdleGroupCostsItsLease(t *testing.T) {
	namespace := stage(t)
	g, err := cluster.ApplyQuickstart(t.Context(), namespace)
	must(t, err)
	must(t, g.WaitReady(t.Context(), 3*time.Minute))
	// What was begun by its coming online comes to its end: nothing was asked for by
	// us but leases, for longer than a lease lasts.
	var quiet time.Time
	must(t, g.Wait(t.Context(), "quiet", 2*time.Minute, func(context.Context) (bool, string, error) {
		requests, err := cluster.Local.Requests(time.Now().Add(-10*time.Second), time.Now())
		other := besidesLeases(requests, namespace)
		quiet = time.Now()
		return err == nil && len(other) == 0, strings.Join(other, ", "), err
	}))
	must(t, g.Wait(t.Context(), "a minute", idleMinute+10*time.Second, func(context.Context) (bool, string, error) {
		return time.Since(quiet) >= idleMinute, "", nil
	}))
	requests := ok(cluster.Local.Requests(quiet, quiet.Add(idleMinute)))(t)
	if other := besidesLeases(requests, namespace); len(other) > 0 {
		t.Errorf("besides leases, an idle minute cost:\n  %s", strings.Join(other, "\n  "))
	}
	leases := 0
	for _, r := range requests {
		if ours(r, namespace) {
			leases++
		}
	}
	t.Logf("an idle minute cost %d requests", leases)
	// One renewal every two seconds, and the manager's own lease.
	if leases < 25 {
		t.Errorf("only %d requests were seen in the audit log: it proves nothing", leases)
	}
}

// ours tells whether a request is of the manager or of a monitor of the namespace.
func ours(r scene.Request, namespace string) bool {
	return strings.HasPrefix(r.User, "system:serviceaccount:"+namespace+":") ||
		strings.HasPrefix(r.User, "system:serviceaccount:"+scene.SystemNamespace+":")
}

// besidesLeases are the requests of ours that are not for leases, as text. A watch that
// the API server ended, as it does every few minutes, begins again: that is not counted.
func besidesLeases(requests []scene.Request, namespace string) []string {
	var other []string
	for _, r := range requests {
		if ours(r, namespace) && r.Resource != "leases" && r.Verb != "watch" {
			other = append(other, fmt.Sprintf("%s %s %s/%s by %s (%s)", r.At.Format(time.TimeOnly), r.Verb, r.Resource, r.Name, r.User, r.Pod))
		}
	}
	return other
}
