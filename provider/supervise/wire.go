// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"encoding/json"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"
)

// The provider and a shim talk in JSON lines over a socket pair. Each end lives
// exactly as long as its process, so the end of the stream is a death notice.

// command is what the provider asks of a shim.
type command struct {
	// Start comes first, once.
	Start *Spec  `json:"start,omitempty"`
	Stop  *stop  `json:"stop,omitempty"`
	Kill  bool   `json:"kill,omitempty"`
	Check *check `json:"check,omitempty"`
}

// Spec is a program to run.
type Spec struct {
	// Command is the program and its arguments. A first word without a slash is
	// looked up in the PATH of Env.
	Command []string `json:"command"`
	// Dir is where it starts; empty is where the provider runs.
	Dir string `json:"dir,omitempty"`
	// Env is the whole environment.
	Env []string `json:"env"`
}

// stop asks the program to end, and kills its tree after Grace.
type stop struct {
	Signal            syscall.Signal `json:"signal"`
	GraceMilliseconds int64          `json:"graceMilliseconds"`
}

// check runs a command beside the program.
type check struct {
	ID                  int64    `json:"id"`
	Command             []string `json:"command"`
	TimeoutMilliseconds int64    `json:"timeoutMilliseconds"`
}

// event is what a shim tells.
type event struct {
	// Started is the process id of the program.
	Started int `json:"started,omitempty"`
	// Failed is why the program could not be started. The shim ends.
	Failed string `json:"failed,omitempty"`
	// Exited: the program ended. Some of its tree may be left.
	Exited *Exit `json:"exited,omitempty"`
	// Checked is how a check ended.
	Checked *checked `json:"checked,omitempty"`
	// Left names what a kill has not ended yet.
	Left []string `json:"left,omitempty"`
	// Empty: nothing is left, which is proven. The shim ends.
	Empty bool `json:"empty,omitempty"`
}

// Exit is how a program ended.
type Exit struct {
	Code   int            `json:"code"`
	Signal syscall.Signal `json:"signal,omitempty"`
	// Lost: nobody saw how, because the shim was killed.
	Lost bool `json:"lost,omitempty"`
}

// String says it to people.
func (e Exit) String() string {
	switch {
	case e.Lost:
		return "the program's supervisor was killed, and the program with it"
	case e.Signal != 0:
		return fmt.Sprintf("the program was killed by signal %d (%s)", int(e.Signal), e.Signal)
	default:
		return fmt.Sprintf("the program exited with code %d", e.Code)
	}
}

// Number is the exit code as a shell has it.
func (e Exit) Number() uint32 {
	if e.Signal != 0 {
		return 128 + uint32(e.Signal)
	}
	return uint32(e.Code)
}

// checked is how a check ended.
type checked struct {
	ID int64 `json:"id"`
	// Fault is empty if the check passed.
	Fault string `json:"fault,omitempty"`
}

// writer sends one value a line, from any goroutine. What could not be sent whole is
// the end of it: the stream is torn.
type writer struct {
	mu   sync.Mutex
	conn net.Conn
	torn error
}

// send waits until the other side has taken it, or is gone.
func (w *writer) send(v any) error { return w.write(v, func() time.Time { return time.Time{} }) }

// sendWithin gives up on a side that does not take it.
func (w *writer) sendWithin(v any, within time.Duration) error {
	return w.write(v, func() time.Time { return time.Now().Add(within) })
}

// write asks for the deadline once it is this value's turn.
func (w *writer) write(v any, deadline func() time.Time) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.torn == nil {
		w.torn = w.conn.SetWriteDeadline(deadline())
	}
	if w.torn == nil {
		_, w.torn = w.conn.Write(append(line, '\n'))
	}
	return w.torn
}
