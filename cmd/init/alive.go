// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"errors"
	"os"
	"path/filepath"

	guardv1 "github.com/understudy-dev/understudy/api/guard/v1"
)

// exitStuck is the exit code for a container that kubelet shall end.
const exitStuck = 1

// errStuck is the monitor's word, not that of the init here: one that hangs could
// not say so.
var errStuck = errors.New("the monitor asked to have this container emptied, and its init did not prove it")

// alive is kubelet's liveness probe of a supervised container. Whatever cannot be
// found out is no reason to end the container.
func alive(args []string) error {
	if len(args) != 2 || args[0] != "--guard-dir" {
		return errors.New("alive needs the folder of the monitor: usage is init alive --guard-dir DIR")
	}
	if _, err := os.Stat(filepath.Join(args[1], guardv1.StuckName)); err == nil {
		return errStuck
	}
	return nil
}
