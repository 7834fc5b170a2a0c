// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"os/signal"
	"runtime"
	"syscall"
	"unsafe"
)

func nap(t *syscall.Timespec) {
	_, _, _ = syscall.RawSyscall(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(t)), 0, 0)
}

// maskAndIgnore blocks and ignores signals before init starts, as a careless
// parent may.
func maskAndIgnore() {
	signal.Ignore(syscall.SIGHUP, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGPIPE)
	runtime.LockOSThread()
	const setMask, size = 2, 8
	all := ^uint64(0)
	_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, setMask, uintptr(unsafe.Pointer(&all)), 0, size, 0, 0)
}
