// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Command monitor is the sidecar of every host pod.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"

	"github.com/understudy-dev/understudy/internal/layout"
	"github.com/understudy-dev/understudy/monitor"
)

// version is set by the linker.
var version = "unknown"

func main() {
	if err := command().ExecuteContext(context.Background()); err != nil {
		os.Exit(1)
	}
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:   "monitor",
		Short: "The sidecar of a host pod: drives providers, answers their callbacks, holds ownership",
		Long: "Without a subcommand it runs the monitor of the pod that the environment describes:\n" +
			"POD_NAMESPACE, POD_NAME, POD_UID, POD_IP, NODE_NAME, UNDERSTUDY_GROUP, and optionally\n" +
			"UNDERSTUDY_GRACE_SECONDS and UNDERSTUDY_RECORD (a file for a recording).",
		Example:       "  monitor\n  monitor replay recording.jsonl",
		SilenceUsage:  true,
		SilenceErrors: false,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return runMonitor(cmd.Context()) },
	}
	root.AddCommand(replayCommand(), healthCommand(), dumpsCommand(), logCommand(), versionCommand())
	return root
}

func runMonitor(ctx context.Context) error {
	debug.SetMemoryLimit(layout.MonitorCollects)
	config := monitor.Config{
		Namespace: os.Getenv(layout.EnvPodNamespace), Group: os.Getenv(layout.EnvGroup),
		PodName: os.Getenv(layout.EnvPodName), PodUID: os.Getenv(layout.EnvPodUID), PodIP: os.Getenv(layout.EnvPodIP),
		NodeName: os.Getenv(layout.EnvNodeName), StateDir: layout.StateDir, ContainersDir: layout.ContainersDir,
		Log: os.Stdout,
	}
	if config.PodUID == "" || config.Group == "" || config.Namespace == "" {
		return errors.New("POD_NAMESPACE, POD_UID and UNDERSTUDY_GROUP must be set: the manager does so in every host pod")
	}
	if text := os.Getenv(layout.EnvGrace); text != "" {
		seconds, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return fmt.Errorf("%s: %w", layout.EnvGrace, err)
		}
		config.GraceMilliseconds = seconds * 1000
	}
	if path := os.Getenv(layout.EnvRecord); path != "" {
		f, err := os.OpenFile(filepath.Clean(path), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("%s: %w", layout.EnvRecord, err)
		}
		defer func() { _ = f.Close() }()
		config.Record = f
	}
	var err error
	if config.REST, err = rest.InClusterConfig(); err != nil {
		return fmt.Errorf("finding the API server: %w", err)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	end := make(chan string, 1)
	go func() {
		for range signals {
			select {
			case end <- "MonitorStopping":
			default:
			}
		}
	}()
	return monitor.RunUntil(ctx, config, end)
}

func replayCommand() *cobra.Command {
	verbose := false
	c := &cobra.Command{
		Use:     "replay FILE",
		Short:   "Run a recording through the same machines, and compare",
		Example: "  monitor replay recording.jsonl\n  monitor replay --verbose recording.jsonl | less",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := os.Open(args[0])
			if err != nil {
				return fmt.Errorf("recording: %w", err)
			}
			defer func() { _ = f.Close() }()
			var show io.Writer
			if verbose {
				show = cmd.OutOrStdout()
			}
			steps, err := monitor.Replay(f, show)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d steps, all as recorded\n", steps)
			return err
		},
	}
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "write every input and effect")
	return c
}

// versionCommand is also what the manager runs on a host's node before its monitor
// gets another image: that image is there then, and its monitor runs there.
func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  monitor version",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), version)
			return err
		},
	}
}

func healthCommand() *cobra.Command {
	live := false
	c := &cobra.Command{
		Use:   "healthz",
		Short: "Succeed once the monitor listens on all its sockets (for the startup probe)",
		Long: "Succeed once the monitor listens on all its sockets; with --live, if its loop came round\n" +
			"in the last half minute as well. It asks neither the API server nor the providers: a\n" +
			"restart of the monitor mends nothing of them.",
		Example: "  monitor healthz\n  monitor healthz --live",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if live {
				return monitor.Live(layout.StateDir)
			}
			return monitor.Ready(layout.StateDir)
		},
	}
	c.Flags().BoolVar(&live, "live", false, "also ask whether its loop goes round (for the liveness probe)")
	return c
}
