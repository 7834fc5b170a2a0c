// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package tool

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseInterspersed(t *testing.T) {
	for _, test := range []struct {
		args, want []string
		from       string
	}{
		{[]string{"node-1", "--from", "api"}, []string{"node-1"}, "api"},
		{[]string{"--from=api", "node-1"}, []string{"node-1"}, "api"},
		{[]string{"a", "--from", "x", "b"}, []string{"a", "b"}, "x"},
		{[]string{"a", "--", "--from", "x"}, []string{"a", "--from", "x"}, "all"},
		{nil, nil, "all"},
	} {
		flags := flag.NewFlagSet("", flag.ContinueOnError)
		from := flags.String("from", "all", "")
		got, err := parseInterspersed(flags, test.args)
		if err != nil || !slices.Equal(got, test.want) || *from != test.from {
			t.Errorf("%q: got %q, --from %s, %v", test.args, got, *from, err)
		}
	}
}

func TestRequiredVersion(t *testing.T) {
	goMod := "module x\n\nrequire (\n\tk8s.io/kubernetes v1.2.3\n\tk8s.io/kubernetes/sub v9.9.9 // indirect\n)\n" +
		"require single.org/x v0.1.0\n"
	for module, want := range map[string]string{"k8s.io/kubernetes": "v1.2.3", "single.org/x": "v0.1.0", "absent": ""} {
		got, err := RequiredVersion(goMod, module)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: got %q, %v", module, got, err)
		}
	}
}

func TestMissingPackages(t *testing.T) {
	answer := "runc installed\nnftables config-files\n"
	if got := missingPackages(
		answer,
		[]string{"runc", "nftables", "containerd"},
	); !slices.Equal(
		got,
		[]string{"nftables", "containerd"},
	) {
		t.Errorf("got %q", got)
	}
}

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dir", "lock")
	first, err := Lock(t.Context(), path, "first", nil)
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := Lock(short, path, "second", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("two hold it: %v", err)
	}
	first.Close()
	second, err := Lock(t.Context(), path, "second", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if text, _ := os.ReadFile(path); !strings.HasPrefix(string(text), "second (pid ") {
		t.Errorf("it says %q", text)
	}
}

// Who waited for a file that its holder removed must not hold a lock that nobody else sees.
func TestLockOfRemovedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, err := Lock(t.Context(), path, "first", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if stillAt(first, path) {
		t.Error("the removed file seems to be there")
	}
	second, err := Lock(t.Context(), path, "second", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if !stillAt(second, path) {
		t.Error("the lock is not at its path")
	}
}

func TestRun(t *testing.T) {
	out, err := Run(t.Context(), "sh", "-c", "echo out; echo why >&2; exit 3")
	if out != "out\n" || err == nil || !strings.Contains(err.Error(), "why") {
		t.Errorf("got %q, %v", out, err)
	}
	_, err = Command{Args: []string{"sleep", "60"}, Deadline: 10 * time.Millisecond}.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "not done after 10ms") {
		t.Errorf("got %v", err)
	}
}

func TestWriteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, text := range []string{"a", "b"} {
		if err := WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadFile(path); string(got) != text {
			t.Errorf("got %q", got)
		}
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("%d files are left", len(entries))
	}
}
