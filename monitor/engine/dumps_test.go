// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

var _ = everySame("Callback/ChangeProcessForDumps", Event{Callback: &Callback{ID: 1, Container: "c", Handle: "a", ChangeProcessForDumps: &ChangeProcessForDumps{Name: "p"}}},
	"Reply(120,0)")

var _ = everySame("Callback/RequestDump", Event{Callback: &Callback{
	ID: 1, Container: "c", Handle: "a", RequestDump: &RequestDump{},
}}, "Reply(120,0)")
