// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net"
	"time"
)

// The ports from which to connect, one after the other. While a node is cut off,
// what tracks connections for Services remembers for two minutes where a first packet
// went that nobody answered, and sends there what comes from the same port again.
// Going round takes longer than that, so that each attempt is one of a new client.
const (
	firstPort = 10000
	ports     = 50000
)

// portOf is the port of the nth attempt.
func portOf(nth int64) int { return firstPort + int(nth%ports) }

// ping asks once, over a connection of its own from a port (0: any), and wants the
// answer in time.
func ping(ctx context.Context, address string, port int, timeout time.Duration) error {
	deadline := time.Now().Add(timeout)
	dialer := net.Dialer{Deadline: deadline, LocalAddr: &net.TCPAddr{Port: port}}
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
