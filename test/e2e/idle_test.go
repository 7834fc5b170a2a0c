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
	monitors, manager := 0, 0
	for _, r := range requests {
		switch {
		case ofMonitor(r, namespace):
			monitors++
		case ofManager(r):
			manager++
		}
	}
	t.Logf("an idle minute cost %d requests of monitors and %d of the manager", monitors, manager)
	// The owner renews every two seconds; its standby says nothing.
	if monitors < 25 || monitors > 35 {
		t.Errorf("the monitors made %d requests, want one every two seconds", monitors)
	}
	// The leader of the managers renews a lease of its own, by a read and a write.
	if manager == 0 || manager > 70 {
		t.Errorf("the manager made %d requests, want at most two every two seconds", manager)
	}
}

func ofMonitor(r scene.Request, namespace string) bool {
	return strings.HasPrefix(r.User, "system:serviceaccount:"+namespace+":")
}

func ofManager(r scene.Request) bool {
	return strings.HasPrefix(r.User, "system:serviceaccount:"+scene.SystemNamespace+":")
}

// besidesLeases are the requests of ours that are not for leases, as text. The manager's
// watches end every few minutes and begin again: each may do so once.
func besidesLeases(requests []scene.Request, namespace string) []string {
	var other []string
	again := map[string]bool{}
	for _, r := range requests {
		if !ofMonitor(r, namespace) && !ofManager(r) || r.Resource == "leases" && r.Verb != "watch" {
			continue
		}
		if ofManager(r) && r.Verb == "watch" && !again[r.Resource] {
			again[r.Resource] = true
			continue
		}
		other = append(other, fmt.Sprintf("%s %s %s/%s by %s (%s)", r.At.Format(time.TimeOnly), r.Verb, r.Resource, r.Name, r.User, r.Pod))
	}
	return other
}
