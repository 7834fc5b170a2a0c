// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

var _ = everySame("Callback/SetInternalState", Event{Callback: &Callback{ID: 1, Container: "c", Handle: "a", SetInternalState: &SetInternalState{State: ApplicationReady}}},
	"Reply(120,0)")
