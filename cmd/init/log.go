// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"syscall"
	"time"
)

// logFlush is how long an exit waits for the last lines to be taken.
const logFlush = 20 * time.Millisecond

// logger writes lines to stderr from a goroutine of its own: the pipe behind it
// may be full for ever, and the guard must not care. Lines that nobody takes in
// time are dropped.
type logger struct {
	prefix string
	lines  chan string
	done   chan struct{}
}

func newLogger(name string) *logger {
	l := &logger{prefix: "init: ", lines: make(chan string, 64), done: make(chan struct{})}
	if name != "" {
		l.prefix = "init of " + name + ": "
	}
	go func() {
		defer close(l.done)
		for line := range l.lines {
			// Past the os package, whose locks and poller have no part in init.
			_, _ = syscall.Write(2, []byte(line))
		}
	}()
	return l
}

func (l *logger) print(text string) {
	select {
	case l.lines <- l.prefix + text + "\n":
	default:
	}
}

// flush waits a moment for the lines to be written. Nothing may be printed
// after it.
func (l *logger) flush() {
	close(l.lines)
	select {
	case <-l.done:
	case <-time.After(logFlush):
	}
}
