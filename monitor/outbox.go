// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"io"
	"sync/atomic"
	"time"
)

// outbox writes lines in their order, from a goroutine of its own: what is behind
// the writer may take nothing for ever (a pipe that nobody reads, a disk that
// hangs), and the loop must not care.
type outbox struct {
	out   io.Writer
	lines chan []byte
	// bytes are queued: no more than most, but for the last line.
	bytes atomic.Int64
	most  int64
	// idle is asked for a line whenever none is queued; nil: never.
	idle func() []byte
	// failed is told the first error, after which nothing is written any more; nil:
	// an error is that of one line.
	failed func(error)
	ended  bool

	stop, done chan struct{}
}

func newOutbox(out io.Writer, lines int, most int64) *outbox {
	return &outbox{
		out: out, lines: make(chan []byte, lines), most: most, stop: make(chan struct{}), done: make(chan struct{}),
	}
}

// put queues a line, and reports false if there is no room for it. It never waits.
func (o *outbox) put(line []byte) bool {
	size := int64(len(line))
	if before := o.bytes.Add(size) - size; before >= o.most {
		o.bytes.Add(-size)
		return false
	}
	select {
	case o.lines <- line:
		return true
	default:
		o.bytes.Add(-size)
		return false
	}
}

// close has what is queued written, and waits for that no longer than limit. A
// write that hangs outlives it: only the end of the process ends that.
func (o *outbox) close(limit time.Duration) {
	close(o.stop)
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-o.done:
	case <-t.C:
	}
}

// run is the goroutine, until close.
func (o *outbox) run() {
	defer close(o.done)
	for {
		select {
		case line := <-o.lines:
			o.write(line)
			o.bytes.Add(-int64(len(line)))
			continue
		default:
		}
		if o.idle != nil {
			o.write(o.idle())
		}
		select {
		case line := <-o.lines:
			o.write(line)
			o.bytes.Add(-int64(len(line)))
		case <-o.stop:
			if len(o.lines) == 0 {
				return
			}
		}
	}
}

func (o *outbox) write(line []byte) {
	if len(line) == 0 || o.ended {
		return
	}
	if _, err := o.out.Write(line); err != nil && o.failed != nil {
		o.ended = true
		o.failed(err)
	}
}
