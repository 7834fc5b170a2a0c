// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Daemon leaves a child in a session of its own that ignores SIGTERM and holds a lock; see internal/testprograms.
package main

import (
	"os"

	"github.com/understudy-dev/understudy/internal/testprograms"
)

func main() {
	args := os.Args[1:]
	if len(args) > 0 && args[0] == "daemon" {
		args = args[1:] // started by itself
	}
	testprograms.Run("daemon", args)
}
