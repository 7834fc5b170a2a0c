// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

var _ = everySame("Callback/SetNodeLocalProperties", Event{Callback: &Callback{ID: 1, Container: "c", Handle: "a", SetNodeLocalProperties: &SetNodeLocalProperties{}}},
	"Reply(120,0)")
