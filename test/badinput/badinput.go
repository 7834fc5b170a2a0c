// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package badinput has manifests that are wrong, each with the answer that its author
// must get. They are applied one by one beside a group that must not notice.
//
// A file is one or more steps. A line "# then delete" begins the next one, which
// deletes what it holds; "# then apply" one that applies. Comments say what follows:
//
//	# refused: TEXT                                  the API server refuses it, saying TEXT
//	# condition: KIND/NAME TYPE=STATUS REASON: TEXT  that condition is there, and says TEXT, if any is given
package badinput

import (
	"embed"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
)

//go:embed *.yaml
var files embed.FS

// Case is one file.
type Case struct {
	Name  string
	Steps []Step
}

// Step is what is applied or deleted, and what is expected then.
type Step struct {
	Delete     bool
	YAML       string
	Refused    []string
	Conditions []Condition
}

// Condition is one that is expected.
type Condition struct {
	Kind, Name, Type, Status, Reason, Text string
}

var condition = regexp.MustCompile(`^(\w+)/([-a-z0-9]+) (\w+)=(\w+) (\w+):(?: (.+))?$`)

// Cases returns all of them, sorted by name.
func Cases() ([]Case, error) {
	names, err := fs.Glob(files, "*.yaml")
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	cases := make([]Case, 0, len(names))
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		steps, err := parse(string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		cases = append(cases, Case{Name: strings.TrimSuffix(name, ".yaml"), Steps: steps})
	}
	return cases, nil
}

func parse(text string) ([]Step, error) {
	steps := []Step{{}}
	for line := range strings.Lines(text) {
		s := &steps[len(steps)-1]
		said, isComment := strings.CutPrefix(strings.TrimSpace(line), "# ")
		key, rest, _ := strings.Cut(said, ": ")
		switch {
		case isComment && (said == "then apply" || said == "then delete"):
			steps = append(steps, Step{Delete: said == "then delete"})
		case isComment && key == "refused":
			s.Refused = append(s.Refused, rest)
		case isComment && key == "condition":
			m := condition.FindStringSubmatch(rest)
			if m == nil {
				return nil, fmt.Errorf("%q is not KIND/NAME TYPE=STATUS REASON: TEXT", rest)
			}
			s.Conditions = append(s.Conditions, Condition{m[1], m[2], m[3], m[4], m[5], m[6]})
		default:
			s.YAML += line
		}
	}
	if last := steps[len(steps)-1]; len(last.Refused)+len(last.Conditions) == 0 {
		return nil, fmt.Errorf("the last step expects nothing")
	}
	return steps, nil
}
