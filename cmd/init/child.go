// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"unsafe"
)

const (
	// nonceEnv tells a guarded child the nonce of its period.
	nonceEnv = "UNDERSTUDY_NONCE"
	// Exit codes as shells use them.
	exitNotExecutable = 126
	exitNotFound      = 127
)

// child is the program that init runs.
type child struct {
	args  []string
	env   []string
	nonce string
	// pid is zero while it does not run.
	pid int
	// tty is set if stdin is the terminal of this session.
	tty bool
}

func newChild(args []string) *child {
	c := &child{args: args, tty: hasTerminal()}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, nonceEnv+"=") {
			c.env = append(c.env, v)
		}
	}
	return c
}

// start starts the child. If it fails, code is what to exit with if trying again
// is no use, or zero.
//
// It returns once the new program runs. If that hangs, on a volume that does not
// answer, the loop hangs with it: nothing of the program runs yet, and no guard
// is acknowledged, so the monitor brings nothing online there.
func (c *child) start() (code int, err error) {
	path, err := lookPath(c.args[0])
	if err != nil {
		return exitNotFound, err
	}
	env := c.env
	if c.nonce != "" {
		env = append(slices.Clip(env), nonceEnv+"="+c.nonce)
	}
	attr := &syscall.ProcAttr{
		Env:   env,
		Files: []uintptr{0, 1, 2},
		Sys:   &syscall.SysProcAttr{Setpgid: true},
	}
	if c.tty {
		// Without this the terminal would stop the child when it reads, and
		// would send init SIGWINCH, a stop signal to it, at each resize.
		attr.Sys.Foreground, attr.Sys.Ctty = true, 0
	}
	pid, err := syscall.ForkExec(path, c.args, attr)
	if err == nil {
		c.pid = pid
		return 0, nil
	}
	err = fmt.Errorf("run %s: %w", path, err)
	switch {
	case errors.Is(err, syscall.ENOENT):
		return exitNotFound, err
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM), errors.Is(err, syscall.ENOEXEC),
		errors.Is(err, syscall.EISDIR), errors.Is(err, syscall.E2BIG):
		return exitNotExecutable, err
	}
	return 0, err
}

// signal sends s to the child alone, if it runs.
func (c *child) signal(s syscall.Signal) {
	if c.pid > 0 {
		_ = syscall.Kill(c.pid, s)
	}
}

// reap reaps whatever is dead, and reports the child's end if it is among them.
func (c *child) reap() (status syscall.WaitStatus, died bool) {
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, syscall.WNOHANG, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil || pid <= 0:
			return status, died
		case pid == c.pid:
			status, died, c.pid = ws, true, 0
		}
	}
}

// describe says how a child ended, for a shell and for people.
func describe(ws syscall.WaitStatus) (code int, text string) {
	if ws.Signaled() {
		return 128 + int(ws.Signal()), "was killed by " + signalName(ws.Signal())
	}
	return ws.ExitStatus(), fmt.Sprintf("exited with code %d", ws.ExitStatus())
}

// lookPath finds a program as execvp does.
func lookPath(name string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for dir := range strings.SplitSeq(os.Getenv("PATH"), ":") {
		path := dir + "/" + name
		if info, err := os.Stat(path); dir != "" && err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("no program %q in PATH: give its whole path after --", name)
}

func newNonce() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, says its documentation
	return hex.EncodeToString(b[:])
}

// hasTerminal says whether stdin is the controlling terminal: the only one that
// has a foreground process group to give away.
func hasTerminal() bool {
	var group int32
	_, _, errno := syscall.RawSyscall(syscall.SYS_IOCTL, 0, syscall.TIOCGPGRP, uintptr(unsafe.Pointer(&group)))
	return errno == 0
}
