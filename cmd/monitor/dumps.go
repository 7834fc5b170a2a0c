// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/understudy-dev/understudy/internal/layout"
	"github.com/understudy-dev/understudy/monitor"
)

func dumpsCommand() *cobra.Command { return dumpsIn(layout.ContainersDir) }

func dumpsIn(dir string) *cobra.Command {
	return &cobra.Command{
		Use:   "dumps [NAME]",
		Short: "List the dumps of this pod, or write one to stdout",
		Long: "Without a name it lists the dumps that were collected in this pod, oldest first; with one\n" +
			"it writes that dump to stdout. ClusterResource.status.owner.lastDump has the name of the\n" +
			"latest one of a resource.",
		Example: "  kubectl exec HOST -c understudy-monitor -- /monitor dumps\n" +
			"  kubectl exec HOST -c understudy-monitor -- /monitor dumps NAME > NAME",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return listDumps(dir, cmd.OutOrStdout())
			}
			f, err := monitor.OpenDump(dir, args[0])
			if err != nil {
				return err
			}
			defer func() { _ = f.Close() }()
			if _, err := io.Copy(cmd.OutOrStdout(), f); err != nil {
				return fmt.Errorf("dump %s: %w", args[0], err)
			}
			return nil
		},
	}
}

func listDumps(dir string, out io.Writer) error {
	all, err := monitor.Dumps(dir)
	if err != nil {
		return err
	}
	const space = 2
	w := tabwriter.NewWriter(out, 0, 0, space, ' ', 0)
	_, _ = fmt.Fprintln(w, "CONTAINER\tBYTES\tNAME")
	for _, d := range all {
		_, _ = fmt.Fprintf(w, "%s\t%d\t%s\n", d.Container, d.Bytes, d.Name)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("writing the list: %w", err)
	}
	return nil
}
