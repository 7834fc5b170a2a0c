// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

// raiseNotification is RaiseResTypeNotification (RA section 1.13).
func (e *Engine) raiseNotification(string, RaiseNotification) Code { return CodeNotImplemented }
