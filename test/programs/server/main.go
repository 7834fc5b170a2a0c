// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Server answers HTTP and gRPC health checks; see internal/testprograms.
package main

import (
	"os"

	"github.com/understudy-dev/understudy/internal/testprograms"
)

func main() {
	testprograms.Run("server", os.Args[1:])
}
