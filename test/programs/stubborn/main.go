// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Stubborn ignores every signal that can be ignored; see internal/testprograms.
package main

import (
	"os"

	"github.com/understudy-dev/understudy/internal/testprograms"
)

func main() {
	testprograms.Run("stubborn", os.Args[1:])
}
