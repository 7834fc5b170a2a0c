// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/understudy-dev/understudy/internal/layout"
	"github.com/understudy-dev/understudy/monitor"
	"github.com/understudy-dev/understudy/monitor/engine"
)

// logLevels are the levels that can be asked for (RA section 3.5, LOG_LEVEL).
var logLevels = map[string]engine.Level{
	"information": engine.LevelInformation, "warning": engine.LevelWarning, "error": engine.LevelError,
}

func logCommand() *cobra.Command {
	q, level := monitor.LogQuery{}, "information"
	c := &cobra.Command{
		Use:   "log",
		Short: "Print the cluster log of this pod, as far as it is kept",
		Long: "It prints the latest lines of the cluster log, oldest first: what providers logged with\n" +
			"LogEvent, and what the monitor did. At least the last MiB is kept, as long as the pod lives.",
		Example: "  kubectl exec HOST -c understudy-monitor -- /monitor log\n" +
			"  kubectl exec HOST -c understudy-monitor -- /monitor log --resource db --level warning --follow",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var ok bool
			if q.Level, ok = logLevels[strings.ToLower(level)]; !ok {
				return fmt.Errorf("--level %q is not known: take information, warning or error", level)
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return monitor.ReadLog(ctx, layout.StateDir, q, cmd.OutOrStdout())
		},
	}
	c.Flags().StringVar(&q.Resource, "resource", "", "only lines about this resource")
	c.Flags().StringVar(&level, "level", level, "the least level: information, warning or error")
	c.Flags().BoolVarP(&q.Follow, "follow", "f", false, "go on with what comes")
	return c
}
