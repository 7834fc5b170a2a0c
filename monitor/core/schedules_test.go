// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/core"
)

// edges are those whose answers may be late.
var edges = []string{"tick", "emptied", "guarded", "disk", "get", "put", "Online", "Offline", "Terminate", "Open", "BeginResourceControl", "Arbitrate", "Release"}

// faults are what may happen to a host.
var faults = []func(rng *rand.Rand, h *host, n int){
	func(_ *rand.Rand, h *host, _ int) { h.stop() },
	func(_ *rand.Rand, h *host, _ int) {
		if h.core == nil {
			h.start()
		}
	},
	func(rng *rand.Rand, h *host, _ int) {
		if h.stop(); rng.IntN(4) == 0 {
			h.state = nil
		}
		h.start()
	},
	func(_ *rand.Rand, h *host, _ int) { h.cut = true },
	func(_ *rand.Rand, h *host, _ int) {
		if h.cut {
			h.heal()
		}
	},
	func(rng *rand.Rand, h *host, _ int) { h.loseAnswers = 1 + rng.IntN(2) },
	func(rng *rand.Rand, h *host, _ int) { h.hold[edges[rng.IntN(len(edges))]] = true },
	func(_ *rand.Rand, h *host, _ int) { h.releaseAll() },
	func(_ *rand.Rand, h *host, _ int) {
		if h.core != nil && h.isOnline() {
			h.signalFailure()
		}
	},
	func(_ *rand.Rand, h *host, _ int) { // the child dies
		h.empty()
		h.rig.run()
	},
	func(_ *rand.Rand, h *host, _ int) { h.initDies() },
	func(_ *rand.Rand, h *host, _ int) {
		if h.core != nil && !h.connected {
			h.connect()
			h.rig.run()
		}
	},
	func(rng *rand.Rand, h *host, _ int) { // the connection breaks
		if h.core != nil && h.connected {
			h.connected = false
			h.input(core.Input{InitGone: &core.InitGone{Container: "main", Cut: rng.IntN(2) == 0}})
			h.rig.pass(time.Duration(rng.IntN(100)) * time.Millisecond)
			h.connect()
			h.rig.run()
		}
	},
	func(_ *rand.Rand, h *host, _ int) { // the host crashes
		h.stop()
		h.initDies()
	},
	func(rng *rand.Rand, h *host, n int) {
		k := core.ControlCall{Name: fmt.Sprintf("m%03d", n), Code: "MOVE", TimeoutMilliseconds: 20000}
		if rng.IntN(2) == 0 {
			k.Destination = h.name
		}
		h.rig.ask(k)
	},
	func(rng *rand.Rand, h *host, n int) {
		h.async = rng.IntN(2) == 0
		h.rig.ask(core.ControlCall{
			Name: fmt.Sprintf("k%03d", n), ResourceName: "store", Code: "BACKUP", TimeoutMilliseconds: 20000,
		})
	},
	func(rng *rand.Rand, h *host, _ int) { h.loses = rng.IntN(2) == 0 },
	func(_ *rand.Rand, h *host, _ int) {
		if h.rig.arbiter == h.name {
			h.loseQuorum()
		}
	},
}

func (h *host) releaseAll() {
	for _, e := range edges {
		h.release(e)
	}
}

// schedule runs one random schedule: at no time are two hosts online (the rig
// looks), in the end one is, and every call has an end.
func schedule(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 3))
	r := newRig(t, "a", "b", "c")
	r.plan.FailoverThreshold = 100
	r.plan.Resources[0].RetryPeriodOnFailure = 5000
	if seed%2 == 0 {
		r.addQuorum()
	}
	for _, h := range r.hosts {
		h.start()
	}
	n := 0
	for range 60 {
		r.pass(time.Duration(rng.IntN(2500)) * time.Millisecond)
		h := r.hosts[rng.IntN(len(r.hosts))]
		if o := r.status.Owner; o != nil && rng.IntN(2) == 0 {
			h = r.host(o.PodName)
		}
		n++
		faults[rng.IntN(len(faults))](rng, h, n)
	}
	for _, h := range r.hosts {
		h.loseAnswers, h.loses = 0, false
		h.releaseAll()
		if h.cut {
			h.heal()
		}
		if h.core == nil {
			h.start()
		}
		if !h.connected {
			h.connect()
		}
		r.run()
	}
	r.pass(time.Minute)
	o := r.status.Owner
	if o == nil || o.State != v1alpha1.GroupOnline || !r.host(o.PodName).isOnline() {
		t.Fatalf("not online in the end: %+v", o)
	}
	for name, k := range r.calls {
		if !k.Finished {
			t.Errorf("call %s has no end: %+v", name, k)
		}
	}
	for _, h := range r.hosts {
		if !r.status.Hosts[h.name].Ready {
			t.Errorf("%+v", r.status.Hosts[h.name])
		}
	}
	r.pass(time.Minute)
	if now := r.status.Owner; now.Epoch != o.Epoch || now.State != v1alpha1.GroupOnline {
		t.Errorf("epoch %d after %d although nothing happened", now.Epoch, o.Epoch)
	}
}

// TestSchedules runs random schedules; SEED runs that one alone.
func TestSchedules(t *testing.T) {
	first, n := uint64(1), uint64(100)
	if testing.Short() { // with the race detector; make test runs them all without
		n = 3
	}
	if s := os.Getenv("SEED"); s != "" {
		first, _ = strconv.ParseUint(s, 10, 64)
		n = 1
	}
	for seed := first; seed < first+n; seed++ {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) { schedule(t, seed) })
	}
}
