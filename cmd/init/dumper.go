// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	guardv1 "github.com/understudy-dev/understudy/api/guard/v1"
	"github.com/understudy-dev/understudy/cmd/init/dump"
)

// dumpDir is where the dump volume is in every supervised container.
const dumpDir = "/understudy/dumps"

// dumper collects dumps on a goroutine of its own, because what it reads and writes
// may block for ever. The loop waits for none of it: it is woken by a pipe.
type dumper struct {
	collector dump.Dumper
	jobs      chan dumpJob
	answers   chan guardv1.Message
	// woken and wake are the ends of the pipe.
	woken, wake int
	// stop ends the dump that is under way; each dump has one of its own.
	stop *atomic.Bool
}

type dumpJob struct {
	message guardv1.Message
	stop    *atomic.Bool
}

func newDumper() (*dumper, error) {
	var fds [2]int
	if err := syscall.Pipe2(fds[:], syscall.O_NONBLOCK|syscall.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("create a pipe for dumps: %w", err)
	}
	d := &dumper{
		collector: dump.Dumper{Proc: "/proc", Dir: dumpDir, Self: os.Getpid()},
		jobs:      make(chan dumpJob, 1), answers: make(chan guardv1.Message, 1),
		woken: fds[0], wake: fds[1], stop: new(atomic.Bool),
	}
	go d.run()
	return d, nil
}

func (d *dumper) run() {
	for j := range d.jobs {
		d.answers <- d.collect(j.message, j.stop)
		_, _ = syscall.Write(d.wake, []byte{1})
	}
}

// collect answers whatever happens: what programs put before it must not end init.
func (d *dumper) collect(m guardv1.Message, stop *atomic.Bool) (answer guardv1.Message) {
	defer func() {
		if p := recover(); p != nil {
			answer = guardv1.Message{Type: guardv1.Dumped, ID: m.ID, Reason: fmt.Sprintf("the dump failed: %v", p)}
		}
	}()
	return d.collector.Collect(m, time.Now(), stop)
}

// begin begins a dump. The machine asks for one at a time.
func (d *dumper) begin(m guardv1.Message) {
	d.stop = new(atomic.Bool)
	d.jobs <- dumpJob{message: m, stop: d.stop}
}

// end has the dump that is under way end soon.
func (d *dumper) end() { d.stop.Store(true) }

// answer returns the answer that woke the loop.
func (d *dumper) answer() (m guardv1.Message, ok bool) {
	var b [1]byte
	_, _ = syscall.Read(d.woken, b[:])
	select {
	case m = <-d.answers:
		return m, true
	default:
		return m, false
	}
}
