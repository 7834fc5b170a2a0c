// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"
)

var (
	errListed  = errors.New("/proc lists a process besides PID 1")
	errNotProc = errors.New("/proc does not show this PID namespace: mount it")
)

// procs is /proc, held open from before the first child, which could mount
// something else over it.
type procs struct {
	fd  int
	buf []byte
	// pids is what the last list found.
	pids []int
}

func openProcs() (*procs, error) {
	fd, err := syscall.Open("/proc", syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /proc, without which a container cannot be proven empty: %w", err)
	}
	return &procs{fd: fd, buf: make([]byte, 16<<10), pids: make([]int, 0, 4096)}, nil
}

// list lists the processes, this one included.
func (p *procs) list() error {
	p.pids = p.pids[:0]
	if _, err := syscall.Seek(p.fd, 0, 0); err != nil {
		return err
	}
	for {
		n, err := syscall.ReadDirent(p.fd, p.buf)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return err
		case n <= 0:
			return nil
		default:
			p.pids = scanPIDs(p.buf[:n], p.pids)
		}
	}
}

// empty returns nil if /proc shows PID 1 and no other process.
func (p *procs) empty() error {
	if err := p.list(); err != nil {
		return err
	}
	self := false
	for _, pid := range p.pids {
		if pid != 1 {
			return errListed
		}
		self = true
	}
	if !self {
		return errNotProc
	}
	return nil
}

// killable says whether /proc shows processes besides PID 1, and init may signal
// each of them.
func (p *procs) killable() bool {
	if p.list() != nil {
		return false
	}
	others := false
	for _, pid := range p.pids {
		if pid == 1 {
			continue
		}
		if pid < 1 || syscall.Kill(pid, 0) == syscall.EPERM {
			return false
		}
		others = true
	}
	return others
}

// scanPIDs appends the names made of digits in a buffer that getdents64 filled:
// ino u64, off u64, reclen u16, type u8, name with a zero at its end. An entry
// that makes no sense counts as process -1: it proves nothing.
func scanPIDs(buf []byte, pids []int) []int {
	const reclenAt, nameAt = 16, 19
	for len(buf) > 0 {
		reclen := 0
		if len(buf) >= nameAt {
			reclen = int(binary.NativeEndian.Uint16(buf[reclenAt:]))
		}
		if reclen <= nameAt || reclen > len(buf) {
			return append(pids, -1)
		}
		if pid, ok := parsePID(buf[nameAt:reclen]); ok {
			pids = append(pids, pid)
		}
		buf = buf[reclen:]
	}
	return pids
}

func parsePID(name []byte) (pid int, ok bool) {
	for i, c := range name {
		switch {
		case c == 0:
			return pid, i > 0
		case c < '0' || c > '9':
			return 0, false
		}
		pid = 10*pid + int(c-'0')
	}
	return -1, true // no zero at the end
}
