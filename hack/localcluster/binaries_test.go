// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/understudy-dev/understudy/hack/internal/tool"
)

func TestVersions(t *testing.T) {
	root, err := tool.SourceRoot()
	if err != nil {
		t.Fatal(err)
	}
	goMod, err := os.ReadFile(filepath.Join(root, "hack", "kubernetes", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	pinned, err := readVersions(string(goMod))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range binaries {
		if !strings.Contains(string(goMod), "\t"+b.pkg+"\n") {
			t.Errorf("hack/kubernetes/go.mod has no tool %s: its dependencies would be tidied away", b.pkg)
		}
	}
	if !strings.Contains(pinned.cacheKey(), pinned.kubernetes) || !strings.Contains(pinned.cacheKey(), pinned.etcd) {
		t.Errorf("another version would be taken for this one: %s", pinned.cacheKey())
	}
	flags := versions{kubernetes: "v1.2.3"}.linkerFlags()
	if !strings.Contains(flags, ".gitVersion=v1.2.3 ") || !strings.Contains(flags, ".gitMinor=2 ") {
		t.Errorf("got %s", flags)
	}
}

func TestMissingBinaries(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "etcd"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if got := missingBinaries(dir, envtestBinaries); !slices.Equal(got, envtestBinaries[1:]) {
		t.Errorf("got %v", got)
	}
}
