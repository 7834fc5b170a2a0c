// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	guardv1 "github.com/understudy-dev/understudy/api/guard/v1"
)

// The probe fails only on the monitor's word.
func TestAlive(t *testing.T) {
	dir := t.TempDir()
	must(t, run([]string{"alive", "--guard-dir", dir}))
	must(t, run([]string{"alive", "--guard-dir", filepath.Join(dir, "missing")}))
	must(t, os.WriteFile(filepath.Join(dir, guardv1.StuckName), nil, 0o644))
	if err := run([]string{"alive", "--guard-dir", dir}); !errors.Is(err, errStuck) {
		t.Errorf("%v", err)
	}
}
