// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/understudy-dev/understudy/provider"
	"github.com/understudy-dev/understudy/provider/conformance"
)

func newConformance() *cobra.Command {
	var socket, config, junit, run string
	var list, verbose bool
	cmd := &cobra.Command{
		Use:   "conformance [flags] [-- COMMAND [ARGS...]]",
		Short: "Judge a provider, in any language, against the protocol",
		Long: `Drive one provider as a monitor would, and say case by case which rules of the
protocol it keeps. What a provider does not have, or what the configuration does not
show how to do, is skipped with the reason.

With a COMMAND, the suite starts the provider, with $` + provider.SocketEnv + `
and $` + provider.MonitorSocketEnv + ` set, and kills and restarts it in some cases.
With --socket, it is served already at DIR/provider.sock, and calls back at DIR/monitor.sock.

It ends with code 1 if a case failed, with 2 if the cases could not be run.`,
		Example: `  # Start it, with a file that says how to make resources of its types:
  provider conformance --config link.yaml --junit link.xml -- ./provider-link

  # It runs already, in a folder with a short path:
  provider conformance --socket /tmp/link --config link.yaml

  # Only what is about Terminate; and what there is:
  provider conformance --run '^Terminate/' -- ./provider-link
  provider conformance --list`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if list {
				return listCases(cmd.OutOrStdout())
			}
			c, err := conformanceConfig(config, run, socket, args)
			if err != nil {
				return unable{err}
			}
			if verbose {
				c.Output = cmd.ErrOrStderr()
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			report, err := conformance.Run(ctx, c)
			if err != nil {
				return unable{err}
			}
			if err := report.Text(cmd.OutOrStdout()); err != nil {
				return unable{err}
			}
			if junit != "" {
				if err := writeJUnit(junit, report); err != nil {
					return unable{err}
				}
			}
			if n := report.Count(conformance.Failed); n > 0 {
				return fmt.Errorf("%d cases failed", n)
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&socket, "socket", "", "folder of provider.sock and monitor.sock")
	flags.StringVar(&config, "config", "", "YAML or JSON file that says how to make resources of the provider's types")
	flags.StringVar(&junit, "junit", "", "file to write the results to, as JUnit XML")
	flags.StringVar(&run, "run", "", "run only the cases whose name matches this regular expression")
	flags.BoolVar(&list, "list", false, "list the cases, what they ask and what they need, and end")
	flags.BoolVar(&verbose, "verbose", false, "pass on what the provider prints")
	return cmd
}

// unable is an error that kept the cases from being run.
type unable struct{ error }

func (e unable) Unwrap() error { return e.error }

func conformanceConfig(file, run, socket string, command []string) (c conformance.Config, err error) {
	if file != "" {
		if c, err = conformance.Load(file); err != nil {
			return c, err
		}
	}
	if run != "" {
		if c.Run, err = regexp.Compile(run); err != nil {
			return c, fmt.Errorf("--run: %w", err)
		}
	}
	if len(command) > 0 {
		c.Command = command
	}
	c.Dir = socket
	if len(c.Command) == 0 && socket == "" {
		return c, errors.New("say where the provider is: --socket DIR, or its command after --")
	}
	return c, nil
}

func listCases(w io.Writer) error {
	cases := conformance.Cases()
	var b strings.Builder
	for _, c := range cases {
		fmt.Fprintf(&b, "%s\n        %s\n", c.Name, c.Rule)
		for _, n := range c.Needs {
			fmt.Fprintf(&b, "        needs %s\n", n.Name)
		}
	}
	fmt.Fprintf(&b, "%d cases\n", len(cases))
	_, err := io.WriteString(w, b.String())
	return err
}

func writeJUnit(path string, report conformance.Report) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(report.JUnit(f), f.Close())
}
