// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

// quorumResourceLost is RA section 1.9.
func (e *Engine) quorumResourceLost(*resource) Code { return CodeNotImplemented }
