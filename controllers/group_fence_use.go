// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/understudy-dev/understudy/controllers/placement"
)

// uselessNow is why it would help nobody to end the owner's node now, and when to look
// again; empty if it may help. A deleted group waits for its owner alone. One that wants a
// single host gets the next when the node of this one is down.
func (s *groupScope) uselessNow(now time.Time) (why string, again time.Duration) {
	// An owner may outlive its silence by promises, and who comes later is no member: if
	// nobody has taken the record when it was their time, an agent helps after all.
	limit := s.wait + silenceSlack
	switch {
	case !s.group.DeletionTimestamp.IsZero():
	case s.wantedHosts() > 1 && !s.hasStandby(now):
		return "no other host is ready to take over: see the condition HostsReady", refusedRetry
	case s.quiet >= s.wait && s.quiet < limit:
		return "its lease ran out, and another host may take over by itself", limit - s.quiet
	}
	return "", 0
}

// hasStandby says whether a host beside the owner can take the group over.
func (s *groupScope) hasStandby(now time.Time) bool {
	in := s.placement(now)
	return slices.ContainsFunc(s.pods, func(p corev1.Pod) bool {
		return string(p.UID) != in.OwnerUID && placement.Ready(&p, in)
	})
}
