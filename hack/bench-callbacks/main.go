// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Command bench-callbacks measures what a provider may rely on when it calls back: a
// real monitor in a process of its own, over its real socket, against a real API server
// with our policies in force. Provider, init and the watcher of the API are this process.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/understudy-dev/understudy/hack/internal/tool"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == monitorCommand {
		exit(runMonitor())
	}
	report := flag.String("o", "dist/bench/callbacks.json", "`FILE` for the figures")
	profile := flag.String("profile", "", "`FILE` for a CPU profile of the monitor, over all that is measured")
	only := flag.String("only", "", "measure `NAME` only: calls, flood, stream, visible or flap")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *report, *profile, *only)
	stop()
	exit(err)
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-callbacks:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(ctx context.Context, path, profile, only string) (err error) {
	say := tool.NewProgress(os.Stderr).Say
	say("starting etcd and kube-apiserver")
	s, err := newStage(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	h, err := s.startHost(ctx, profile)
	if err != nil {
		return err
	}
	defer h.close()
	if err := h.waitPending(ctx); err != nil {
		return err
	}
	var figures []figure
	for _, m := range []struct {
		name string
		run  func(context.Context, *host) ([]figure, error)
	}{
		{"calls", measureCalls},
		{"visible", measureVisible},
		{"flood", measureFlood},
		{"stream", measureStream},
		{"flap", measureFlap},
	} {
		if only != "" && only != m.name {
			continue
		}
		say("measuring %s", m.name)
		more, err := m.run(ctx, h)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		figures = append(figures, more...)
	}
	return show(figures, path)
}
