// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Caller is a provider that makes the callbacks it is asked for; see
// internal/testprovider/caller.
package main

import (
	"github.com/understudy-dev/understudy/internal/testprovider/caller"
	"github.com/understudy-dev/understudy/provider"
)

func main() { provider.Main(caller.Provider()) }
