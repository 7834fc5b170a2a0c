// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

// setLockedMode is SetResourceLockedMode and its Ex form (RA sections 1.10, 1.19).
func (e *Engine) setLockedMode(*resource, SetLockedMode) Code { return CodeNotImplemented }
