// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
)

// The group has 20 resources, of which one tells of its progress, or fails over and over.
func benchmarkCallback(b *testing.B, every time.Duration, cb engine.Callback) {
	b.Helper()
	r := newRig(b, "a")
	first := r.plan.Resources[0]
	first.RestartAction, first.RestartThreshold = "RestartNoNotify", 1000
	first.PendingTimeout, first.DeadlockTimeout = 3600000, 3600000
	r.plan.Resources = nil
	for i := range 20 {
		p := first
		p.UID, p.Name = fmt.Sprintf("u%d", i), fmt.Sprintf("store-%d", i)
		r.plan.Resources = append(r.plan.Resources, p)
	}
	a := r.hosts[0]
	a.pending = true
	a.start()
	r.pass(time.Second)
	cb.ID, cb.Container, cb.Handle = 1, "main", "u1"
	b.ReportAllocs()
	for b.Loop() {
		r.now = r.now.Add(every)
		if s := cb.SetResourceStatus; s != nil {
			s.CheckPoint++
		}
		for _, e := range a.core.Step(r.now, core.Input{Callback: &cb}) {
			if e.Write != nil { // stored at once
				a.core.Step(r.now, core.Input{Written: &core.Written{Key: e.Write.Key, Seq: e.Write.Seq, Outcome: core.WriteDone}})
			}
		}
	}
}

// BenchmarkProgress is a report of progress, 20 000 a second.
func BenchmarkProgress(b *testing.B) {
	benchmarkCallback(b, 50*time.Microsecond, engine.Callback{SetResourceStatus: &engine.SetResourceStatus{
		Ex: true, State: engine.ReportedOnlinePending,
	}})
}

// BenchmarkWrittenProgress is one of which each is written.
func BenchmarkWrittenProgress(b *testing.B) {
	benchmarkCallback(b, time.Second, engine.Callback{SetResourceStatus: &engine.SetResourceStatus{
		Ex: true, State: engine.ReportedOnlinePending,
	}})
}

// BenchmarkLogEvent is a line of the log.
func BenchmarkLogEvent(b *testing.B) {
	benchmarkCallback(b, 50*time.Microsecond, engine.Callback{LogEvent: &engine.LogEvent{Text: "a line"}})
}
