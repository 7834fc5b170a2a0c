// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

// setNodeLocalProperties is SetResourceInMemoryNodeLocalProperties (RA section 1.11).
func (e *Engine) setNodeLocalProperties(*resource, SetNodeLocalProperties) Code {
	return CodeNotImplemented
}
