// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Surface writes docs/callback-surface.md: each callback and entry point of the
// contract, its call in the protocol, where a person sees what it said, and the tests
// that show it. It fails when one has no test.
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
)

func main() {
	root := flag.String("root", ".", "the project's folder")
	flag.Parse()
	if err := run(*root); err != nil {
		fmt.Fprintln(os.Stderr, "surface:", err)
		os.Exit(1)
	}
}

func run(root string) error {
	calls, err := readProtocol(root + "/api/provider/v1/provider.proto")
	if err != nil {
		return err
	}
	tests, err := readTests(root)
	if err != nil {
		return err
	}
	if err := os.WriteFile(root+"/docs/callback-surface.md", []byte(page(calls, tests)), 0o644); err != nil {
		return err
	}
	return missing(calls, tests)
}

// missing says which row has no test, and which test shows what there is not.
func missing(calls []call, tests map[string][]test) error {
	var bare, unknown []string
	for _, r := range rows {
		c := find(calls, r.call)
		if c == nil {
			return fmt.Errorf("hack/surface: the protocol has no call %s, which the row of %s names", r.call, r.name)
		}
		switch onCluster := func(t test) bool { return t.kind == "cluster" }; {
		case len(tests[r.name]) == 0:
			bare = append(bare, r.name)
		case c.service == "MonitorService" && r.name != "WorkerStartRoutine" && !slices.ContainsFunc(tests[r.name], onCluster):
			unknown = append(unknown, "no test on a cluster shows the callback "+r.name)
		}
	}
	for _, c := range calls {
		if !slices.ContainsFunc(rows, func(r row) bool { return r.call == c.name }) && !slices.Contains(plumbing, c.name) {
			unknown = append(unknown, "the call "+c.name+" of the protocol has no row")
		}
	}
	for name := range tests {
		if !slices.ContainsFunc(rows, func(r row) bool { return r.name == name }) {
			unknown = append(unknown, "tests show "+name+", which has no row: "+tests[name][0].where)
		}
	}
	slices.Sort(unknown)
	if len(bare) > 0 {
		unknown = append(unknown, "no test shows "+strings.Join(bare, ", ")+
			": say so in the comment of one, \"// Shows: NAME.\"")
	}
	if len(unknown) > 0 {
		return fmt.Errorf("%s", strings.Join(unknown, "\n"))
	}
	return nil
}

func find(calls []call, name string) *call {
	if i := slices.IndexFunc(calls, func(c call) bool { return c.name == name }); i >= 0 {
		return &calls[i]
	}
	return nil
}
