// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"
)

const (
	// maxOutput is how much of a check's output goes into its message.
	maxOutput = 512
	// drain is how long a check that ended may leave its output open to others.
	drain = 20 * time.Millisecond
)

// running is a check under way.
type running struct {
	id      int64
	expired bool
	timeout time.Duration
	timer   *time.Timer
	output  *os.File
	said    chan string
}

// check starts a check. It runs inside the tree, so it dies with the program.
func (s *shim) check(c *check) {
	refuse := func(why string) { _ = s.out.send(event{Checked: &checked{ID: c.ID, Fault: why}}) }
	if s.program == 0 || s.killing {
		refuse("the program does not run")
		return
	}
	read, write, err := os.Pipe()
	if err != nil {
		refuse(err.Error())
		return
	}
	defer write.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		_ = read.Close()
		refuse(err.Error())
		return
	}
	defer null.Close()
	pid, err := s.fork(c.Command, []uintptr{null.Fd(), write.Fd(), write.Fd()})
	if err != nil {
		_ = read.Close()
		refuse(err.Error())
		return
	}
	r := &running{
		id:      c.ID,
		timeout: time.Duration(c.TimeoutMilliseconds) * time.Millisecond,
		output:  read,
		said:    make(chan string, 1),
	}
	r.timer = time.AfterFunc(r.timeout, func() { s.late <- pid })
	go r.listen()
	s.checks[pid] = r
}

// listen keeps the first of what the check says and throws away the rest.
func (r *running) listen() {
	var first bytes.Buffer
	_, _ = io.CopyN(&first, r.output, maxOutput)
	_, _ = io.Copy(io.Discard, r.output)
	_ = r.output.Close()
	r.said <- strings.TrimSpace(strings.ToValidUTF8(first.String(), "?"))
}

// expire kills a check that took too long, and all below it: with its parent gone it
// could not be told from what belongs to the program, and would stay as long as that.
func (s *shim) expire(pid int) {
	r := s.checks[pid]
	if r == nil {
		return
	}
	r.expired = true
	// The check stands still, or it would go on starting others meanwhile.
	_ = syscall.Kill(-pid, syscall.SIGSTOP)
	if all, err := processes(); err == nil {
		killAll(below(all, func(p proc) bool { return p.parent == pid }))
	}
	_ = syscall.Kill(-pid, syscall.SIGKILL)
}

// end tells how a check ended. It does not block: a child of the check may have
// kept its output open.
func (r *running) end(out *writer, exit Exit) {
	r.timer.Stop()
	_ = r.output.SetReadDeadline(time.Now().Add(drain))
	go func() {
		c := &checked{ID: r.id}
		said := <-r.said
		switch {
		case r.expired:
			c.Fault = fmt.Sprintf("no end within %d ms", r.timeout.Milliseconds())
		case exit.Signal != 0:
			c.Fault = fmt.Sprintf("killed by signal %d (%s)", int(exit.Signal), exit.Signal)
		case exit.Code != 0:
			c.Fault = fmt.Sprintf("exited with code %d", exit.Code)
		}
		if c.Fault != "" && said != "" {
			c.Fault += ": " + said
		}
		_ = out.send(event{Checked: c})
	}()
}
