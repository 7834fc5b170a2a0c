// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	guardv1 "github.com/understudy-dev/understudy/api/guard/v1"
	"github.com/understudy-dev/understudy/cmd/init/machine"
)

const usage = `usage: init --guard-dir DIR [--name NAME] -- CHILD [ARG...]   run CHILD under a guard, as PID 1
       init [--name NAME] -- CHILD [ARG...]                   keep CHILD running
       init copy DIR FILE...                                  copy programs into DIR
       init alive --guard-dir DIR                             fail if the monitor says that the init here hangs
`

// exitUsage is the exit code for a wrong command line or environment.
const exitUsage = 2

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "init:", err)
		if errors.Is(err, errStuck) {
			os.Exit(exitStuck)
		}
		os.Exit(exitUsage)
	}
}

// run returns only if there was nothing to supervise.
func run(args []string) error {
	if len(args) > 0 && args[0] == "copy" {
		if len(args) < 3 {
			return errors.New("copy needs a folder and at least one file: usage is init copy DIR FILE [FILE]")
		}
		return copyPrograms(args[1], args[2:])
	}
	if len(args) > 0 && args[0] == "alive" {
		return alive(args[1:])
	}
	o, err := parse(args)
	if err != nil {
		return fmt.Errorf("%w\n%s", err, usage)
	}
	return supervise(o)
}

// options is the command line.
type options struct {
	guardDir string
	name     string
	child    []string
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("init", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.guardDir, "guard-dir", "", "")
	flags.StringVar(&o.name, "name", "", "")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.child = flags.Args()
	if len(o.child) == 0 {
		return o, errors.New("no program to run: name it after --")
	}
	return o, nil
}

// supervise runs the loop, which ends the process.
func supervise(o options) error {
	// First of all: nothing below may be able to kill a whole machine.
	if o.guardDir != "" && !isPID1() {
		return errors.New("--guard-dir needs init to be PID 1 of a PID namespace of its own: make it the " +
			"container's command, without a wrapper, and do not set hostPID or shareProcessNamespace")
	}
	// The loop, its helpers and a dump never need more; without the bound the
	// runtime keeps a heap cache for each of the node's processors.
	runtime.GOMAXPROCS(3)
	runtime.LockOSThread()
	log := newLogger(o.name)
	w, err := newWorld(log, o.child, o.guardDir)
	if err != nil {
		return err
	}
	now := boottime()
	if o.guardDir == "" {
		w.run(machine.NewPlain(now))
	} else {
		w.run(machine.NewGuard(now, bootID(), w.child.nonce))
	}
	return nil
}

// socketPath is where the monitor listens.
func socketPath(guardDir string) string { return filepath.Join(guardDir, guardv1.SocketName) }
