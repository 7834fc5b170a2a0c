// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

var _ = everySame("Callback/RaiseNotification", Event{Callback: &Callback{ID: 1, Container: "c", TypeName: "test", RaiseNotification: &RaiseNotification{}}},
	"Reply(120,0)")
