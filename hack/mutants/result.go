// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/understudy-dev/understudy/hack/internal/tool"
)

// result is a line of the table and an element of dist/mutants.json.
type result struct {
	Name   string `json:"name"`
	Breaks string `json:"breaks"`
	Caught bool   `json:"caught"`
	// Schedules is how many were run, the one with the violation included.
	Schedules int `json:"schedules"`
	// Seed, Promise and Message are the violation.
	Seed    uint64 `json:"seed,omitempty"`
	Promise string `json:"promise,omitempty"`
	Message string `json:"message,omitempty"`
	// Seconds that the schedules took, without the build.
	Seconds float64 `json:"seconds"`
	// Error is why it could not be tried.
	Error string `json:"error,omitempty"`
}

// read takes in what the simulation reports.
func (r *result) read(report []byte) error {
	var s struct {
		Schedules int `json:"schedules"`
		Violation *struct {
			Seed    uint64 `json:"seed"`
			Promise string `json:"promise"`
			Message string `json:"message"`
		} `json:"violation"`
	}
	if err := json.Unmarshal(report, &s); err != nil {
		return fmt.Errorf("the report of the simulation: %w", err)
	}
	r.Schedules = s.Schedules
	if v := s.Violation; v != nil {
		r.Caught, r.Seed, r.Promise, r.Message = true, v.Seed, v.Promise, v.Message
	}
	return nil
}

// unpatched is the name of the line of the code as it is.
const unpatched = "unpatched"

// hardest is how many schedules the mutant needed that was the hardest to catch.
func hardest(results []result) int {
	most := 1
	for _, r := range results {
		if r.Caught {
			most = max(most, r.Schedules)
		}
	}
	return most
}

// outcome is one word, or two.
func (r result) outcome() string {
	switch {
	case r.Error != "":
		return "NOT TRIED"
	case r.Name == unpatched && r.Caught:
		return "VIOLATION"
	case r.Name == unpatched:
		return "clean"
	case r.Caught:
		return "caught"
	}
	return "NOT CAUGHT"
}

// line tells of it while the others are under way.
func (r result) line() string {
	s := fmt.Sprintf("%s: %s, schedules: %d", r.Name, r.outcome(), r.Schedules)
	if r.Error != "" {
		s = fmt.Sprintf("%s: %s: %s", r.Name, r.outcome(), r.Error)
	}
	return s
}

// table renders the results.
func table(results []result) string {
	var out bytes.Buffer
	w := tabwriter.NewWriter(&out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "MUTANT\tOUTCOME\tSCHEDULES\tPROMISE\tSECONDS")
	for _, r := range results {
		promise := r.Promise
		if promise == "" {
			promise = "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%.1f\n", r.Name, r.outcome(), r.Schedules, promise, r.Seconds)
	}
	_ = w.Flush()
	return out.String()
}

// listing names the mutants.
func listing(mutants []mutant) string {
	var out strings.Builder
	for _, m := range mutants {
		fmt.Fprintf(&out, "%s (%s)\n    %s\n    Caught as: %s\n", m.Name, strings.Join(m.files, ", "), m.Breaks,
			strings.Join(m.Promises, ", "))
	}
	return out.String()
}

// verdict is an error that names what was not caught, or should not have been.
func verdict(results []result) error {
	var alive, untried, parts []string
	for _, r := range results {
		switch {
		case r.Error != "":
			untried = append(untried, r.Name)
		case r.Name == unpatched:
			if r.Caught {
				parts = append(parts, fmt.Sprintf("the code as it is breaks a promise (seed %d): %s", r.Seed, r.Message))
			}
		case !r.Caught:
			alive = append(alive, r.Name)
		}
	}
	if len(alive) > 0 {
		parts = append(parts, "not caught: "+strings.Join(alive, ", "))
	}
	if len(untried) > 0 {
		parts = append(parts, "not tried: "+strings.Join(untried, ", "))
	}
	if len(parts) == 0 {
		return nil
	}
	return errors.New(strings.Join(parts, "; "))
}

func writeReport(path string, results []result) error {
	text, err := json.MarshalIndent(map[string]any{"mutants": results}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return tool.WriteFile(path, append(text, '\n'), 0o644)
}
