// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

var _ = everySame("Callback/SetLockedMode", Event{Callback: &Callback{ID: 1, Container: "c", Handle: "a", SetLockedMode: &SetLockedMode{Enabled: true}}},
	"Reply(120,0)")
