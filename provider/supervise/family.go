// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Family is all that a provider process runs. There is one per process.
type Family struct {
	// argv starts the shim.
	argv []string

	mu sync.Mutex
	// shims are the children that belong here. mu is held while one is forked, so
	// that it is never taken for an orphan.
	shims map[int]bool
}

// NewFamily makes the process a child subreaper, so that the tree of a shim that
// was killed ends up here. args are what this program has to be started with to
// run Main.
func NewFamily(args ...string) (*Family, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("become a subreaper: %w", err)
	}
	return &Family{argv: append([]string{self}, args...), shims: map[int]bool{}}, nil
}

// fork starts a shim with its end of the socket pair.
func (f *Family) fork(socket *os.File) (*os.Process, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	shim, err := os.StartProcess(f.argv[0], f.argv, &os.ProcAttr{
		Files: []*os.File{null, os.Stdout, os.Stderr, socket},
		// One thread's worth of Go is plenty for what a shim does.
		Env: append(os.Environ(), "GOMAXPROCS=1"),
		// A group of its own: what is sent to the provider's group is not for it.
		Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		return nil, fmt.Errorf("start the supervisor: %w", err)
	}
	f.shims[shim.Pid] = true
	return shim, nil
}

// reap waits for a shim that has ended, or is about to.
func (f *Family) reap(shim *os.Process) {
	_, _ = shim.Wait()
	f.mu.Lock()
	delete(f.shims, shim.Pid)
	f.mu.Unlock()
}

// sweep kills every child that is not a shim, and all below it, until there is
// none. Such children exist only if a shim was killed.
func (f *Family) sweep(ctx context.Context) error {
	clean := 0
	for pause := firstRound; ; pause = min(2*pause, lastRound) {
		left, err := f.sweepOnce()
		switch {
		case err != nil:
			clean = 0
		case len(left) == 0:
			// /proc is not read in one step; what moved while it was read is
			// seen the second time.
			if clean++; clean == 2 {
				return nil
			}
			continue
		default:
			clean = 0
			err = fmt.Errorf("left: %s", strings.Join(left, ", "))
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// sweepOnce is one round: it names what it found.
func (f *Family) sweepOnce() ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	all, err := processes()
	if err != nil {
		return nil, err
	}
	self := os.Getpid()
	orphans := below(all, func(p proc) bool { return p.parent == self && !f.shims[p.pid] })
	cannot := killAll(orphans)
	var left []string
	for _, p := range orphans {
		if p.parent == self && p.dead() {
			_, _ = syscall.Wait4(p.pid, nil, syscall.WNOHANG, nil)
			continue
		}
		left = append(left, p.String())
	}
	if len(cannot) > 0 {
		return slices.Clip(cannot), nil
	}
	return left, nil
}
