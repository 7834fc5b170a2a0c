// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxMessage is the most bytes of a sentence for people on the wire.
const maxMessage = 1024

// ErrTerminated is what a worker's reports return once the resource was
// terminated: return at once. RA 1.1, ResourceExitStateTerminate.
var ErrTerminated = errors.New("the resource was terminated")

// Error is an error with all that the contract can carry. Any other error that a
// provider returns counts as 5038 ERROR_RESOURCE_FAILED.
type Error struct {
	// Code is the status of the call.
	Code Code
	// Message is a sentence for people, without secrets.
	Message string
	// AppCode is the provider's own error, RA 3.2 ApplicationSpecificErrorCode.
	AppCode uint32
	// Flags of RA 3.2, for the end of pending work: Flag constants.
	Flags uint32
	// State is what failed pending work ends in: StateFailed (also if 0), or one
	// of the two StateCannotComeOnline values of RA 3.1.
	State State
}

// Errorf makes an Error of a code and a message.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Error is the message, or the code's name.
func (e *Error) Error() string {
	if e.Message == "" {
		return e.Code.String()
	}
	return e.Message
}

// asError turns any error into an Error; nil stays nil.
func asError(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		full := *e
		if full.Code == Success {
			full.Code = ErrorResourceFailed
		}
		full.Message = clip(err.Error(), maxMessage) // with what wraps it
		return &full
	}
	code := ErrorResourceFailed
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		code = ErrorResourceCallTimedOut
	case errors.Is(err, context.Canceled), errors.Is(err, ErrTerminated):
		code = ErrorOperationAborted
	}
	return &Error{Code: code, Message: clip(err.Error(), maxMessage)}
}

// clip makes s valid UTF-8 of at most n bytes.
func clip(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
