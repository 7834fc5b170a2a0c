// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

var _ = everywhere("Withdrawn", Event{Withdrawn: &Withdrawn{ID: "1"}},
	"Initializing:", "Offline:", "OnlinePending:", "Online:", "OfflinePending:", "Failed:")
