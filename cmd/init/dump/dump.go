// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Package dump writes down what processes are doing: for init, which alone sees
// those of its container, and knows the monitor's wish from the guard protocol. It
// reads /proc and needs neither ptrace nor any capability. What it writes holds no
// environment, because secrets are there; a core file holds all memory, and is
// written only if it is asked for.
package dump

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"

	guardv1 "github.com/understudy-dev/understudy/api/guard/v1"
)

const (
	// textTime and coreTime are how long a dump may go on.
	textTime = 2 * time.Second
	coreTime = 5 * time.Second
	// symbolTime is how long it may look for the names of functions.
	symbolTime = 500 * time.Millisecond
)

// ErrNoFolder says that there is nowhere to write to.
var ErrNoFolder = errors.New("no dump volume: the pod was made by an earlier release; it gets one when it is replaced")

// Dumper collects dumps, one at a time.
type Dumper struct {
	// Proc is where the container's /proc is, Dir the folder of dumps.
	Proc, Dir string
	// Self is left out: init itself.
	Self int
}

// Collect does what the Dump m asks for, and returns the Dumped that answers it. When
// stop becomes true it ends soon: the processes are being killed, and their numbers
// may come to mean others.
func (d *Dumper) Collect(m guardv1.Message, now time.Time, stop *atomic.Bool) guardv1.Message {
	answer := guardv1.Message{Type: guardv1.Dumped, ID: m.ID}
	f, err := openFolder(d.Dir)
	if err != nil {
		answer.Reason = err.Error()
		return answer
	}
	defer f.close()
	name := fileName(now, m.Dump.Resource, m.Reason)
	reader := &reader{proc: d.Proc, stop: stop, end: time.Now().Add(textTime), buf: make([]byte, maxRead)}
	pids, missing := reader.choose(m.Dump.Processes, d.Self)
	text, err := f.create(name+textSuffix, maxText)
	if err != nil {
		answer.Reason = err.Error()
		return answer
	}
	r := report{reader: reader, out: text, symbols: newSymbols(d.Proc, time.Now().Add(symbolTime))}
	r.write(m, now, pids, missing)
	r.symbols.close()
	answer.File, answer.Bytes = name+textSuffix, text.n
	why := []error{reader.over(), text.close()}
	if m.Dump.Core {
		n, err := d.cores(f, name, pids, stop)
		answer.Bytes += n
		why = append(why, err)
	}
	if err := errors.Join(why...); err != nil {
		answer.Reason = clip(err.Error(), maxReason)
	}
	return answer
}

// cores writes the core files, within one bound for all.
func (d *Dumper) cores(f *folder, name string, pids []int, stop *atomic.Bool) (total int64, err error) {
	reader := &reader{proc: d.Proc, stop: stop, end: time.Now().Add(coreTime), buf: make([]byte, maxRead)}
	var why []error
	for i, pid := range pids {
		if total >= maxCore || reader.over() != nil {
			why = append(why, fmt.Errorf("core files of %d processes were left out", len(pids)-i))
			break
		}
		file := name + coreSuffix
		if i > 0 {
			file = fmt.Sprintf("%s-%d%s", name, pid, coreSuffix)
		}
		out, err := f.create(file, maxCore-total)
		if err != nil {
			why = append(why, err)
			break
		}
		err = writeCore(reader, out, pid)
		total += out.n
		why = append(why, err, out.close())
	}
	return total, errors.Join(append(why, reader.over())...)
}

// maxReason bounds the reason of an answer, which has to fit a line.
const maxReason = 512

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

// errStopped says why a dump is not whole.
var (
	errStopped = errors.New("the processes were killed while the dump was collected")
	errTime    = errors.New("the dump took too long")
	errFull    = errors.New("the dump is larger than its limit")
)

// ioError names the system call that failed.
func ioError(what, path string, err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("%s %s: the dump volume is full", what, path)
	}
	return fmt.Errorf("%s %s: %w", what, path, err)
}
