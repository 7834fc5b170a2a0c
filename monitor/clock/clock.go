// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package clock reads the clocks of the machine that ownership counts on, and
// wakes at absolute times of the one that counts suspended time.
package clock

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/understudy-dev/understudy/monitor/instant"
)

// Now reads the three clocks. They are read one after the other, so they differ
// by the time that takes, which is far below what anything here depends on.
func Now() instant.Instant {
	return instant.Instant{
		Boot: read(unix.CLOCK_BOOTTIME),
		Raw:  read(unix.CLOCK_MONOTONIC_RAW),
		Wall: read(unix.CLOCK_REALTIME),
	}
}

func read(id int32) int64 {
	var ts unix.Timespec
	// These clocks exist since Linux 2.6.39; the call cannot fail with a valid id.
	if err := unix.ClockGettime(id, &ts); err != nil {
		panic(fmt.Sprintf("clock_gettime(%d): %v", id, err))
	}
	return ts.Nano()
}

// BootID identifies this boot of the node: readings of CLOCK_BOOTTIME mean
// nothing in another one.
func BootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("reading the boot id: %w", err)
	}
	return string(b[:max(0, len(b)-1)]), nil
}

// Alarm fires at absolute times of CLOCK_BOOTTIME, also when the machine was
// suspended over them.
type Alarm struct {
	// C receives after each time that was set and has come. It never blocks the
	// alarm: one pending value is enough.
	C    <-chan struct{}
	file *os.File
}

// NewAlarm makes an alarm that lives until ctx ends.
func NewAlarm(ctx context.Context) (*Alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_BOOTTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("timerfd_create: %w", err)
	}
	c := make(chan struct{}, 1)
	a := &Alarm{C: c, file: os.NewFile(uintptr(fd), "timerfd")}
	context.AfterFunc(ctx, func() { _ = a.file.Close() })
	go func() {
		var buf [8]byte
		for {
			if _, err := a.file.Read(buf[:]); err != nil {
				return
			}
			if binary.NativeEndian.Uint64(buf[:]) > 0 {
				select {
				case c <- struct{}{}:
				default:
				}
			}
		}
	}()
	return a, nil
}

// Set replaces the time; 0 disarms. A time in the past fires at once.
func (a *Alarm) Set(boot int64) error {
	var spec unix.ItimerSpec
	if boot != 0 {
		spec.Value = unix.NsecToTimespec(max(boot, 1))
	}
	conn, err := a.file.SyscallConn()
	if err != nil {
		return fmt.Errorf("alarm: %w", err)
	}
	var set error
	err = conn.Control(func(fd uintptr) {
		set = unix.TimerfdSettime(int(fd), unix.TFD_TIMER_ABSTIME, &spec, nil)
	})
	return errors.Join(err, set)
}
