// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package tool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Lock takes the lock in the file at path and waits for it as long as ctx allows. The kernel frees the lock when
// the last process that holds the returned file ends, however it ends. what is written into the file, for the next
// one to say who holds it. The holder may remove the file.
func Lock(ctx context.Context, path, what string, progress *Progress) (*os.File, error) {
	for told := false; ; {
		file, err := tryLock(path)
		if err != nil {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if file != nil {
			_, err = file.WriteAt(fmt.Appendf(nil, "%s (pid %d)\n", what, os.Getpid()), 0)
			return file, err
		}
		if !told {
			holder, _ := os.ReadFile(path)
			progress.Say("waiting for %s, which holds %s", strings.TrimSpace(string(holder)), path)
			told = true
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("lock %s: %w", path, context.Cause(ctx))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// tryLock returns nil if somebody else holds the lock.
func tryLock(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil && !stillAt(file, path) {
		// Its last holder removed it, and the next one will lock another file.
		err = syscall.EWOULDBLOCK
	}
	if err == nil {
		err = file.Truncate(0)
	}
	if err != nil {
		file.Close()
	}
	if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, syscall.EINTR) {
		return nil, nil
	}
	return file, err
}

func stillAt(file *os.File, path string) bool {
	mine, err := file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(mine, there)
}
