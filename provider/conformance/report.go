// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
)

// Outcome of a case.
type Outcome string

// The outcomes of a case.
const (
	Passed  Outcome = "passed"
	Failed  Outcome = "failed"
	Skipped Outcome = "skipped"
)

// Result is what came of a case.
type Result struct {
	// Name of the case.
	Name string
	// Type that it was run for; empty if it is about the provider as a whole.
	Type string
	// Rule that it checks.
	Rule string
	// Outcome of it.
	Outcome Outcome
	// Reason for skipping it, or what was expected and what came instead.
	Reason string
	// Story of a failed case: what was sent and what came, a line each.
	Story []string
	// Took is how long it took.
	Took time.Duration
}

// Title is the name, with the type if there is one.
func (r Result) Title() string {
	if r.Type == "" {
		return r.Name
	}
	return r.Name + " [" + r.Type + "]"
}

// Report is what came of a run.
type Report struct {
	// Provider is what it called itself.
	Provider string
	// Results in the order of the cases.
	Results []Result
	// Took is how long all of it took.
	Took time.Duration
}

// Count is the number of results with an outcome.
func (r Report) Count(o Outcome) int {
	n := 0
	for _, one := range r.Results {
		if one.Outcome == o {
			n++
		}
	}
	return n
}

// Summary is one line.
func (r Report) Summary() string {
	passed, failed, skipped := r.Count(Passed), r.Count(Failed), r.Count(Skipped)
	return fmt.Sprintf("%s: %d cases run, %d passed, %d failed, %d skipped, in %.1f s",
		r.Provider, passed+failed, passed, failed, skipped, r.Took.Seconds())
}

// Text writes a line a case, the story of each that failed, and the summary.
func (r Report) Text(w io.Writer) error {
	var b strings.Builder
	for _, one := range r.Results {
		fmt.Fprintf(&b, "%-7s %s", one.Outcome, one.Title())
		if one.Outcome == Skipped {
			fmt.Fprintf(&b, ": %s", one.Reason)
		}
		b.WriteByte('\n')
		if one.Outcome == Failed {
			fmt.Fprintf(&b, "%s\n", indent(one.Details()))
		}
	}
	fmt.Fprintln(&b, r.Summary())
	_, err := io.WriteString(w, b.String())
	return err
}

// Details are the lines that a failed case is understood by.
func (r Result) Details() string {
	lines := append([]string{"rule: " + r.Rule, "found: " + r.Reason}, r.Story...)
	return strings.Join(lines, "\n")
}

func indent(s string) string { return "        " + strings.ReplaceAll(s, "\n", "\n        ") }

type junitSuites struct {
	XMLName xml.Name     `xml:"testsuites"`
	Suites  []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitMessage `xml:"failure,omitempty"`
	Skipped *junitMessage `xml:"skipped,omitempty"`
}

type junitMessage struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// JUnit writes the report as JUnit XML.
func (r Report) JUnit(w io.Writer) error {
	suite := junitSuite{
		Name: r.Provider, Tests: len(r.Results), Failures: r.Count(Failed), Skipped: r.Count(Skipped), Time: seconds(r.Took),
	}
	for _, one := range r.Results {
		class := "provider"
		if one.Type != "" {
			class = one.Type
		}
		c := junitCase{Class: class, Name: one.Name, Time: seconds(one.Took)}
		switch one.Outcome {
		case Failed:
			c.Failure = &junitMessage{Message: one.Reason, Text: one.Details()}
		case Skipped:
			c.Skipped = &junitMessage{Message: one.Reason}
		case Passed:
		}
		suite.Cases = append(suite.Cases, c)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(w)
	encoder.Indent("", "  ")
	if err := encoder.Encode(junitSuites{Suites: []junitSuite{suite}}); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
