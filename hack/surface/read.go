// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// call is one call of the protocol: its first sentence, and the sections that it follows.
type call struct {
	name, service, about string
	sections             []string
}

var (
	service = regexp.MustCompile(`^service (\w+) \{`)
	rpc     = regexp.MustCompile(`^  rpc (\w+)\(`)
	section = regexp.MustCompile(`RA (\d+(?:\.\d+)?)`)
)

// readProtocol reads the calls and their comments.
func readProtocol(path string) (calls []call, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	of, about := "", ""
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := lines.Text()
		if m := service.FindStringSubmatch(line); m != nil {
			of = m[1]
		}
		if text, ok := strings.CutPrefix(line, "  // "); ok {
			about = strings.TrimSpace(about + " " + text)
			continue
		}
		if m := rpc.FindStringSubmatch(line); m != nil {
			c := call{name: m[1], service: of}
			c.about, _, _ = strings.Cut(about, ". ")
			for _, s := range section.FindAllStringSubmatch(about, -1) {
				if !slices.Contains(c.sections, s[1]) {
					c.sections = append(c.sections, s[1])
				}
			}
			calls = append(calls, c)
		}
		about = ""
	}
	return calls, lines.Err()
}

// test is one that shows something.
type test struct{ name, where, kind string }

var shows = regexp.MustCompile(`(?s)\bShows: (.*?)\.(?:\s|$)`)

// readTests finds the tests that say what they show, by its name.
func readTests(root string) (map[string][]test, error) {
	found := map[string][]test{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != root || d.Name() == "dist" || d.Name() == "bin"):
			return fs.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		return readTest(root, path, found)
	})
	for _, list := range found {
		slices.SortFunc(list, func(a, b test) int { return strings.Compare(a.kind+a.where+a.name, b.kind+b.where+b.name) })
	}
	return found, err
}

func readTest(root, path string, found map[string][]test) error {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
	if err != nil {
		return err
	}
	where, err := filepath.Rel(root, filepath.Dir(path))
	if err != nil {
		return err
	}
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Doc == nil || !strings.HasPrefix(f.Name.Name, "Test") {
			continue
		}
		for _, m := range shows.FindAllStringSubmatch(f.Doc.Text(), -1) {
			for name := range strings.SplitSeq(m[1], ",") {
				name = strings.TrimSpace(name)
				found[name] = append(found[name], test{name: f.Name.Name, where: filepath.ToSlash(where), kind: kindOf(file)})
			}
		}
	}
	return nil
}

// kindOf says what a test of the file needs.
func kindOf(file *ast.File) string {
	for _, group := range file.Comments {
		for _, c := range group.List {
			switch {
			case !strings.HasPrefix(c.Text, "//go:build"):
			case strings.Contains(c.Text, "e2e"):
				return "cluster"
			case strings.Contains(c.Text, "envtest"):
				return "API server"
			}
		}
	}
	return "unit"
}
