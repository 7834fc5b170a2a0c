// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package scene

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// Pause stops every process of some containers, init as well, as a machine that stands
// still would. It waits until none runs, whatever they have started meanwhile.
func (c *Cluster) Pause(ctx context.Context, containers ...Container) error {
	return c.Wait(ctx, "all processes to stand still", 10*time.Second, func(context.Context) (bool, string, error) {
		running := 0
		for _, container := range containers {
			all, err := container.Processes()
			if err != nil {
				return false, "", err
			}
			for _, p := range all {
				if _, state := stat(p.PID); state != 'T' {
					running++
					if err := Signal(p.PID, syscall.SIGSTOP); err != nil && !errors.Is(err, syscall.ESRCH) {
						return false, "", err
					}
				}
			}
		}
		return running == 0, fmt.Sprintf("%d run", running), nil
	})
}

// Resume lets those go on that are meant.
func (c Container) Resume(meant func(Process) bool) error {
	all, err := c.Processes()
	if err != nil {
		return err
	}
	for _, p := range all {
		if meant(p) {
			if err := Signal(p.PID, syscall.SIGCONT); err != nil && !errors.Is(err, syscall.ESRCH) {
				return err
			}
		}
	}
	return nil
}
