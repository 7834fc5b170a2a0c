// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// process is the provider, started by the suite.
type process struct {
	cmd *exec.Cmd
	// cancel ends a provider that is served in this process.
	cancel context.CancelFunc
	exited chan struct{}
	err    error
}

// launch starts the provider; nil if somebody else has.
func launch(c Config, providerSocket, monitorSocket string) (*process, error) {
	p := &process{exited: make(chan struct{})}
	switch {
	case c.Serve != nil:
		ctx, cancel := context.WithCancel(context.Background())
		p.cancel = cancel
		go func() {
			p.err = c.Serve(ctx, providerSocket, monitorSocket)
			close(p.exited)
		}()
		return p, nil
	case len(c.Command) == 0:
		return nil, nil
	}
	// Not ended by a context: a case ends it, by its id, as it needs it.
	p.cmd = exec.CommandContext(context.Background(), c.Command[0], c.Command[1:]...)
	p.cmd.Env = append(os.Environ(), c.Environment...)
	p.cmd.Env = append(p.cmd.Env,
		"UNDERSTUDY_PROVIDER_SOCKET="+providerSocket, "UNDERSTUDY_MONITOR_SOCKET="+monitorSocket)
	output := c.Output
	if output == nil {
		output = io.Discard
	}
	p.cmd.Stdout, p.cmd.Stderr = output, output
	p.cmd.WaitDelay = time.Second // programs that it left may hold the pipe
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		if errors.Is(p.err, exec.ErrWaitDelay) {
			p.err = nil
		}
		close(p.exited)
	}()
	return p, nil
}

// gone says whether it has ended.
func (p *process) gone() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// kill ends it at once and waits for its end.
func (p *process) kill() {
	if p.cancel != nil {
		p.cancel()
	} else {
		_ = p.cmd.Process.Kill()
	}
	<-p.exited
}

// stop asks it to end, and kills it if it does not within a time. It says whether it did.
func (p *process) stop(within time.Duration) bool {
	if p.cancel != nil {
		p.cancel()
	} else {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
	}
	select {
	case <-p.exited:
		return true
	case <-time.After(within):
	}
	if p.cmd != nil {
		p.kill()
	}
	return false
}
