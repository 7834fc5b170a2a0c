// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

var _ = everySame("Callback/ExtendControlCall", Event{Callback: &Callback{ID: 1, Container: "c", ExtendControlCall: &ExtendControlCall{Context: 1}}},
	"Reply(87,0)")
