// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"testing"
	"time"

	"github.com/understudy-dev/understudy/api/v1alpha1"
)

func TestOutageOfTheAPIServer(t *testing.T) {
	r, a := up(t, "a", "b")
	r.pass(time.Second)
	epoch := r.status.Owner.Epoch
	for _, h := range r.hosts {
		h.cut = true
	}
	r.pass(5200 * time.Millisecond)
	if a.isOnline() {
		t.Fatal("still online")
	}
	for _, h := range r.hosts {
		h.cut = false
		h.seeGroup()
	}
	r.run()
	r.pass(5 * time.Second)
	o := r.status.Owner
	if o.State != v1alpha1.GroupOnline {
		t.Fatalf("%+v", o)
	}
	last := o.Timeline[len(o.Timeline)-1]
	if o.Epoch == epoch && (last.Kind != "Restart" || last.Cause != "SelfStop" || last.OnlineTime == nil) {
		t.Errorf("%+v", last)
	}
}

// An engine that does not answer must not keep a lease alive.
func TestEngineThatHangs(t *testing.T) {
	r, a := up(t, "a", "b")
	a.hold["tick"] = true
	r.pass(3 * time.Second)
	mark := a.mark()
	renewed := r.lease.RenewTime
	r.pass(10 * time.Second)
	if n := count(a.since(mark), isPut); n != 0 || a.isOnline() {
		t.Errorf("%d renewals, online %v", n, a.isOnline())
	}
	taken := r.status.Owner.History[1].SinceTime
	if !r.host("b").isOnline() || taken.Sub(*renewed) < 6*time.Second {
		t.Errorf("b online %v, taken %v after the last renewal", r.host("b").isOnline(), taken.Sub(*renewed))
	}
}
