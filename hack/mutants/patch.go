// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// folder holds the patches.
const folder = "internal/simulation/mutants"

// mutant is one patch of the real code.
type mutant struct {
	// Name is the file's name without .patch.
	Name string
	// Breaks is the text above the diff: what it breaks, and which rule forbids it.
	Breaks string
	// Promises are those of which one is broken by that, as the simulation names them: another
	// violation does not show that it sees this.
	Promises []string
	// files are those that it changes, by their paths in the clone.
	files []string
	patch string // the file
}

// readMutants reads all patches whose name matches, by name.
func readMutants(dir string, match *regexp.Regexp) ([]mutant, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.patch"))
	if err != nil {
		return nil, err
	}
	var mutants []mutant
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".patch")
		if !match.MatchString(name) {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		m, err := parse(name, string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(folder, filepath.Base(path)), err)
		}
		m.patch = path
		mutants = append(mutants, m)
	}
	if len(mutants) == 0 {
		return nil, fmt.Errorf("no mutant in %s matches %q", folder, match)
	}
	return mutants, nil
}

var kebab = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// parse takes what a patch is about from its text.
func parse(name, text string) (mutant, error) {
	m := mutant{Name: name}
	header, diff, ok := strings.Cut("\n"+text, "\n--- a/")
	if !ok {
		return m, errors.New("there is no diff in it")
	}
	words, promises, _ := strings.Cut(header, "\nCaught as: ")
	m.Breaks = strings.Join(strings.Fields(words), " ")
	for p := range strings.SplitSeq(strings.Trim(promises, ".\n "), ",") {
		m.Promises = append(m.Promises, strings.TrimSpace(p))
	}
	for line := range strings.Lines(diff) {
		if file, ok := strings.CutPrefix(strings.TrimSpace(line), "+++ b/"); ok {
			m.files = append(m.files, file)
		}
	}
	switch {
	case !kebab.MatchString(name):
		return m, errors.New("its name is not of the form words-with-dashes.patch")
	case m.Breaks == "":
		return m, errors.New("say above the diff what it breaks, and which rule forbids that")
	case slices.Contains(m.Promises, ""):
		return m, errors.New(`say above the diff, in the last line, what it is caught as, like "Caught as: release, I1."`)
	case len(m.files) == 0:
		return m, errors.New("the diff names no file")
	}
	for _, f := range m.files {
		if !isReal(f) {
			return m, fmt.Errorf("%s is not code that the simulation runs", f)
		}
	}
	return m, nil
}

// isReal reports whether a file is part of what is simulated: a simulation that is itself
// broken proves nothing.
func isReal(file string) bool {
	within := func(folder string) bool { return strings.HasPrefix(file, folder) }
	return strings.HasSuffix(file, ".go") && !strings.HasSuffix(file, "_test.go") && filepath.Clean(file) == file &&
		slices.ContainsFunc([]string{"monitor/", "api/", "cmd/init/machine/"}, within)
}
