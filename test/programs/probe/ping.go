// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net"
	"time"
)

// ping asks once, over a connection of its own, and wants the answer in time.
func ping(ctx context.Context, address string, timeout time.Duration) error {
	deadline := time.Now().Add(timeout)
	dialer := net.Dialer{Deadline: deadline}
	connection, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer connection.Close()
	// 200 connections a second would fill the table of ports with ones that wait
	// for their end: reset them instead.
	if tcp, ok := connection.(*net.TCPConn); ok {
		if err := tcp.SetLinger(0); err != nil {
			return err
		}
	}
	if err := connection.SetDeadline(deadline); err != nil {
		return err
	}
	if _, err := connection.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	const want = "+PONG"
	answer := make([]byte, 0, 64)
	for len(answer) < len(want) {
		n, err := connection.Read(answer[len(answer):cap(answer)])
		if err != nil {
			return err
		}
		answer = answer[:len(answer)+n]
	}
	if string(answer[:len(want)]) != want {
		return fmt.Errorf("answered %q", answer)
	}
	return nil
}
