// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"unsafe"
)

// Real-time signals that a Go program can catch. The three below them, which
// the C libraries keep for themselves, never reach one: among them is 34, which
// glibc calls SIGRTMIN.
const rtFirst, rtLast = 35, 64

// signalNames are the stop signals besides the real-time ones: all that mean
// neither a crash nor job control, because an image may name any of them.
var signalNames = map[syscall.Signal]string{
	syscall.SIGHUP: "SIGHUP", syscall.SIGINT: "SIGINT", syscall.SIGQUIT: "SIGQUIT", syscall.SIGABRT: "SIGABRT",
	syscall.SIGUSR1: "SIGUSR1", syscall.SIGUSR2: "SIGUSR2", syscall.SIGALRM: "SIGALRM", syscall.SIGTERM: "SIGTERM",
	syscall.SIGWINCH: "SIGWINCH", syscall.SIGPWR: "SIGPWR",
}

func signalName(s syscall.Signal) string {
	switch name := signalNames[s]; {
	case name != "":
		return name
	case s == syscall.SIGKILL:
		return "SIGKILL"
	case s == syscall.SIGSEGV:
		return "SIGSEGV"
	case s >= rtFirst:
		return fmt.Sprintf("SIGRTMIN+%d", s-34)
	}
	return fmt.Sprintf("signal %d (%s)", int(s), s)
}

// watchSignals returns a pipe from which each signal comes as one byte: the loop
// waits for descriptors only.
func watchSignals() (int, error) {
	var fds [2]int
	if err := syscall.Pipe2(fds[:], syscall.O_NONBLOCK|syscall.O_CLOEXEC); err != nil {
		return 0, fmt.Errorf("create a pipe for signals: %w", err)
	}
	var stops []os.Signal
	for s := range signalNames {
		stops = append(stops, s)
	}
	for s := syscall.Signal(rtFirst); s <= rtLast; s++ {
		stops = append(stops, s)
	}
	// A channel of its own for SIGCHLD, so that a flood of it cannot push out a
	// stop signal.
	stop, dead := make(chan os.Signal, len(stops)), make(chan os.Signal, 1)
	signal.Notify(stop, stops...)
	signal.Notify(dead, syscall.SIGCHLD)
	go func() {
		for {
			s := os.Signal(syscall.SIGCHLD)
			select {
			case s = <-stop:
			case <-dead:
			}
			// If the pipe is full there is enough to wake the loop.
			_, _ = syscall.Write(fds[1], []byte{byte(s.(syscall.Signal))})
		}
	}()
	return fds[0], nil
}

// unblockSignals empties the signal mask of this thread, so that the child
// starts with an empty one whatever init was started with. The dispositions need
// no care: exec resets those that the Go runtime has set, which are all.
func unblockSignals() {
	const setMask, size = 2, 8
	var none [size]byte
	_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, setMask, uintptr(unsafe.Pointer(&none)), 0, size, 0, 0)
}
