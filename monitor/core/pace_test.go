// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core

import (
	"testing"
	"time"

	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/instant"
)

// TestANewOwnerWaitsForNoFlood: who has written as much as it may, and owns the group
// anew, says so at once; and what is no status never waits.
func TestANewOwnerWaitsForNoFlood(t *testing.T) {
	c := &Core{now: instant.Instant{Boot: 1e12}, documents: documents{}}
	say := func(key string, w Write) bool {
		c.documents.set(key, w, urgent)
		c.out = nil
		c.writeDocuments()
		for _, e := range c.out {
			c.written(Written{Key: key, Seq: e.Write.Seq, Outcome: WriteDone})
		}
		return len(c.out) > 0
	}
	resource := func(epoch, n int64) Write {
		return Write{Resource: &ResourceDocument{Owner: v1alpha1.ResourceOwnerStatus{Epoch: epoch, CheckPoint: n}}}
	}
	for n := range int64(20) {
		if said := say("r", resource(1, n)); said != (n < burst) {
			t.Fatalf("write %d: %v", n, said)
		}
		if !say("e", Write{Endpoint: &EndpointDocument{Epoch: n + 1}}) {
			t.Fatalf("endpoint %d waits", n)
		}
	}
	if !say("r", resource(2, 0)) {
		t.Error("the new owner waits")
	}
	c.now = c.now.Add(time.Minute)
	for n := range int64(20) {
		if said := say("r", resource(2, n+1)); said != (n < burst) {
			t.Errorf("write %d after a minute: %v", n, said)
		}
	}
}
