// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

// An owner may live for as long as its record says, also one of a later release that
// lives on promises, of which the manager hears nothing (Ownership section 7).
func TestSilentOwnerIsStopped(t *testing.T) {
	const d, m = 6 * time.Second, time.Hour
	for _, one := range []struct {
		extendMax, quiet time.Duration
		stopped          bool
	}{
		{0, leasev1.W(d) - 1, false}, {0, leasev1.W(d), true},
		{m, leasev1.W(m+d) - 1, false}, {m, leasev1.W(m + d), true},
	} {
		s := &groupScope{
			group: &understudyv1alpha1.ResourceGroup{}, lease: &coordinationv1.Lease{}, quiet: one.quiet, wait: leasev1.W(d),
			recorded: &leasev1.Record{Epoch: 7, HolderUID: "a", Duration: d, ExtendMax: one.extendMax},
		}
		if s.stopped() != one.stopped {
			t.Errorf("M %s, quiet for %s: stopped %v", one.extendMax, one.quiet, s.stopped())
		}
	}
}
