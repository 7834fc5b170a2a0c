// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Command probe is a client of redis that measures its own outages: it asks for a
// PONG every few milliseconds, each time over a new connection, and tells on
// standard output, in JSON lines, when answers stop and when they come again.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	interval := flag.Duration("interval", 5*time.Millisecond, "pause between the starts of two attempts")
	timeout := flag.Duration("timeout", 100*time.Millisecond, "how long one attempt may take")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: probe [--interval 5ms] [--timeout 100ms] HOST:PORT")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	out := json.NewEncoder(os.Stdout)
	say := func(l Line) {
		if err := out.Encode(l); err != nil {
			fmt.Fprintln(os.Stderr, "probe:", err)
			stop()
		}
	}
	attempt := func(ctx context.Context, nth int64) error { return ping(ctx, flag.Arg(0), portOf(nth), *timeout) }
	(&prober{attempt: attempt, say: say, now: time.Now}).run(ctx, *interval)
}
