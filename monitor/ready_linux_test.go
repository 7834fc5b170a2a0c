// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// TestReadyOnAFullDisk: a monitor comes back although there is no room at all in its
// state folder.
func TestReadyOnAFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: it mounts a small disk in a mount namespace of its own")
	}
	dir, ended := t.TempDir(), make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with its namespace
		ended <- readyOnAFullDisk(dir)
	}()
	if err := <-ended; errors.Is(err, unix.EPERM) {
		t.Skip("may not make a mount namespace: run the tests with CAP_SYS_ADMIN")
	} else if err != nil {
		t.Fatal(err)
	}
}

func readyOnAFullDisk(dir string) error {
	err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS)
	if err == nil {
		err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	}
	if err == nil {
		err = unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k")
	}
	if err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	err = os.WriteFile(filepath.Join(dir, "fill"), make([]byte, 64<<10), 0o600)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "more"), []byte("x"), 0o600)
	}
	if !errors.Is(err, unix.ENOSPC) {
		return fmt.Errorf("the disk is not full: %w", err)
	}
	if err := readyIn(dir).create(); err != nil {
		return err
	}
	return Live(dir)
}
