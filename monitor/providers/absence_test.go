// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestAbsence(t *testing.T) {
	a := absence{after: absentAfter, every: absentEvery}
	now := time.Now()
	step := func(d time.Duration, err, want string) {
		t.Helper()
		now = now.Add(d)
		if got := a.because(errors.New(err), now); got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	}
	const refused, version = "connection refused", "another version"
	step(0, "no such file", "") // it is about to come
	step(absentAfter/2, refused, "")
	step(absentAfter/2, refused, refused)
	step(time.Hour, refused, "") // no news
	step(time.Millisecond, version, version)
	step(time.Millisecond, refused, "") // too often
	step(absentEvery, refused, refused)
	a.ended()
	step(time.Hour, refused, "") // it was up meanwhile
	step(absentAfter, refused, refused)

	if s := a.because(errors.New(strings.Repeat("ü", maxReason)+"!"), now.Add(time.Hour)); len(s) > maxReason || !utf8.ValidString(s) {
		t.Errorf("%d bytes: %q", len(s), s)
	}
}
