// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const sample = `Breaks a rule,
the one of section 1.
Caught as: release, I1.

--- a/monitor/engine/x.go
+++ b/monitor/engine/x.go
@@ -1,3 +1,3 @@
 package engine
 
-const safe = true
+const safe = false
`

func TestParse(t *testing.T) {
	m, err := parse("some-rule", sample)
	if err != nil {
		t.Fatal(err)
	}
	if m.Breaks != "Breaks a rule, the one of section 1." || !slices.Equal(m.files, []string{"monitor/engine/x.go"}) ||
		!slices.Equal(m.Promises, []string{"release", "I1"}) {
		t.Errorf("got %+v", m)
	}
	_, diff, _ := strings.Cut(sample, "--- ")
	for what, test := range map[string]struct{ name, text string }{
		"a name with capitals":  {"Some-rule", sample},
		"no words":              {"some-rule", "--- " + diff},
		"no diff":               {"some-rule", "Breaks a rule."},
		"no promise":            {"some-rule", strings.ReplaceAll(sample, "Caught as", "Found as")},
		"the simulation itself": {"some-rule", strings.ReplaceAll(sample, "monitor/engine/x.go", "internal/simulation/x.go")},
		"a test":                {"some-rule", strings.ReplaceAll(sample, "x.go", "x_test.go")},
		"out of the clone":      {"some-rule", strings.ReplaceAll(sample, "monitor/engine", "monitor/../..")},
	} {
		if _, err := parse(test.name, test.text); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

// newWorkshop returns a clone with one file, and a mutant of it.
func newWorkshop(t *testing.T, code string) (workshop, mutant) {
	t.Helper()
	w := workshop{root: t.TempDir(), temp: t.TempDir()}
	m, err := parse("some-rule", sample)
	if err != nil {
		t.Fatal(err)
	}
	m.patch = filepath.Join(w.root, "some-rule.patch")
	for path, text := range map[string]string{m.patch: sample, filepath.Join(w.root, m.files[0]): code} {
		if text == "" {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return w, m
}

// TestApply: the patch is in the copy that the overlay names, and not in the clone.
func TestApply(t *testing.T) {
	const code = "package engine\n\nconst safe = true\n"
	w, m := newWorkshop(t, code)
	path, err := w.apply(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var overlay struct{ Replace map[string]string }
	if err := json.Unmarshal(text, &overlay); err != nil {
		t.Fatal(err)
	}
	original := filepath.Join(w.root, m.files[0])
	if got, _ := os.ReadFile(overlay.Replace[original]); string(got) != "package engine\n\nconst safe = false\n" {
		t.Errorf("the copy is %q", got)
	}
	if got, _ := os.ReadFile(original); string(got) != code {
		t.Errorf("the clone was changed: %q", got)
	}
}

// TestApplyMoved: what a patch changes is not there any more, or is another.
func TestApplyMoved(t *testing.T) {
	for _, code := range []string{"", "package engine\n\nconst sure = true\n"} {
		w, m := newWorkshop(t, code)
		if _, err := w.apply(t.Context(), m); err == nil || !strings.Contains(err.Error(), m.files[0]) {
			t.Errorf("%q: error %v does not name the file", code, err)
		}
	}
}

// TestTry: status 1 and a report is a violation; any other failure is none.
func TestTry(t *testing.T) {
	const caught = `{"schedules": 7, "violation": {"seed": 9, "promise": "I1", "message": "I1: two owners"}}`
	for what, test := range map[string]struct {
		report, status string
		caught, fails  bool
	}{
		"violation":       {report: caught, status: "1", caught: true},
		"none":            {report: `{"schedules": 10, "violation": null}`, status: "0"},
		"could not run":   {report: caught, status: "2", fails: true},
		"contradiction":   {report: `{"schedules": 10, "violation": null}`, status: "1", fails: true},
		"no report":       {status: "1", fails: true},
		"report is wrong": {report: "{", status: "1", fails: true},
	} {
		t.Run(what, func(t *testing.T) {
			program := filepath.Join(t.TempDir(), "simulate")
			script := "#!/bin/sh\n[ \"$1 $2 $3\" = '--schedules 10 --json' ] || exit 3\n"
			if test.report != "" {
				script += "echo '" + test.report + "' > \"$4\"\n"
			}
			if err := os.WriteFile(program, []byte(script+"exit "+test.status+"\n"), 0o700); err != nil {
				t.Fatal(err)
			}
			var r result
			if err := (workshop{}).try(t.Context(), program, 10, &r); (err != nil) != test.fails {
				t.Fatalf("error %v", err)
			}
			if r.Caught != test.caught {
				t.Errorf("got %+v", r)
			}
			if r.Caught && (r.Schedules != 7 || r.Seed != 9 || r.Promise != "I1" || r.Message != "I1: two owners") {
				t.Errorf("got %+v", r)
			}
		})
	}
}

func TestVerdict(t *testing.T) {
	caught, alive, untried := result{Name: "a", Caught: true, Promise: "I1"}, result{Name: "b"}, result{Name: "c", Error: "x"}
	clean := result{Name: unpatched}
	if err := verdict([]result{caught, clean}); err != nil {
		t.Error(err)
	}
	broken := result{Name: unpatched, Caught: true, Seed: 9, Message: "two owners"}
	for want, results := range map[string][]result{
		"not caught: b; not tried: c":                             {caught, alive, untried, clean},
		"the code as it is breaks a promise (seed 9): two owners": {caught, broken},
		"not tried: unpatched":                                    {caught, {Name: unpatched, Error: "x"}},
	} {
		if err := verdict(results); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	lines := strings.Split(table([]result{caught, alive, untried, clean, broken}), "\n")
	for i, want := range []string{"MUTANT", " caught ", "NOT CAUGHT", "NOT TRIED", " clean ", " VIOLATION "} {
		if !strings.Contains(lines[i], want) {
			t.Errorf("line %d of the table is %q", i, lines[i])
		}
	}
}

// TestHardest: the code as it is runs as many schedules as any mutant that was caught.
func TestHardest(t *testing.T) {
	results := []result{{Caught: true, Schedules: 400}, {Schedules: 10000}, {Caught: true, Schedules: 7}}
	if n := hardest(results); n != 400 {
		t.Errorf("got %d, want 400", n)
	}
	if n := hardest(nil); n != 1 {
		t.Errorf("got %d of none, want 1", n)
	}
}

// TestTryUnpatched: the code as it is is tried like a mutant, but with nothing laid over it.
func TestTryUnpatched(t *testing.T) {
	w, _ := newWorkshop(t, "package engine\n\nconst safe = true\n")
	const report = `{"schedules": 400, "violation": null}`
	program := fmt.Sprintf(`package main

import "os"

func main() {
	if os.Args[1] != "--schedules" || os.Args[2] != "400" || os.WriteFile(os.Args[4], []byte(%q), 0o600) != nil {
		os.Exit(2)
	}
}
`, report)
	for path, text := range map[string]string{"go.mod": "module sample\n", "hack/simulate/main.go": program} {
		path = filepath.Join(w.root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := w.tryUnpatched(t.Context(), []result{{Caught: true, Schedules: 400}})
	if r.Name != unpatched || r.Error != "" || r.Caught || r.Schedules != 400 {
		t.Errorf("got %+v", r)
	}
}
