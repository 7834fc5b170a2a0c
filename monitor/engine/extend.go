// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

// extendControlCall is ExtendControlCall and ExtendResTypeControlCall (RA sections 1.7, 1.8).
func (e *Engine) extendControlCall(ExtendControlCall, string) Code { return CodeNotImplemented }
