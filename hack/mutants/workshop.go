// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-dev/understudy/hack/internal/tool"
)

const (
	buildDeadline = 10 * time.Minute
	// scheduleDeadline is several times what a schedule takes.
	scheduleDeadline = time.Second
)

// workshop is where mutants are made: copies of what they change, in a temporary folder.
type workshop struct {
	root, temp string
}

// apply patches copies of the files that the mutant changes, and returns the overlay that
// lays them over the tree.
func (w workshop) apply(ctx context.Context, m mutant) (string, error) {
	dir := filepath.Join(w.temp, m.Name)
	replace := map[string]string{}
	for _, f := range m.files {
		text, err := os.ReadFile(filepath.Join(w.root, f))
		if err != nil {
			return "", fmt.Errorf("%s has moved: %w; make the patch anew", f, err)
		}
		dst := filepath.Join(dir, f)
		if err := os.MkdirAll(filepath.Dir(dst), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(dst, text, 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(w.root, f)] = dst
	}
	// In no repository: inside of one, git apply leaves out what is not in the folder it runs in.
	apply := tool.Command{Args: []string{"git", "apply", m.patch}, Dir: dir, Env: []string{"GIT_CEILING_DIRECTORIES=" + w.temp}}
	if _, err := apply.Run(ctx); err != nil {
		return "", fmt.Errorf("it does not fit %s any more: make the same change by hand, and put `git diff` in place "+
			"of the diff in %s.patch: %w", strings.Join(m.files, ", "), filepath.Join(folder, m.Name), err)
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay := dir + ".json"
	return overlay, os.WriteFile(overlay, text, 0o600)
}

// build makes the simulation of a mutant.
func (w workshop) build(ctx context.Context, m mutant) (string, error) {
	overlay, err := w.apply(ctx, m)
	if err != nil {
		return "", err
	}
	return w.compile(ctx, m.Name, "-overlay", overlay)
}

// compile makes the simulation, of the code as it is unless a flag says otherwise.
func (w workshop) compile(ctx context.Context, name string, flags ...string) (string, error) {
	program := filepath.Join(w.temp, name, "simulate")
	args := append([]string{"go", "build", "-buildvcs=false", "-o", program}, flags...)
	build := tool.Command{Args: append(args, "./hack/simulate"), Dir: w.root, Deadline: buildDeadline}
	_, err := build.Run(ctx)
	return program, err
}

// try runs the simulation of a mutant until it finds a violation.
func (w workshop) try(ctx context.Context, program string, schedules int, r *result, flags ...string) error {
	report := program + ".json"
	simulate := tool.Command{
		Args: append([]string{program, "--schedules", strconv.Itoa(schedules), "--json", report, "--no-shrink", "--quiet"},
			flags...),
		Deadline: time.Minute + time.Duration(schedules)*scheduleDeadline,
	}
	began := time.Now()
	_, err := simulate.Run(ctx)
	r.Seconds = time.Since(began).Round(10 * time.Millisecond).Seconds()
	// Status 1 is a violation, which the report tells; any other is a failure to run.
	var exit *exec.ExitError
	found := errors.As(err, &exit) && exit.ExitCode() == 1
	if err != nil && !found {
		return err
	}
	text, err := os.ReadFile(report)
	if err != nil {
		return err
	}
	if err := r.read(text); err != nil {
		return err
	}
	if found != r.Caught {
		return fmt.Errorf("status and report of the simulation contradict each other: %s", text)
	}
	return nil
}
