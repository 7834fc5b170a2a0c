// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/rest"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/clock"
	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/instant"
	"github.com/understudy-dev/understudy/monitor/journal"
	"github.com/understudy-dev/understudy/monitor/kube"
	"github.com/understudy-dev/understudy/monitor/ownership"
)

// newTestLoop is a loop without a peer: no API server answers, no init comes. end ends
// what it started, and may be called again.
func newTestLoop(t *testing.T, config Config) (l *loop, ctx context.Context, end func()) {
	t.Helper()
	if config.StateDir == "" {
		config.StateDir = t.TempDir()
	}
	j, err := journal.Open(t.TempDir())
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	l = newLoop(ctx, config, core.Config{
		Group: "g", Namespace: "n", PodUID: "u", BootID: "b", Containers: []string{"main"},
	}, nil, j)
	end = func() {
		cancel()
		l.wait.Wait()
	}
	l.alarm, err = clock.NewAlarm(ctx)
	must(t, err)
	l.kube, err = kube.New(kube.Config{REST: &rest.Config{}, Sink: l.input})
	must(t, err)
	return l, ctx, end
}

// An owner that is replaced waits for no Event: nothing renews until the next life does. Who
// leaves and owns nothing has time for them, within a bound.
func TestReplacedOwnerWaitsForNoEvents(t *testing.T) {
	for owns, want := range map[bool]time.Duration{true: 0, false: flushTime} {
		synctest.Test(t, func(t *testing.T) {
			k, err := kube.New(kube.Config{REST: &rest.Config{}}) // it does not run, and sends nothing
			must(t, err)
			l := &loop{kube: k, core: core.New(core.Config{
				Namespace: "n", Group: "g", PodName: "p", PodUID: "u", Inc: "i", BootID: "b",
			}, &core.State{BootID: "b", Plan: &planv1.Plan{
				Version: 1, Namespace: "n", Group: "g", Online: owns, LeaseDurationSeconds: 6,
			}})}
			record, _ := leasev1.ReleaseInitial(leasev1.Unheld(0, leasev1.DefaultD))
			record.UID, record.ResourceVersion = "l", "1"
			lease := leasev1.Encode(record, leasev1.Lease{})
			group := &core.Group{}
			group.Status.Succession = &v1alpha1.Succession{Line: []v1alpha1.Successor{{PodUID: "u"}}}
			inputs := []core.Input{{Started: &core.Started{}}, {Observed: &ownership.Observed{Lease: &lease}}, {Group: group}}
			for now := (instant.Instant{Boot: 1, Raw: 1, Wall: 1.9e18}); len(inputs) > 0; now = now.Add(time.Millisecond) {
				in := inputs[0]
				inputs = inputs[1:]
				for _, e := range l.core.Step(now, in) {
					switch {
					case e.Get != nil:
						inputs = append(inputs, core.Input{Observed: &ownership.Observed{Get: e.Get.ID, Lease: &lease}})
					case e.Journal != nil && e.Journal.ID != 0:
						inputs = append(inputs, core.Input{Persisted: &ownership.Persisted{ID: e.Journal.ID}})
					case e.Put != nil:
						taken := leasev1.Encode(e.Put.Record, lease)
						taken.ResourceVersion = "2"
						w := &ownership.Wrote{Seq: e.Put.Seq, Outcome: ownership.Committed, Lease: &taken}
						inputs = append(inputs, core.Input{Wrote: w})
					}
				}
			}
			if l.core.Ownership().Granted != owns {
				t.Fatalf("it owns the group: %v, want %v", !owns, owns)
			}
			began := time.Now()
			l.flushEvents(t.Context())
			if waited := time.Since(began); waited != want {
				t.Errorf("owner %v: it waits for %v, want %v", owns, waited, want)
			}
		})
	}
}
