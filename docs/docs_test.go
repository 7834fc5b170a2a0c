// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package docs holds the documentation to the code, as far as a program can.
package docs

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// pages are the README and all of docs, by path from here.
func pages(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, name := range append(names, "../README.md") {
		out[name] = read(t, name)
	}
	return out
}

var (
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	link    = regexp.MustCompile(`\]\(([^)]*)\)`)
	code    = regexp.MustCompile("(?s)```.*?```")
	test    = regexp.MustCompile(`\bTest[A-Z]\w*`)
	symbols = regexp.MustCompile(`[^\w\- ]`)
)

// anchors are what a page's headings can be linked by.
func anchors(text string) map[string]bool {
	out := map[string]bool{"": true}
	for _, m := range heading.FindAllStringSubmatch(code.ReplaceAllString(text, ""), -1) {
		out[strings.ReplaceAll(symbols.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")] = true
	}
	return out
}

// TestLinks: every link leads somewhere, also within a page.
func TestLinks(t *testing.T) {
	for name, text := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(text, ""), -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			path := name
			if target != "" {
				path = filepath.Join(filepath.Dir(name), target)
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s: %s: %v", name, m[1], err)
			} else if anchor != "" && !anchors(read(t, path))[anchor] {
				t.Errorf("%s: %s: no such heading", name, m[1])
			}
		}
	}
}

// TestQuotes: what is quoted from the examples is what is there.
func TestQuotes(t *testing.T) {
	own := read(t, "../examples/own/hello.yaml")
	if n := strings.Count(own, "\n"); n > 40 {
		t.Errorf("examples/own/hello.yaml has %d lines, more than 40", n)
	}
	if !strings.Contains(read(t, "../README.md"), "```yaml\n"+own+"```") {
		t.Error("README.md does not quote examples/own/hello.yaml as it is")
	}
	for _, file := range []string{"main.go", "control.go"} {
		_, sdk, _ := strings.Cut(read(t, "../examples/provider-sdk/"+file), "\npackage main\n")
		if !strings.Contains(read(t, "providers.md"), "```go\npackage main\n"+sdk+"```") {
			t.Errorf("providers.md does not quote examples/provider-sdk/%s as it is", file)
		}
	}
	if !strings.Contains(read(t, "providers.md"), "```yaml\n"+read(t, "../examples/provider-sdk/link.yaml")+"```") {
		t.Error("providers.md does not quote examples/provider-sdk/link.yaml as it is")
	}
	for file, language := range map[string]string{"fence.sql": "sql", "writer.sh": "sh"} {
		if !strings.Contains(read(t, "fencing.md"), "```"+language+"\n"+read(t, "../examples/fencing/"+file)+"```") {
			t.Errorf("fencing.md does not quote examples/fencing/%s as it is", file)
		}
	}
}

// TestNamedTests: a test that a page names exists.
func TestNamedTests(t *testing.T) {
	have := map[string]bool{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(read(t, path), -1) {
			have[m[1]] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range pages(t) {
		for _, one := range test.FindAllString(text, -1) {
			if !have[one] {
				t.Errorf("%s names %s, which does not exist", name, one)
			}
		}
	}
}

// TestWords: each condition and each reason has a row in the tables of troubleshooting.md; each value of the chart is
// explained.
func TestWords(t *testing.T) {
	constants := regexp.MustCompile(`(?m)^\s*(Condition|Reason)\w+\s*= "(\w+)"`)
	kinds := read(t, "../api/v1alpha1/common.go")
	explained := read(t, "troubleshooting.md")
	for _, m := range constants.FindAllStringSubmatch(kinds, -1) {
		row := "| " + m[2] + "="
		if m[1] == "Reason" {
			row = "`" + m[2] + "`"
		}
		if !strings.Contains(explained, row) {
			t.Errorf("troubleshooting.md has no row of the %s %s", strings.ToLower(m[1]), m[2])
		}
	}
	values := map[string]any{}
	if err := yaml.Unmarshal([]byte(read(t, "../charts/understudy/values.yaml")), &values); err != nil {
		t.Fatal(err)
	}
	text := read(t, "installation.md")
	for _, name := range slices.Sorted(maps.Keys(values)) {
		for _, path := range paths(name, values[name]) {
			if !strings.Contains(text, "`"+path+"`") {
				t.Errorf("installation.md does not name the value %s", path)
			}
		}
	}
}

// TestReasons: so has each word by which a monitor says why a resource failed or is not online, and the manager why a
// host is barred.
func TestReasons(t *testing.T) {
	explained := read(t, "troubleshooting.md")
	found := 0
	for path, blocks := range map[string][]string{
		"../monitor/engine/reason.go":           {"// Why a resource failed.", "// Why a resource is not online"},
		"../controllers/placement/placement.go": {"// Reasons why a host is barred."},
	} {
		for _, begin := range blocks {
			_, block, _ := strings.Cut(read(t, path), begin)
			block, _, _ = strings.Cut(block, "\n)")
			for _, m := range regexp.MustCompile(`(?m)^\s*Reason\w+.*= "(\w+)"`).FindAllStringSubmatch(block, -1) {
				if found++; !strings.Contains(explained, "`"+m[1]+"`") {
					t.Errorf("troubleshooting.md does not explain %s", m[1])
				}
			}
		}
	}
	if found < 30 {
		t.Errorf("%d reasons found: they are elsewhere by now", found)
	}
}

// TestRights: security.md lists the verbs that the manager has on each resource, and no more.
func TestRights(t *testing.T) {
	role := rbacv1.ClusterRole{}
	if err := yaml.Unmarshal([]byte(read(t, "../config/rbac/role.yaml")), &role); err != nil {
		t.Fatal(err)
	}
	have := map[string][]string{}
	for _, rule := range role.Rules {
		for _, resource := range rule.Resources {
			if !strings.Contains(resource, "/") {
				have[resource] = slices.DeleteFunc(rule.Verbs, func(verb string) bool { return verb == "manage" })
			}
		}
	}
	_, text, _ := strings.Cut(read(t, "security.md"), "## What our own programs may do")
	text, _, _ = strings.Cut(text, "The monitors of a group")
	said := map[string][]string{}
	for _, row := range regexp.MustCompile(`(?m)^\| (\w[^|;]*)(?:; their status)? \| ([^|;]*)`).FindAllStringSubmatch(text, -1) {
		for resource := range strings.SplitSeq(strings.ToLower(row[1]), ", ") {
			said[strings.TrimSpace(resource)] = strings.Split(strings.TrimSpace(row[2]), ", ")
		}
	}
	delete(said, "on") // the head of the table
	for _, resource := range slices.Sorted(maps.Keys(have)) {
		slices.Sort(said[resource])
		if !slices.Equal(said[resource], have[resource]) {
			t.Errorf("security.md says that the manager may %v %s, it may %v", said[resource], resource, have[resource])
		}
		delete(said, resource)
	}
	if len(said) > 0 {
		t.Errorf("security.md lists what the manager has no right on: %v", said)
	}
}

// paths are the values below one, but not those that are Kubernetes' to explain.
func paths(at string, value any) []string {
	below, ok := value.(map[string]any)
	if !ok || len(below) == 0 || at == "manager.resources" {
		return []string{at}
	}
	var out []string
	for name, one := range below {
		out = append(out, paths(at+"."+name, one)...)
	}
	return out
}
