// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package misbehaving

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"syscall"
	"time"
)

// killHolder kills the process that holds a lock and waits until it is free. It
// works whoever started the process: also for one that an earlier provider left.
func killHolder(path string) error {
	for {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		} else if err != nil {
			return err
		}
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		_ = f.Close()
		if err == nil {
			return nil // nobody held it
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if pid, err := strconv.Atoi(string(bytes.TrimSpace(text))); err == nil && pid > 1 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(time.Millisecond)
	}
}

// held says whether some process holds a lock.
func held(path string) bool {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil
}
