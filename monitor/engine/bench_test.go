// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"testing"
)

// BenchmarkSetResourceStatus is one checkpoint of one of 20 pending resources.
func BenchmarkSetResourceStatus(b *testing.B) {
	e := New(Config{})
	now := start
	var rs []Resource
	for i := range 20 {
		rs = append(rs, res(fmt.Sprint("r", i)))
	}
	e.Step(now, Event{PlanChanged: &PlanChanged{Plan: Plan{Resources: rs}}})
	e.Step(now, Event{ProviderUp: &ProviderUp{Container: "c", Nonce: "1"}})
	e.Step(now, Event{Granted: &Granted{Epoch: 1}})
	e.Step(now, Event{Guarded: &Guarded{Container: "c", Epoch: 1}})
	for i := range uint64(40) {
		e.Step(now, Event{Returned: &Returned{Call: i + 1, Status: map[bool]Code{true: CodeIOPending}[i >= 20]}})
	}
	if e.find("r7").state != OnlinePending {
		b.Fatal(e.find("r7").state)
	}
	b.ReportAllocs()
	n := uint32(0)
	for b.Loop() {
		n++
		now = now.Add(ms)
		e.Step(now, Event{Callback: &Callback{ID: 1, Container: "c", Handle: "r7",
			SetResourceStatus: &SetResourceStatus{Ex: true, State: ReportedOnlinePending, CheckPoint: n}}})
	}
}
