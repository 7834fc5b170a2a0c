// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance_test

import (
	"bytes"
	"encoding/xml"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/understudy-dev/understudy/internal/testprovider/wrong"
	"github.com/understudy-dev/understudy/provider/conformance"
)

var update = flag.Bool("update", false, "write the table of cases into docs/conformance.md")

// TestCases: names are distinct and well formed, rules are sentences with a source, and
// there are as many as docs/conformance.md promises.
func TestCases(t *testing.T) {
	form := regexp.MustCompile(`^[A-Z][A-Za-z]*(/[A-Z][A-Za-z0-9]*)+$`)
	seen := map[string]bool{}
	for _, c := range conformance.Cases() {
		switch {
		case seen[c.Name]:
			t.Errorf("%s is there twice", c.Name)
		case !form.MatchString(c.Name):
			t.Errorf("%s: no name for a case", c.Name)
		case !regexp.MustCompile(`^[A-Z0-9].*\((proto|RA \d|docs/).*\)\.$`).MatchString(c.Rule):
			t.Errorf("%s: a rule is a sentence with its source at the end, not %q", c.Name, c.Rule)
		}
		seen[c.Name] = true
	}
	if len(seen) < 250 {
		t.Errorf("%d cases", len(seen))
	}
}

// TestDocument: docs/conformance.md lists the cases as they are. To write it:
// go test ./provider/conformance -run Document -update
func TestDocument(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "conformance.md")
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- cases: written by a test -->\n", "<!-- end of cases -->"
	before, rest, ok := strings.Cut(string(page), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the cases", path)
	}
	var b strings.Builder
	topic := ""
	for _, c := range conformance.Cases() {
		now, name, _ := strings.Cut(c.Name, "/")
		if now != topic {
			fmt.Fprintf(&b, "\n### %s\n\n| case | asks | needs |\n|---|---|---|\n", now)
			topic = now
		}
		var needs []string
		for _, n := range c.Needs {
			needs = append(needs, n.Name)
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", name, c.Rule, strings.Join(needs, ", "))
	}
	want := before + begin + b.String() + "\n" + end + after
	if want == string(page) {
		return
	}
	if !*update {
		t.Fatalf("%s is not up to date: go test ./provider/conformance -run Document -update", path)
	}
	if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestLoad: what is wrong with a configuration is said with the field.
func TestLoad(t *testing.T) {
	for text, want := range map[string]string{
		`{"types": [{"name": "a"}]}`:                              "",
		"types:\n  - name: a\n    controls: [{code: 0x01800005}]": "",
		"types:\n  - {}":                                          "types[0].name: is required",
		"types:\n  - name: a\n  - name: A":                        `types[1].name: "A" is there twice`,
		"types:\n  - name: a\n    properties: {x: 2020-01-01}":    "types[0].properties: ",
		"types:\n  - name: a\n    propertys: {}":                  "propertys not found",
		"limits: {callMilliseconds: -1}":                          "limits.callMilliseconds: must be 0",
	} {
		path := filepath.Join(t.TempDir(), "c.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := conformance.Load(path)
		if got := fmt.Sprint(err); want == "" && err != nil || !strings.Contains(got, want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// TestReport: both forms have every case, and the story of one that failed.
func TestReport(t *testing.T) {
	t.Parallel()
	names := []string{"Open/RefusesAnEmptyHandle", "Startup/RefusesAnUnknownType", "Process/ListensAgainAfterACrash"}
	report, err := conformance.Run(t.Context(), configOf(names, wrong.OpenEmptyHandle))
	if err != nil {
		t.Fatal(err)
	}
	var text, junit bytes.Buffer
	if err := report.Text(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"passed  Startup/RefusesAnUnknownType\n", "failed  Open/RefusesAnEmptyHandle\n        rule: The handle is",
		"found: Open: expected a status that refuses it, got 0", "sent  Open{", "skipped Process/ListensAgainAfterACrash: the provider was not",
		"wrong.example.com: 2 cases run, 1 passed, 1 failed, 1 skipped, in ",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
	if err := report.JUnit(&junit); err != nil {
		t.Fatal(err)
	}
	var back struct {
		Suite struct {
			Tests    int `xml:"tests,attr"`
			Failures int `xml:"failures,attr"`
			Cases    []struct {
				Name    string `xml:"name,attr"`
				Failure *struct {
					Message string `xml:"message,attr"`
					Text    string `xml:",chardata"`
				} `xml:"failure"`
				Skipped *struct{} `xml:"skipped"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(junit.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if back.Suite.Tests != 3 || back.Suite.Failures != 1 || len(back.Suite.Cases) != 3 {
		t.Errorf("JUnit: %s", junit.String())
	}
	for _, c := range back.Suite.Cases {
		if failed := c.Failure != nil; failed != (c.Name == "Open/RefusesAnEmptyHandle") || failed && !strings.Contains(c.Failure.Text, "sent  Open{") {
			t.Errorf("JUnit: %+v", c)
		}
	}
}

// TestNoProvider: what keeps the cases from being run is an error, and not a failure.
func TestNoProvider(t *testing.T) {
	limits := conformance.Limits{PendingMilliseconds: 50}
	for name, c := range map[string]struct {
		config conformance.Config
		want   string
	}{
		"nothing said":     {conformance.Config{}, "say where the provider is"},
		"no such program":  {conformance.Config{Command: []string{"/no/such/program"}}, "no such file"},
		"ends at once":     {conformance.Config{Command: []string{"true"}}, "the provider ended at once: exit code 0"},
		"nobody listens":   {conformance.Config{Dir: t.TempDir(), Limits: limits}, "no provider is ready at"},
		"never listens":    {conformance.Config{Command: []string{"sleep", "100"}, Limits: limits}, "no provider is ready at"},
		"name given twice": {conformance.Config{Types: []conformance.Type{{Name: "a"}, {Name: "a"}}}, "types[1].name"},
	} {
		if _, err := conformance.Run(t.Context(), c.config); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// TestWithoutConfiguration: a type that cannot be made without properties is skipped,
// with the reason; what is about the provider as a whole is judged.
func TestWithoutConfiguration(t *testing.T) {
	t.Parallel()
	c := configOf([]string{"Info/NameIsADNSName", "Online/BringsItOnline"})
	c.Types = nil
	report, err := conformance.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if report.Results[0].Outcome != conformance.Passed || report.Results[1].Outcome != conformance.Skipped ||
		!strings.Contains(report.Results[1].Reason, "without properties: Online: expected status 0 or 997, got 5018") {
		t.Errorf("%+v", report.Results)
	}
}

// TestServed: a provider that serves in a folder already.
func TestServed(t *testing.T) {
	t.Parallel()
	c := configOf([]string{"Online/BringsItOnline", "Process/ListensAgainAfterACrash"})
	serve := c.Serve
	c.Serve, c.Dir = nil, t.TempDir()
	go func() {
		_ = serve(t.Context(), filepath.Join(c.Dir, "provider.sock"), filepath.Join(c.Dir, "monitor.sock"))
	}()
	report, err := conformance.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if report.Count(conformance.Passed) != 1 || report.Count(conformance.Skipped) != 1 {
		t.Errorf("%+v", report.Results)
	}
}
