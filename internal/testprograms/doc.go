// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package testprograms holds programs that are hard to stop, or that can be asked
// whether they work. test/programs makes binaries of them; tests also run them from
// their own binary, by Dispatch.
package testprograms

import (
	"fmt"
	"os"
)

// Programs by name.
var Programs = map[string]func(args []string) error{
	"stubborn": Stubborn,
	"daemon":   Daemon,
	"foreign":  Foreign,
	"runaway":  Runaway,
	"brood":    Brood,
	"server":   Server,
	"exit":     Exit,
	"env":      Env,
}

// Run runs a program and ends the process.
func Run(name string, args []string) {
	if err := Programs[name](args); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Dispatch, called first in TestMain, runs a program if the first argument names
// one; it then does not return.
func Dispatch() {
	if len(os.Args) > 1 && Programs[os.Args[1]] != nil {
		Run(os.Args[1], os.Args[2:])
	}
}
