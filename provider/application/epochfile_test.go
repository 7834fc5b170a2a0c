// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package application

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestEpochFileOfTheNewestRun: what an older run removes late is not the newest run's.
func TestEpochFileOfTheNewestRun(t *testing.T) {
	f := newEpochFiles(filepath.Join(t.TempDir(), "epoch")).of("web")
	path, first, err := f.write(7)
	if err != nil {
		t.Fatal(err)
	}
	_, second, err := f.write(8)
	if err != nil {
		t.Fatal(err)
	}
	first()
	if text, err := os.ReadFile(path); err != nil || string(text) != "8\n" {
		t.Errorf("%q, %v; want 8", text, err)
	}
	second()
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestEpochFileOfAResourceMadeAnew: nor is what the run of another resource of that name does.
func TestEpochFileOfAResourceMadeAnew(t *testing.T) {
	files := newEpochFiles(t.TempDir())
	_, late, err := files.of("web").write(7)
	if err != nil {
		t.Fatal(err)
	}
	path, _, err := files.of("web").write(7) // an epoch may have many runs
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := files.of("db").write(7); err != nil {
		t.Fatal(err)
	}
	late()
	if text, err := os.ReadFile(path); err != nil || string(text) != "7\n" {
		t.Errorf("%q, %v; want 7", text, err)
	}
}

// TestEpochFileIsNeverHalf: whoever reads it while it is replaced finds one epoch or the other.
func TestEpochFileIsNeverHalf(t *testing.T) {
	f := newEpochFiles(t.TempDir()).of("web")
	path, _, err := f.write(1)
	if err != nil {
		t.Fatal(err)
	}
	written := make(chan error)
	go func() {
		var err error
		for epoch := int64(2); epoch <= 1000 && err == nil; epoch++ {
			_, _, err = f.write(epoch)
		}
		written <- err
	}()
	for last := 0; ; {
		select {
		case err := <-written:
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
		}
		text, err := os.ReadFile(path)
		now, bad := strconv.Atoi(strings.TrimSuffix(string(text), "\n"))
		if err != nil || bad != nil || now < last {
			t.Fatalf("after %d: %q, %v", last, text, err)
		}
		last = now
	}
}
