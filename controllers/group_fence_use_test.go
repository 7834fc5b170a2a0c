// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

// No node is ended as long as that helps nobody; an agent that runs is let alone.
func TestFencingThatIsOfUse(t *testing.T) {
	w := leasev1.W(leasev1.DefaultD)
	noStandby := func(s *fenceServer) { s.pods[0].Status.Conditions[0].Status = corev1.ConditionFalse }
	for what, test := range map[string]struct {
		change func(*fenceServer)
		why    string
		again  time.Duration
	}{
		"it helps":                      {func(*fenceServer) {}, "", 0},
		"it renews still":               {func(s *fenceServer) { s.quiet = w - 1 }, "", 0},
		"it is silent":                  {func(s *fenceServer) { s.quiet = w }, "its lease ran out", silenceSlack},
		"it is taken soon":              {func(s *fenceServer) { s.quiet = w + silenceSlack - 1 }, "its lease ran out", 1},
		"it is not taken":               {func(s *fenceServer) { s.quiet = w + silenceSlack }, "", 0},
		"no other is ready, by kubelet": {noStandby, "no other host is ready", refusedRetry},
		"no other is ready, by itself": {func(s *fenceServer) {
			s.group.Status.Hosts["db-1"] = understudyv1alpha1.HostStatus{PodUID: "b"}
		}, "no other host is ready", refusedRetry},
		"the other goes": {func(s *fenceServer) {
			s.pods[0].DeletionTimestamp = &metav1.Time{Time: stopFailedAt}
		}, "no other host is ready", refusedRetry},
		"there is no other": {func(s *fenceServer) { s.pods = s.pods[1:] }, "no other host is ready", refusedRetry},
		"there is to be none": {func(s *fenceServer) {
			s.pods, s.group.Spec.Hosts = s.pods[1:], ptr.To[int32](1)
		}, "", 0},
		"the group is deleted": {func(s *fenceServer) {
			s.pods, s.quiet = s.pods[1:], w
			s.group.DeletionTimestamp = &metav1.Time{Time: stopFailedAt}
		}, "", 0},
	} {
		t.Run(what, func(t *testing.T) {
			server := newFenceServer(t)
			test.change(server)
			_, s := server.fence(t)
			switch c := server.fencing(); {
			case c == nil:
				t.Fatal("nothing is said")
			case test.why == "" && (len(server.jobs) != 1 || c.Reason != understudyv1alpha1.ReasonFencingStarted):
				t.Errorf("%d Jobs, %+v, want that it began", len(server.jobs), c)
			case test.why != "" && (len(server.jobs) != 0 || c.Reason != understudyv1alpha1.ReasonFencingPending ||
				!strings.Contains(c.Message, test.why) || s.requeue != test.again):
				t.Errorf("%d Jobs, another look after %s, %+v, want that it waits", len(server.jobs), s.requeue, c)
			}

			server = newFenceServer(t)
			server.fence(t)
			test.change(server)
			server.fence(t)
			if c := server.fencing(); len(server.jobs) != 1 || c.Reason != understudyv1alpha1.ReasonFencingStarted {
				t.Errorf("one that runs: %d Jobs, %+v", len(server.jobs), c)
			}
		})
	}
}
