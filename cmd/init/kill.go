// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"
	"time"
)

const (
	// killBudget is how long a kill may take until init gives up on the proof
	// and exits. It stays below the smallest bound K (400 ms), so that the
	// kernel has the rest for killing the namespace.
	killBudget = 300 * time.Millisecond
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
	giveUp := boottime() + int64(killBudget)
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
		if err == syscall.ESRCH {
			err := p.empty()
			if err == nil || boottime() >= giveUp {
				return err
			}
		} else if boottime() >= giveUp {
			return errSurvivors
		}
		t := syscall.NsecToTimespec(int64(pause))
		_ = syscall.Nanosleep(&t, nil)
	}
}

var (
	errNotPID1   = errors.New("init is not PID 1, so it must not kill all")
	errSurvivors = errors.New("a process outlived SIGKILL or belongs to another user")
	errListed    = errors.New("/proc lists a process besides PID 1")
	errNotProc   = errors.New("/proc does not show this PID namespace: mount it")
)

// reapOne reaps one dead process and returns its PID, or zero.
func reapOne() int {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if err != syscall.EINTR {
			return max(pid, 0)
		}
	}
}

// procs is /proc, held open from before the first child, which could mount
// something else over it.
type procs struct {
	fd  int
	buf []byte
}

func openProcs() (*procs, error) {
	fd, err := syscall.Open("/proc", syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /proc, without which a container cannot be proven empty: %w", err)
	}
	return &procs{fd: fd, buf: make([]byte, 16<<10)}, nil
}

// empty returns nil if /proc shows PID 1 and no other process.
func (p *procs) empty() error {
	if _, err := syscall.Seek(p.fd, 0, 0); err != nil {
		return err
	}
	self := false
	for {
		n, err := syscall.ReadDirent(p.fd, p.buf)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		if n <= 0 {
			break
		}
		switch found := scanPIDs(p.buf[:n]); {
		case found&foundOther != 0:
			return errListed
		case found&foundSelf != 0:
			self = true
		}
	}
	if !self {
		return errNotProc
	}
	return nil
}

const (
	foundSelf = 1 << iota
	foundOther
)

// scanPIDs looks for names made of digits in a buffer that getdents64 filled:
// ino u64, off u64, reclen u16, type u8, name with a zero at its end.
func scanPIDs(buf []byte) (found int) {
	const reclenAt, nameAt = 16, 19
	for len(buf) >= nameAt {
		reclen := int(binary.NativeEndian.Uint16(buf[reclenAt:]))
		// A length that makes no sense proves nothing, so it counts as found.
		if reclen < nameAt || reclen > len(buf) {
			return found | foundOther
		}
		name := buf[nameAt:reclen]
		buf = buf[reclen:]
		digits := 0
		for digits < len(name) && name[digits] >= '0' && name[digits] <= '9' {
			digits++
		}
		switch {
		case digits == 0 || digits == len(name) || name[digits] != 0:
		case digits == 1 && name[0] == '1':
			found |= foundSelf
		default:
			found |= foundOther
		}
	}
	return found
}
