// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"errors"
	"syscall"
	"time"
)

const (
	// foreignBudget is how long init waits for processes that it may not kill,
	// before it exits, so that the kernel kills them. They may be about to end,
	// as they have lost whoever started them; and the kernel must have the
	// larger part of the smallest bound K (400 ms).
	foreignBudget = 100 * time.Millisecond
	// killBudget is how long init waits for processes that it did kill. An exit
	// would not end them sooner, as the kernel, too, only kills and waits; and
	// it would look like a proof to the monitor. They may be slow because the
	// machine is busy, or because they have much memory to give back.
	killBudget = 2 * time.Second
	// killPauseMin and killPauseMax are the pauses between two looks.
	killPauseMin = 100 * time.Microsecond
	killPauseMax = 2 * time.Millisecond
)

// isPID1 guards every kill of all processes: for anything but the first process
// of a PID namespace that would be the whole machine, or the user's session.
func isPID1() bool { return syscall.Getpid() == 1 }

// killAll kills all but init, reaps, and returns nil once nothing is left. It
// allocates nothing, so that it cannot be held up by the collector.
func killAll(p *procs) error {
	if !isPID1() {
		return errNotPID1
	}
	start := boottime()
	unseen := 0
	for pause := killPauseMin; ; pause = min(2*pause, killPauseMax) {
		// The kernel signals all processes under one lock, under which a fork
		// either came before, and its child is killed, or fails: there is no
		// outrunning this. ESRCH is its word that there is no other process in
		// the namespace, zombies and other users' included, so unlike /proc it
		// cannot be hidden from or mounted over. Anything else proves nothing:
		// it is success, too, if none of them was ours to kill.
		err := syscall.Kill(-1, syscall.SIGKILL)
		for reapOne() > 0 {
		}
		took := time.Duration(boottime() - start)
		if err == syscall.ESRCH {
			if err := p.empty(); err == nil || took >= foreignBudget {
				return err
			}
		} else if took >= foreignBudget {
			if p.killable() {
				unseen = 0
			} else if unseen++; unseen >= 3 {
				// More than once, because the last one may have ended just now.
				return errForeign
			}
			if took >= killBudget {
				return errSurvivors
			}
		}
		t := syscall.NsecToTimespec(int64(pause))
		_ = syscall.Nanosleep(&t, nil)
	}
}

// killLeftovers does so without waiting and proves nothing. It is what goes
// before a new monitor, for which nothing is worth a wait.
func killLeftovers() {
	if isPID1() {
		_ = syscall.Kill(-1, syscall.SIGKILL)
	}
	for reapOne() > 0 {
	}
}

var (
	errNotPID1 = errors.New("init is not PID 1, so it must not kill all")
	errForeign = errors.New("a process is left that init may not kill: let the program keep to the user that " +
		"init runs as")
	errSurvivors = errors.New("a process outlived SIGKILL: it may be stuck in a system call, look at the node's storage")
)

// reapOne reaps one dead process and returns its PID, or less than one.
func reapOne() int {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if err != syscall.EINTR {
			return pid
		}
	}
}
