// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package tool

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Command is another program to be run to its end.
type Command struct {
	// Args is the program and its arguments.
	Args []string
	// Dir is the working directory, this process's if empty.
	Dir string
	// Env is added to this process's environment.
	Env []string
	// Stdin is what the program reads.
	Stdin io.Reader
	// Stdout receives its standard output instead of Run's result.
	Stdout io.Writer
	// Deadline is how long it may take, one minute if zero.
	Deadline time.Duration
	// Finish lets the program end by itself if this process is killed: for those that leave a mess when cut short.
	Finish bool
}

// Run runs a program and returns its standard output. Its error names the program and what it said last.
func Run(ctx context.Context, args ...string) (string, error) {
	return Command{Args: args}.Run(ctx)
}

// Run runs the program and returns its standard output. Its error names the program and what it said last.
func (c Command) Run(ctx context.Context) (string, error) {
	deadline := c.Deadline
	if deadline == 0 {
		deadline = time.Minute
	}
	ctx, cancel := context.WithTimeoutCause(ctx, deadline, fmt.Errorf("not done after %s", deadline))
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Dir, c.Stdin, &stdout, &stderr
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.WaitDelay = 5 * time.Second
	if c.Stdout != nil {
		cmd.Stdout = c.Stdout
	}
	// A program that outlived us would go on changing the machine while the next command runs.
	if !c.Finish {
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	}
	err := cmd.Run()
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		said := strings.TrimSpace(stderr.String())
		if said == "" {
			said = strings.TrimSpace(stdout.String())
		}
		return stdout.String(), fmt.Errorf("%s: %w: %s", strings.Join(c.Args, " "), err, lastLines(said, 20))
	}
	return stdout.String(), nil
}

func lastLines(text string, n int) string {
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
