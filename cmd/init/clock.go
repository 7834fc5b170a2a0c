// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"unsafe"
)

const (
	// clockBoottime is CLOCK_BOOTTIME: it goes on counting in suspend, which
	// the clock behind time.Now does not.
	clockBoottime = 7
	// timerAbsolute is TFD_TIMER_ABSTIME.
	timerAbsolute = 1
)

// boottime reads CLOCK_BOOTTIME in nanoseconds.
func boottime() int64 {
	var t syscall.Timespec
	// It cannot fail: the clock exists since Linux 2.6.39 and t is ours.
	_, _, _ = syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockBoottime, uintptr(unsafe.Pointer(&t)), 0)
	return t.Nano()
}

// timer is a timerfd on CLOCK_BOOTTIME. A deadline that passes while the machine
// is suspended fires when it wakes up.
type timer struct {
	fd    int
	armed int64
}

func newTimer() (timer, error) {
	fd, _, errno := syscall.RawSyscall(syscall.SYS_TIMERFD_CREATE, clockBoottime, syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if errno != 0 {
		return timer{}, fmt.Errorf("create a timer: %w", errno)
	}
	return timer{fd: int(fd)}, nil
}

// arm makes the timer fire at the absolute time at, at once if that has passed,
// and never if it is zero.
func (t *timer) arm(at int64) error {
	if at == t.armed {
		return nil
	}
	// The kernel refuses a negative time, and takes zero for never.
	value := at
	if at < 0 {
		value = 1
	}
	spec := struct{ interval, value syscall.Timespec }{value: syscall.NsecToTimespec(value)}
	_, _, errno := syscall.RawSyscall6(syscall.SYS_TIMERFD_SETTIME, uintptr(t.fd), timerAbsolute,
		uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("arm the timer: %w", errno)
	}
	t.armed = at
	return nil
}

// fired takes note that the timer's descriptor was readable.
func (t *timer) fired() {
	var expirations [8]byte
	_, _ = syscall.Read(t.fd, expirations[:])
	t.armed = 0
}

// bootID names this boot of the machine, empty if it cannot be read.
func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}
