// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// folderVariable tells a test that it is the child of itself, and its state folder.
const folderVariable = "UNDERSTUDY_TEST_FOLDER"

// again is this test once more, in a process of its own.
func again(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command(self, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), folderVariable+"="+dir)
	return cmd
}

// TestLockGoesWithTheProcess: the lock of a monitor that was killed is free, though
// what it had started lives on.
func TestLockGoesWithTheProcess(t *testing.T) {
	if dir := os.Getenv(folderVariable); dir != "" {
		open(t, dir)
		left := exec.Command("sleep", "60")
		must(t, left.Start())
		fmt.Println("left", left.Process.Pid)
		select {}
	}
	dir := t.TempDir()
	first := again(t, dir)
	out, err := first.StdoutPipe()
	must(t, err)
	must(t, first.Start())
	t.Cleanup(func() { _ = first.Process.Kill() })
	left := 0
	for in := bufio.NewScanner(out); left == 0 && in.Scan(); {
		_, _ = fmt.Sscanf(in.Text(), "left %d", &left)
	}
	if left == 0 {
		t.Fatal("the first one did not lock")
	}
	t.Cleanup(func() { _ = syscall.Kill(left, syscall.SIGKILL) })
	if _, err := Open(dir); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Fatalf("%v, want %v and the folder", err, ErrLocked)
	}
	must(t, first.Process.Kill())
	_ = first.Wait()
	must(t, syscall.Kill(left, 0))
	open(t, dir)
}

// TestFullDisk: a disk that is full, and not a model of one.
func TestFullDisk(t *testing.T) {
	dir := os.Getenv(folderVariable)
	if dir == "" {
		if os.Getuid() != 0 {
			t.Skip("needs root: it mounts a small disk in a mount namespace of its own")
		}
		cmd := again(t, t.TempDir())
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
		out, err := cmd.CombinedOutput()
		if errors.Is(err, unix.EPERM) {
			t.Skip("may not make a mount namespace: run the tests with CAP_SYS_ADMIN")
		}
		if err != nil || !bytes.Contains(out, []byte("--- PASS")) {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	must(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"))
	j := open(t, dir)
	fill(t, dir)
	if _, _, err := j.Key(); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("a key on a full disk: %v", err)
	}
	empty(t, dir)
	key, made, err := j.Key()
	if err != nil || !made {
		t.Fatalf("what was left of a key counts as one: %v", err)
	}
	must(t, j.Store([]byte(`{"a":1}`)))
	for range 2 {
		fill(t, dir)
		large := append([]byte(`{"a":2,"b":"`), bytes.Repeat([]byte("b"), 64<<10)...)
		for _, state := range [][]byte{[]byte(`{"a":2}`), append(large, '"', '}')} {
			if err := j.Store(state); !errors.Is(err, unix.ENOSPC) {
				t.Fatalf("%d bytes on a full disk: %v", len(state), err)
			}
		}
		// The next life finds what was promised last.
		must(t, j.Close())
		j = open(t, dir)
		var got struct{ A int }
		if found, err := j.Load(&got); !found || err != nil || got.A != 1 {
			t.Fatalf("found %v, %v, %v", found, err, got)
		}
		if k, made, err := j.Key(); err != nil || made || !bytes.Equal(k, key) {
			t.Fatalf("another key: made %v, %v", made, err)
		}
		empty(t, dir)
		must(t, j.Store([]byte(`{"a":1,"again":true}`)))
	}
}

// fill leaves no room in a folder, empty takes that away.
func fill(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "fill"))
	must(t, err)
	defer func() { _ = f.Close() }()
	for err == nil {
		_, err = f.Write(make([]byte, 4<<10))
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
}

func empty(t *testing.T, dir string) {
	t.Helper()
	must(t, os.Remove(filepath.Join(dir, "fill")))
}
