// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDumps: the command lists dumps, and writes one as it is.
func TestDumps(t *testing.T) {
	dir := t.TempDir()
	const name = "20260101T000000.000Z-db-Deadlock.txt"
	if err := os.MkdirAll(filepath.Join(dir, "app", "dumps"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "app", "dumps", name), []byte("what hung\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (string, error) {
		c := dumpsIn(dir)
		var out bytes.Buffer
		c.SetOut(&out)
		c.SetErr(&out)
		c.SetArgs(args)
		err := c.Execute()
		return out.String(), err
	}
	if out, err := run(); err != nil || !strings.Contains(out, "app        10     "+name+"\n") {
		t.Errorf("%q, %v", out, err)
	}
	if out, err := run(name); err != nil || out != "what hung\n" {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := run("none"); err == nil || !strings.Contains(err.Error(), "lists those that there are") {
		t.Errorf("%v", err)
	}
}
