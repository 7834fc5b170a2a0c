// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core

import "github.com/understudy-dev/understudy/monitor/instant"

// Line is one line of a recording, as JSON: the first has Config and State, each later one
// a step.
type Line struct {
	Config  *Config          `json:"config,omitempty"`
	State   *State           `json:"state,omitempty"`
	At      *instant.Instant `json:"at,omitempty"`
	Input   *Input           `json:"input,omitempty"`
	Effects []Effect         `json:"effects,omitempty"`
}
