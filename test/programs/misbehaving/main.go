// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Misbehaving is a provider that breaks the contract where it is told to; see
// internal/testprovider/misbehaving.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/understudy-dev/understudy/internal/testprograms"
	"github.com/understudy-dev/understudy/internal/testprovider/misbehaving"
)

func main() {
	testprograms.Dispatch() // its daemon is itself
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	p := &misbehaving.Provider{Daemon: []string{"/proc/self/exe", "daemon"}}
	err := p.Serve(ctx, os.Getenv("UNDERSTUDY_PROVIDER_SOCKET"), os.Getenv("UNDERSTUDY_MONITOR_SOCKET"))
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "misbehaving:", err)
		os.Exit(1)
	}
}
