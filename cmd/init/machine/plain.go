// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"fmt"
	"syscall"
)

// Plain keeps one child running for ever, without a guard. It never gives up:
// it runs the monitor, and the wait before kubelet's second restart would be
// longer than a lease lasts.
type Plain struct {
	out      []Action
	restarts restarts
	child    bool
	started  int64
	startAt  int64
	pause    int64
	// ending is the signal after which the child's end is init's end.
	ending syscall.Signal
}

// NewPlain returns a Plain that starts its child at the first Tick, at now.
func NewPlain(now int64) *Plain {
	return &Plain{out: make([]Action, 0, 8), startAt: now}
}

// Deadline implements Machine.
func (p *Plain) Deadline() int64 { return p.startAt }

// Step implements Machine.
func (p *Plain) Step(now int64, e Event) []Action {
	p.out = p.out[:0]
	switch e.Kind {
	case Signalled:
		p.signalled(e)
	case ChildDied:
		p.child = false
		if p.ending != 0 {
			p.do(Action{Kind: Exit, Code: e.Status})
			break
		}
		p.pause, _ = p.restarts.died(now, p.started)
		p.do(Action{Kind: KillAll})
		p.do(Action{Kind: Log, Text: "the child " + e.Text + ": starting it again"})
	case StartFailed:
		p.child = false
		p.do(Action{Kind: Log, Text: "cannot start the child: " + e.Text})
		if e.Status != 0 {
			p.do(Action{Kind: Exit, Code: e.Status})
			break
		}
		p.pause, _ = p.restarts.died(now, p.started)
		p.startAt = now + p.pause
	case Emptied:
		// Proven or not: what the child left behind is no reason to keep the
		// monitor waiting.
		p.startAt = now + p.pause
	}
	if p.startAt != 0 && now >= p.startAt {
		p.startAt, p.child, p.started = 0, true, now
		p.do(Action{Kind: Start})
	}
	return p.out
}

func (p *Plain) signalled(e Event) {
	switch e.Signal {
	case syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT:
		p.ending = e.Signal
		if !p.child {
			p.do(Action{Kind: Log, Text: fmt.Sprintf("%s while no child runs: exiting", e.Text)})
			p.do(Action{Kind: Exit, Code: 128 + int(e.Signal)})
			p.startAt = 0
			return
		}
	}
	if p.child {
		p.do(Action{Kind: SignalChild, Signal: e.Signal})
	}
}

func (p *Plain) do(a Action) { p.out = append(p.out, a) }
