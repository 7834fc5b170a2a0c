// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

// The dumps of all containers are listed and can be read, and nothing else can: a
// program can put what it likes beside them.
func TestDumpFiles(t *testing.T) {
	dir := t.TempDir()
	const first, second = "20260101T000000.000Z-db-Deadlock.txt", "20260102T000000.000Z-web-Exited.core"
	for _, name := range []string{"app", "web", "old"} {
		must(t, os.MkdirAll(filepath.Join(dir, name, MonitorFolder), 0o755))
		if name != "old" { // of an earlier release
			must(t, os.Mkdir(filepath.Join(dir, name, DumpFolder), 0o777))
		}
	}
	in := func(container, name string) string { return filepath.Join(dir, container, DumpFolder, name) }
	secret := filepath.Join(dir, "token")
	must(t, os.WriteFile(secret, []byte("secret"), 0o600))
	must(t, os.WriteFile(in("web", second), []byte("second"), 0o600))
	must(t, os.WriteFile(in("app", first), []byte("first"), 0o600))
	must(t, os.WriteFile(in("app", "x\x1b[2J.txt"), nil, 0o600))
	const link, pipe = "20260103T000000.000Z-a-b.txt", "20260104T000000.000Z-a-b.txt"
	must(t, os.Symlink(secret, in("app", link)))
	must(t, syscall.Mkfifo(in("app", pipe), 0o600))

	all, err := Dumps(dir)
	must(t, err)
	if want := []Dump{{"app", first, 5}, {"web", second, 6}}; !slices.Equal(all, want) {
		t.Errorf("%v", all)
	}
	f, err := OpenDump(dir, second)
	must(t, err)
	defer func() { _ = f.Close() }()
	if b, _ := io.ReadAll(f); string(b) != "second" {
		t.Errorf("%q", b)
	}
	for _, name := range []string{link, pipe, "", "none", "../token", "../dumps/" + first, "x\x1b[2J.txt"} {
		if f, err := OpenDump(dir, name); err == nil {
			_ = f.Close()
			t.Errorf("%q was opened", name)
		}
	}
}
