// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"unsafe"
)

// The main thread is the one whose namespaces an exec takes along.
func init() { runtime.LockOSThread() }

func boottime() int64 {
	const clockBoottime = 7
	var t syscall.Timespec
	_, _, _ = syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockBoottime, uintptr(unsafe.Pointer(&t)), 0)
	return t.Nano()
}

// shiftTime makes CLOCK_BOOTTIME, and no other clock, run 1000 s ahead from the
// next exec on.
func shiftTime(root string) {
	const newTime = 0x80
	check(syscall.Unshare(newTime))
	check(os.WriteFile(root+"/proc/self/timens_offsets", []byte("boottime 1000 0\n"), 0))
}

// sysSetns is setns, which package syscall has for some architectures only.
var sysSetns = map[string]uintptr{"amd64": 308, "arm64": 268}[runtime.GOARCH]

// join enters the PID namespace of a process, as a container runtime does for a
// probe or for kubectl exec, and waits for the end of what it starts there.
func join(pid string) {
	const newPID = 0x20000000
	fd, err := syscall.Open("/proc/"+pid+"/ns/pid", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	check(err)
	_, _, errno := syscall.RawSyscall(sysSetns, uintptr(fd), newPID, 0)
	if errno != 0 {
		check(errno)
	}
	self, err := os.Executable()
	check(err)
	child, err := syscall.ForkExec(self, []string{"actor", "stubborn"}, &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}})
	check(err)
	var ws syscall.WaitStatus
	_, err = syscall.Wait4(child, &ws, 0, nil)
	check(err)
	fmt.Println("ended", ws.Signal() == syscall.SIGKILL)
}

func nap(t *syscall.Timespec) {
	_, _, _ = syscall.RawSyscall(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(t)), 0, 0)
}

// maskAndIgnore blocks and ignores signals before init starts, as a careless
// parent may.
func maskAndIgnore() {
	signal.Ignore(syscall.SIGHUP, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGPIPE)
	const setMask, size = 2, 8
	all := ^uint64(0)
	_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, setMask, uintptr(unsafe.Pointer(&all)), 0, size, 0, 0)
}
