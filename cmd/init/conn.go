// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"syscall"

	guardv1 "github.com/understudy-dev/understudy/api/guard/v1"
)

// maxUnsent is how much may wait for a monitor that does not read, before the
// connection is given up. What init sends is an answer to what it was sent, so
// a monitor gets there only by sending without ever reading.
const maxUnsent = 16 * guardv1.MaxLine

// conn is the connection to the monitor. No call on it ever blocks. The zero
// conn is closed.
type conn struct {
	fd     int
	in     [guardv1.MaxLine]byte
	inLen  int
	unsent bytes.Buffer
}

func (c *conn) open() bool { return c.fd > 0 }

// dial connects to a listening unix socket.
func (c *conn) dial(path string) error {
	c.close()
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("create a socket: %w", err)
	}
	// A unix socket connects at once or not at all.
	if err := syscall.Connect(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		_ = syscall.Close(fd)
		return fmt.Errorf("connect to %s: %w", path, err)
	}
	c.fd = fd
	return nil
}

func (c *conn) close() {
	if c.open() {
		_ = syscall.Close(c.fd)
	}
	c.fd, c.inLen = 0, 0
	c.unsent.Reset()
}

// send sends m, or keeps what the socket does not take.
func (c *conn) send(m guardv1.Message) error {
	if err := guardv1.Write(&c.unsent, m); err != nil {
		return err
	}
	return c.flush()
}

// flush sends what was kept.
func (c *conn) flush() error {
	for c.unsent.Len() > 0 {
		n, err := syscall.SendmsgN(c.fd, c.unsent.Bytes(), nil, nil, syscall.MSG_NOSIGNAL)
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN && c.unsent.Len() <= maxUnsent:
			return nil
		case err == syscall.EAGAIN:
			return errors.New("the monitor does not read its messages")
		case err != nil:
			return err
		default:
			c.unsent.Next(n)
		}
	}
	return nil
}

// read reads once. It returns io.EOF at the end, and nil if there is nothing now.
func (c *conn) read() error {
	if c.inLen == len(c.in) {
		return guardv1.ErrTooLong
	}
	n, err := syscall.Read(c.fd, c.in[c.inLen:])
	switch {
	case err == syscall.EINTR || err == syscall.EAGAIN:
		return nil
	case err != nil:
		return err
	case n == 0:
		return io.EOF
	}
	c.inLen += n
	return nil
}

// next takes one message out of what was read.
func (c *conn) next() (m guardv1.Message, ok bool, err error) {
	line, rest, ok := bytes.Cut(c.in[:c.inLen], []byte{'\n'})
	if !ok {
		return m, false, nil
	}
	err = json.Unmarshal(line, &m)
	c.inLen = copy(c.in[:], rest)
	if err != nil {
		return m, false, fmt.Errorf("guard message: %w", err)
	}
	return m, true, nil
}
