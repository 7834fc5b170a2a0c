// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

var _ = everySame("Callback/QuorumResourceLost", Event{Callback: &Callback{ID: 1, Container: "c", Handle: "a", QuorumResourceLost: &QuorumResourceLost{}}},
	"Reply(120,0)")
