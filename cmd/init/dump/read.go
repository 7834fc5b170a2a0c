// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package dump

import (
	"bytes"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	guardv1 "github.com/understudy-dev/understudy/api/guard/v1"
)

const (
	// maxRead is the most that is read of one file of /proc.
	maxRead = 1 << 20
	// maxListed is how many entries of one folder of /proc are looked at.
	maxListed = 4096
)

// reader reads /proc, past the os package: no lock or poller of the runtime is
// shared with the loop of init.
type reader struct {
	proc string
	stop *atomic.Bool
	end  time.Time
	buf  []byte
}

// over returns why nothing more is to be read, nil while there is time.
func (r *reader) over() error {
	switch {
	case r.stop.Load():
		return errStopped
	case time.Now().After(r.end):
		return errTime
	}
	return nil
}

// file returns what is in a file below /proc, as far as it can be read. It is valid
// until the next call.
func (r *reader) file(name string) ([]byte, error) {
	if err := r.over(); err != nil {
		return nil, err
	}
	fd, err := open(path.Join(r.proc, name), syscall.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer func() { _ = syscall.Close(fd) }()
	n := 0
	for n < len(r.buf) {
		got, err := syscall.Read(fd, r.buf[n:])
		if err == syscall.EINTR {
			continue
		}
		if err != nil && n == 0 {
			return nil, err
		}
		if err != nil || got <= 0 {
			break
		}
		n += got
	}
	return r.buf[:n], nil
}

// line is a file's content without the last newline, empty if it cannot be read.
func (r *reader) line(name string) string {
	b, err := r.file(name)
	if err != nil {
		return ""
	}
	return strings.TrimRight(string(b), "\n\x00")
}

// list returns the numbers among the names in a folder below /proc, sorted.
func (r *reader) list(name string) []int {
	if r.over() != nil {
		return nil
	}
	fd, err := open(path.Join(r.proc, name), syscall.O_RDONLY|syscall.O_DIRECTORY)
	if err != nil {
		return nil
	}
	defer func() { _ = syscall.Close(fd) }()
	var numbers []int
	for len(numbers) < maxListed {
		n, err := syscall.ReadDirent(fd, r.buf)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			break
		}
		_, _, names := syscall.ParseDirent(r.buf[:n], -1, nil)
		for _, name := range names {
			if number, err := strconv.Atoi(name); err == nil && number >= 0 {
				numbers = append(numbers, number)
			}
		}
	}
	slices.Sort(numbers)
	return numbers
}

// link is where a symbolic link below /proc points.
func (r *reader) link(name string) string {
	if r.over() != nil {
		return ""
	}
	n, err := syscall.Readlink(path.Join(r.proc, name), r.buf)
	if err != nil || n <= 0 {
		return ""
	}
	return string(r.buf[:n])
}

// choose finds the processes that were asked for, or all but self. What is not found
// is said.
func (r *reader) choose(wanted []guardv1.Process, self int) (pids []int, missing []guardv1.Process) {
	all := slices.DeleteFunc(r.list("."), func(pid int) bool { return pid == self || pid == 0 })
	if len(wanted) == 0 {
		return all[:min(len(all), guardv1.MaxProcesses)], nil
	}
	for _, p := range wanted {
		found := false
		for _, pid := range all {
			if (p.PID == 0 || int(p.PID) == pid) && (p.Name == "" || r.named(pid, p.Name)) {
				found = true
				if !slices.Contains(pids, pid) {
					pids = append(pids, pid)
				}
			}
		}
		if !found {
			missing = append(missing, p)
		}
	}
	return pids[:min(len(pids), guardv1.MaxProcesses)], missing
}

// named says whether a process has a name: that which the kernel knows, or that of
// its program.
func (r *reader) named(pid int, name string) bool {
	dir := strconv.Itoa(pid)
	if r.line(dir+"/comm") == name {
		return true
	}
	b, err := r.file(dir + "/cmdline")
	if err != nil {
		return false
	}
	program, _, _ := bytes.Cut(b, []byte{0})
	return string(program) == name || path.Base(string(program)) == name
}

// open opens without ever becoming the controlling terminal's or waiting for the
// other end of a pipe.
func open(name string, flags int) (int, error) {
	for {
		fd, err := syscall.Open(name, flags|syscall.O_CLOEXEC|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
		if err != syscall.EINTR {
			return fd, err
		}
	}
}

// openRegular opens a regular file, as an io.ReaderAt.
func openRegular(name string) (fileAt, error) {
	fd, err := open(name, syscall.O_RDONLY)
	if err != nil {
		return -1, err
	}
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err == nil && st.Mode&syscall.S_IFMT == syscall.S_IFREG {
		return fileAt(fd), nil
	}
	_ = syscall.Close(fd)
	return -1, syscall.EINVAL
}

// fileAt is an open descriptor.
type fileAt int

func (f fileAt) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		got, err := syscall.Pread(int(f), p[n:], off+int64(n))
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return n, err
		}
		if got == 0 {
			return n, errShort
		}
		n += got
	}
	return n, nil
}

func (f fileAt) close() { _ = syscall.Close(int(f)) }
