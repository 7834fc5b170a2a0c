// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package tool

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// Subcommand is one command of a program, such as `localcluster up`.
type Subcommand struct {
	// Usage is the name and its arguments: "load IMAGE.tar".
	Usage string
	// Short is one line for the list of commands.
	Short string
	// Long explains, and Example shows.
	Long, Example string
	// Args is the fewest and the most arguments besides flags.
	Args [2]int
	// Flags declares the flags.
	Flags func(*flag.FlagSet)
	// Run does it.
	Run func(ctx context.Context, args []string) error
}

func (s Subcommand) name() string {
	name, _, _ := strings.Cut(s.Usage, " ")
	return name
}

// Main runs the subcommand that the arguments name and returns the exit status. SIGINT and SIGTERM cancel it.
func Main(program, intro string, commands []Subcommand, args []string) int {
	if len(args) == 0 || isHelp(args[0]) {
		for _, c := range commands {
			if len(args) > 1 && c.name() == args[1] {
				c.help(os.Stdout, program, c.flagSet(program))
				return 0
			}
		}
		fmt.Printf("%s\n\nCommands:\n", strings.TrimSpace(intro))
		for _, c := range commands {
			fmt.Printf("  %-38s %s\n", c.Usage, c.Short)
		}
		fmt.Printf("\n`%s help COMMAND` tells more about one.\n", program)
		return 0
	}
	// Whoever became root by plain su has a PATH without nft and its like.
	if err := os.Setenv("PATH", os.Getenv("PATH")+":/usr/local/sbin:/usr/sbin:/sbin"); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", program, err)
		return 1
	}
	for _, c := range commands {
		if c.name() == args[0] {
			return c.main(program, args[1:])
		}
	}
	fmt.Fprintf(os.Stderr, "%s: no command %q, see `%s help`\n", program, args[0], program)
	return 2
}

func (s Subcommand) main(program string, args []string) int {
	flags := s.flagSet(program)
	positional, err := parseInterspersed(flags, args)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err == nil && (len(positional) < s.Args[0] || len(positional) > s.Args[1]) {
		err = fmt.Errorf("want `%s %s`, see `%s help %s`", program, s.Usage, program, s.name())
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s %s: %v\n", program, s.name(), err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := s.Run(ctx, positional); err != nil {
		fmt.Fprintf(os.Stderr, "%s %s: %v\n", program, s.name(), err)
		return 1
	}
	return 0
}

func isHelp(arg string) bool {
	return arg == "help" || arg == "-h" || arg == "-help" || arg == "--help"
}

func (s Subcommand) flagSet(program string) *flag.FlagSet {
	flags := flag.NewFlagSet(s.name(), flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	if s.Flags != nil {
		s.Flags(flags)
	}
	flags.Usage = func() { s.help(os.Stdout, program, flags) }
	return flags
}

func (s Subcommand) help(out io.Writer, program string, flags *flag.FlagSet) {
	fmt.Fprintf(out, "%s.\n\nUsage:\n  %s %s\n", s.Short, program, s.Usage)
	if s.Long != "" {
		fmt.Fprintf(out, "\n%s\n", strings.TrimSpace(s.Long))
	}
	if s.Example != "" {
		fmt.Fprintf(out, "\nExamples:\n  %s\n", strings.ReplaceAll(strings.TrimSpace(s.Example), "\n", "\n  "))
	}
	first := true
	flags.VisitAll(func(f *flag.Flag) {
		if first {
			fmt.Fprint(out, "\nFlags:\n")
			first = false
		}
		kind, usage := flag.UnquoteUsage(f)
		fmt.Fprintf(out, "  --%-20s %s\n", strings.TrimSpace(f.Name+" "+kind), usage)
	})
}

// parseInterspersed parses flags wherever they stand among the arguments; the flag package stops at the first
// argument, so that `partition node-1 --from api` would be refused.
func parseInterspersed(flags *flag.FlagSet, args []string) (positional []string, err error) {
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		rest := flags.Args()
		if len(rest) == 0 {
			return positional, nil
		}
		if consumed := len(args) - len(rest); consumed > 0 && args[consumed-1] == "--" {
			return append(positional, rest...), nil
		}
		positional, args = append(positional, rest[0]), rest[1:]
	}
}
