// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package guardv1 is the wire format between the monitor and the init of each
// supervised container: JSON, one message a line, over the stream socket
// SocketName in a folder that the monitor owns and the container sees
// read-only. The monitor listens, init dials. It depends on nothing but the
// standard library, because init does not either.
package guardv1

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

const (
	// Version is the newest version of this format that is spoken here, Oldest the
	// oldest. Init offers its newest in Hello; the monitor answers in Welcome with the
	// newest of both, see Agree. So either side may be a release ahead of the other: a
	// monitor is replaced in a pod whose init stays, and goes back when that is undone.
	Version, Oldest = 2, 1
	// DumpVersion is the version from which on init knows Dump. One that speaks an older
	// version ignores it, so the monitor does not send it there.
	DumpVersion = 2
	// SocketName is the name of the monitor's listening socket in its folder.
	SocketName = "guard.sock"
	// StuckName is the name of the file beside it that is there while the monitor
	// waits in vain for the proof that the container is empty: an init that hangs
	// is ended by kubelet, whose probe looks for it.
	StuckName = "stuck"
	// MaxLine is the largest message in bytes, newline included.
	MaxLine = 4096
	// MaxClockSkewNanos is how far apart the CLOCK_BOOTTIME readings of init and
	// monitor may be (plus the time the message was under way): more means that
	// one of them lives in a time namespace, where absolute deadlines lie.
	MaxClockSkewNanos = 1_000_000_000
)

// Type says what a Message is.
type Type string

const (
	// Hello is init's first message on each connection: Version, Nonce, BootID,
	// BoottimeNanos, Secret (empty in the first hello of an init life) and the
	// guard that init holds now (Epoch, G1, G2).
	Hello Type = "hello"
	// Welcome accepts a hello. It hands out Secret, once per init life: before
	// the first child of that life starts, so that no program can have it.
	Welcome Type = "welcome"
	// Refuse ends the connection; Reason says why.
	Refuse Type = "refuse"
	// Guard sets the guard: Epoch, G1, G2. G2 zero disarms it, which the monitor
	// sends only when the stop is proven. A smaller epoch than one seen before
	// is ignored.
	Guard Type = "guard"
	// Guarded answers each Guard that was applied with what is in force now.
	// Nothing goes online before it has arrived.
	Guarded Type = "guarded"
	// Kill asks init to kill all but itself at once; if AfterDump is set and a dump
	// is under way, when that is done, but no later than DumpWaitNanos after the Kill
	// came. No guard waits for a dump. Empty answers it.
	Kill Type = "kill"
	// Empty is init's proof that no process but itself is left in its PID
	// namespace. Nonce is the new one, under which the next child runs. It follows a
	// Welcome if that was so between the hello and then.
	Empty Type = "empty"
	// Stopping says that the container was asked to end (SIGTERM or the like):
	// the monitor hands over and then sends Exit.
	Stopping Type = "stopping"
	// Exit asks init to kill all but itself and to end the container.
	Exit Type = "exit"
	// Dump asks init to write down what the processes of its container are doing: ID,
	// Dump, Reason. Dumped answers each, also on a later connection.
	Dump Type = "dump"
	// Dumped says how a Dump ended: ID as in Dump, File and Bytes of what was written,
	// Reason why that is nothing, or not all.
	Dumped Type = "dumped"
)

// DumpWaitNanos is the longest that a Kill waits for a dump.
const DumpWaitNanos = 150_000_000

const (
	// MaxProcesses is how many processes a Dump can name. With names of MaxProcessName
	// bytes it still fits a line.
	MaxProcesses = 32
	// MaxProcessName is the longest name of a process, in bytes of printable ASCII
	// without " \ < > &: JSON writes each as it is.
	MaxProcessName = 63
)

// Process is a process of the container: by Name, by PID, or by both, which then
// must agree.
type Process struct {
	Name string `json:"name,omitempty"`
	// PID in the PID namespace of the container.
	PID uint32 `json:"pid,omitempty"`
}

// DumpOrder says what a dump is about. Why is in Reason of the Message.
type DumpOrder struct {
	// Resource is its name.
	Resource string `json:"resource"`
	// Processes to look at; none means all of the container.
	Processes []Process `json:"processes,omitempty"`
	// More is how many processes were left out, because a message is bounded.
	More int `json:"more,omitempty"`
	// Core asks for the memory of the processes besides.
	Core bool `json:"core,omitempty"`
}

// Message is one line. Which fields count is said at the Types.
type Message struct {
	Type    Type `json:"type"`
	Version int  `json:"version,omitempty"`
	// Nonce names the period between two moments at which the container was
	// proven empty: one child process, in other words.
	Nonce string `json:"nonce,omitempty"`
	// BootID is /proc/sys/kernel/random/boot_id.
	BootID string `json:"bootID,omitempty"`
	// BoottimeNanos is CLOCK_BOOTTIME as the sender read it just now.
	BoottimeNanos int64 `json:"boottimeNanos,omitempty"`
	// Secret proves to a restarted monitor that this is the init it knew.
	Secret string `json:"secret,omitempty"`
	// Epoch is the epoch under which the guard was set.
	Epoch int64 `json:"epoch,omitempty"`
	// G1 is the soft guard, an absolute CLOCK_BOOTTIME in nanoseconds, at which
	// init sends its child SIGTERM.
	G1 int64 `json:"g1,omitempty"`
	// G2 is the hard guard, an absolute CLOCK_BOOTTIME in nanoseconds, at which
	// init kills all but itself.
	G2 int64 `json:"g2,omitempty"`
	// Reason is for people: why a connection was refused, which signal came.
	Reason string `json:"reason,omitempty"`
	// AfterDump lets a Kill wait for the dump that is under way.
	AfterDump bool `json:"afterDump,omitempty"`
	// ID names a dump, and comes back in Dumped.
	ID string `json:"id,omitempty"`
	// Dump is set for a Dump.
	Dump *DumpOrder `json:"dump,omitempty"`
	// File is the name of what was written in the folder of dumps, Bytes its size,
	// that of a core file included.
	File  string `json:"file,omitempty"`
	Bytes int64  `json:"bytes,omitempty"`
}

// ErrTooLong is returned by Reader.Read for a line of more than MaxLine bytes.
var ErrTooLong = errors.New("guard message longer than the limit")

// Agree returns the version to speak with one that speaks theirs and older ones;
// false if there is none.
func Agree(theirs int) (version int, ok bool) {
	version = min(theirs, Version)
	return version, version >= Oldest
}

// Reader reads messages from a stream.
type Reader struct{ in *bufio.Reader }

// NewReader returns a Reader whose memory is bounded by MaxLine.
func NewReader(r io.Reader) *Reader { return &Reader{in: bufio.NewReaderSize(r, MaxLine)} }

// Read returns the next message, io.EOF at the end, ErrTooLong or a syntax error.
func (r *Reader) Read() (Message, error) {
	line, err := r.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return Message{}, ErrTooLong
	}
	if err != nil {
		return Message{}, err
	}
	var m Message
	if err := json.Unmarshal(line, &m); err != nil {
		return Message{}, fmt.Errorf("guard message: %w", err)
	}
	return m, nil
}

// Write sends m as one line in one call, so that concurrent writers under one
// lock never interleave.
func Write(w io.Writer, m Message) error {
	line, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("guard message %s: %w", m.Type, err)
	}
	if len(line)+1 > MaxLine {
		return fmt.Errorf("guard message %s: %w", m.Type, ErrTooLong)
	}
	_, err = w.Write(append(line, '\n'))
	return err
}
