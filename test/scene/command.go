// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package scene

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const modulePath = "github.com/understudy-dev/understudy"

// Root returns the root of the clone that the working directory is in.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(text), "module "+modulePath+"\n") {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no clone of " + modulePath + " at or above the working directory: change into it first")
		}
		dir = parent
	}
}

// Command is another program to be run to its end.
type Command struct {
	Args []string
	Dir  string
	Env  []string
	// Show gets what the program writes on standard error, besides the error.
	Show *os.File
	// Input is its standard input.
	Input string
	// Within is how long it may take; a minute if zero.
	Within time.Duration
}

// Run returns the standard output. The error has what the program said last.
func (c Command) Run(ctx context.Context) (string, error) {
	within := c.Within
	if within == 0 {
		within = time.Minute
	}
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("not done after %s", within))
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Dir, strings.NewReader(c.Input), &stdout, &stderr
	if c.Show != nil {
		cmd.Stderr = c.Show
	}
	cmd.Env = append(os.Environ(), c.Env...)
	// Asked to end first: localcluster tidies up when it is interrupted.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	err := cmd.Run()
	if err == nil {
		return stdout.String(), nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	said := strings.TrimSpace(stderr.String())
	if said == "" {
		said = strings.TrimSpace(stdout.String())
	}
	lines := strings.Split(said, "\n")
	return stdout.String(), fmt.Errorf("%s: %w: %s", strings.Join(c.Args, " "), err,
		strings.Join(lines[max(0, len(lines)-15):], "\n"))
}
