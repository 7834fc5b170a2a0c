// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

// changeProcessForDumps is ChangeResourceProcessForDumps (RA section 1.14).
func (e *Engine) changeProcessForDumps(*resource, ChangeProcessForDumps) Code {
	return CodeNotImplemented
}

// changeTypeProcessForDumps is ChangeResTypeProcessForDumps (RA section 1.15).
func (e *Engine) changeTypeProcessForDumps(string, string, ChangeProcessForDumps) Code {
	return CodeNotImplemented
}

// requestDump is RA section 1.19.
func (e *Engine) requestDump(*resource, RequestDump) Code { return CodeNotImplemented }
