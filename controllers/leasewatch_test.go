// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
)

// The watch counts from the first sight of a version, wakes once when it stood
// still for W, and calls the next change news.
func TestLeaseWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		w := newLeaseWatch()
		woken := 0
		lease := func(version string) *coordinationv1.Lease {
			return &coordinationv1.Lease{
				ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "understudy-db", ResourceVersion: version},
				Spec:       coordinationv1.LeaseSpec{LeaseDurationSeconds: new(int32(6))},
			}
		}
		key := client.ObjectKeyFromObject(lease(""))
		see := func(version string) bool { return w.see(lease(version), func() { woken++ }) }
		wait := func(d time.Duration) { time.Sleep(d); synctest.Wait() }

		g.Expect(see("1")).To(BeFalse())
		g.Expect(w.quiet(key, "2")).To(BeZero(), "a version that was not seen")
		for _, version := range []string{"2", "3", "4"} { // renewals
			wait(2 * time.Second)
			g.Expect(see(version)).To(BeFalse())
			g.Expect(see(version)).To(BeFalse(), "a resync is no change")
		}
		wait(leasev1.W(6*time.Second) - time.Millisecond)
		g.Expect(woken).To(Equal(0))
		g.Expect(w.quiet(key, "4")).To(Equal(leasev1.W(6*time.Second) - time.Millisecond))
		wait(2 * time.Millisecond)
		g.Expect(woken).To(Equal(1))
		wait(time.Minute)
		g.Expect(woken).To(Equal(1), "once")
		g.Expect(see("5")).To(BeTrue(), "it is back")
		g.Expect(see("6")).To(BeFalse())

		wait(leasev1.W(6 * time.Second))
		g.Expect(woken).To(Equal(2))
		w.refute(key, "5")
		g.Expect(w.quiet(key, "6")).NotTo(BeZero(), "of another version")
		w.refute(key, "6")
		g.Expect(w.quiet(key, "6")).To(BeZero(), "the API server has another")
		g.Expect(see("7")).To(BeTrue(), "it comes at last")
		wait(time.Second)
		w.refute(key, "7")
		wait(time.Minute)
		g.Expect(woken).To(Equal(2), "no longer the last")
		g.Expect(see("8")).To(BeFalse())

		w.forget(key)
		wait(time.Minute)
		g.Expect(woken).To(Equal(2), "a record that is gone wakes nobody")
		g.Expect(w.missing(key)).To(BeZero())
		wait(time.Second)
		g.Expect(w.missing(key)).To(Equal(time.Second))
		see("9")
		w.forget(key)
		g.Expect(w.missing(key)).To(BeZero(), "it was there in between")
	})
}
