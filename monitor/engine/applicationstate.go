// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

// setInternalState is RA section 1.12.
func (e *Engine) setInternalState(*resource, SetInternalState) Code { return CodeNotImplemented }
