// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Provider serves the built-in resource types.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	applicationv1 "github.com/understudy-dev/understudy/api/application/v1"
	"github.com/understudy-dev/understudy/provider"
	"github.com/understudy-dev/understudy/provider/application"
	"github.com/understudy-dev/understudy/provider/supervise"
)

// version is set when the program is built.
var version = "dev"

func main() {
	if err := newCommand().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "provider:", err)
		if errors.As(err, &unable{}) {
			os.Exit(2)
		}
		os.Exit(1)
	}
}

func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "provider",
		Short: "Serve the built-in resource types of Understudy, and judge other providers",
		Long: `Provider serves built-in resource types to the monitor of a host pod.

Init starts it inside a container of the group's pod template; it listens on
$` + provider.SocketEnv + ` and reports to $` + provider.MonitorSocketEnv + `.`,
		Version:           version,
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.AddCommand(newApplication(), newConformance(), newSupervise())
	return root
}

func newApplication() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "application",
		Short: "Serve the type application: any program in any image",
		Long: `Serve the resource type application: start a program, stop it by a signal and
then by force, check it by process, command, TCP, HTTP or gRPC, and report its end
at once. It needs no shell, no privileges and no place to write but its socket.`,
		Example: `  # As the command of a ResourceType:
  spec:
    provider:
      inject:
        command: ["/understudy/bin/provider", "application"]

  # By hand, against a monitor that listens on monitor.sock:
  UNDERSTUDY_PROVIDER_SOCKET=/tmp/provider.sock \
  UNDERSTUDY_MONITOR_SOCKET=/tmp/monitor.sock provider application

  # The properties that a resource of this type can have, as an OpenAPI schema:
  provider application --schema`,
		Args: cobra.NoArgs,
	}
	schema := cmd.Flags().Bool("schema", false, "print the schema of the type's properties and end")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *schema {
			_, err := cmd.OutOrStdout().Write(applicationv1.Schema())
			return err
		}
		family, err := supervise.NewFamily("supervise")
		if err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
		defer stop()
		// Beside the socket is the one folder that a provider can surely write to.
		epochs := filepath.Join(filepath.Dir(os.Getenv(provider.SocketEnv)), application.EpochDir)
		return provider.Serve(ctx, provider.Provider{
			Name:    "application.understudy.dev",
			Version: version,
			Types:   map[string]provider.Type{application.Name: application.New(family, epochs)},
		})
	}
	return cmd
}

// newSupervise is how the provider starts itself again, once per program.
func newSupervise() *cobra.Command {
	return &cobra.Command{
		Use:    "supervise",
		Short:  "Supervise one program (started by the provider, not by hand)",
		Hidden: true,
		Args:   cobra.NoArgs,
		Run:    func(*cobra.Command, []string) { os.Exit(supervise.Main()) },
	}
}
