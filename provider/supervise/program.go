// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// startTimeout bounds how long a shim may take to say that the program runs.
	startTimeout = 10 * time.Second
	// silence is how long a shim may take to answer a kill before it is killed
	// itself. It answers within 25 ms unless it is stopped or starved.
	silence = 150 * time.Millisecond
	// hearing is how long a shim may leave a command in the socket that does not fit
	// into it, before it is killed.
	hearing = 100 * time.Millisecond
)

// errDeaf is why a command did not reach a shim that still lives.
var errDeaf = errors.New("the program's supervisor did not listen and was killed")

// Program is a program that was started, with all that came from it.
type Program struct {
	// PID is its process id.
	PID int

	family *Family
	shim   *os.Process
	conn   net.Conn
	out    *writer
	exited chan struct{}
	empty  chan struct{}
	heard  chan struct{} // something was said about a kill

	mu     sync.Mutex
	exit   Exit
	left   []string
	checks map[int64]chan string
	nextID int64
}

// Start runs a program. It returns once the kernel runs it, or knows that it cannot.
func (f *Family) Start(ctx context.Context, spec Spec) (*Program, error) {
	if len(spec.Command) == 0 || spec.Command[0] == "" {
		return nil, errors.New("no command")
	}
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socketpair: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "shim"), os.NewFile(uintptr(fds[1]), "provider")
	conn, err := net.FileConn(ours)
	_ = ours.Close()
	if err != nil {
		_ = theirs.Close()
		return nil, err
	}
	shim, err := f.fork(theirs)
	_ = theirs.Close()
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	p := &Program{
		family: f,
		shim:   shim,
		conn:   conn,
		out:    &writer{conn: conn},
		exited: make(chan struct{}),
		empty:  make(chan struct{}),
		heard:  make(chan struct{}, 1),
		checks: map[int64]chan string{},
	}
	started := make(chan error, 1)
	go p.read(started) //nolint:gosec // it sweeps up after the shim, whatever becomes of the call
	// A shim that is gone is seen by read. This one may take its time: it is only just starting.
	go func() { _ = p.send(command{Start: &spec}, startTimeout) }()
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	select {
	case err = <-started:
	case <-ctx.Done():
		err = fmt.Errorf("the supervisor did not start the program: %w", ctx.Err())
	}
	if err != nil {
		_ = shim.Kill() // if it has not ended; the sweep that follows is the rest
		<-p.empty
		return nil, err
	}
	return p, nil
}

// send tells the shim something. If the shim does not take it in time, it is stopped or
// hangs, and half a command may be on its way to it: then it is killed, and read sweeps
// up what it leaves.
func (p *Program) send(c command, within time.Duration) error {
	err := p.out.sendWithin(c, within)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		_ = p.shim.Kill()
		return errDeaf
	}
	return err
}

// read hears the shim out, to its end.
func (p *Program) read(started chan<- error) {
	proven := false
	for d := json.NewDecoder(p.conn); ; {
		var e event
		if d.Decode(&e) != nil {
			break
		}
		switch {
		case e.Started != 0:
			p.PID = e.Started
			started <- nil
		case e.Failed != "":
			started <- errors.New(e.Failed)
		case e.Exited != nil:
			p.ended(*e.Exited)
		case e.Checked != nil:
			p.checked(e.Checked.ID, e.Checked.Fault)
		case e.Left != nil:
			p.say(e.Left)
		case e.Empty:
			proven = true
		}
	}
	// The shim has ended or is about to, unless it was broken by something.
	_ = p.conn.Close()
	if !proven {
		_ = p.shim.Kill()
	}
	p.family.reap(p.shim)
	select {
	case started <- errors.New("the supervisor died before the program ran"):
	default:
	}
	p.ended(Exit{Lost: true}) // unless it is known
	for id := range p.open() {
		p.checked(id, "the program does not run")
	}
	for !proven {
		// Its orphans are ours now. As long as one is left, empty stays open.
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		err := p.family.sweep(ctx)
		cancel()
		if proven = err == nil; !proven {
			p.say([]string{err.Error()})
		}
	}
	close(p.empty)
}

// ended takes the first word about how the program ended.
func (p *Program) ended(exit Exit) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.exited:
	default:
		p.exit = exit
		close(p.exited)
	}
}

func (p *Program) say(left []string) {
	p.mu.Lock()
	p.left = left
	p.mu.Unlock()
	select {
	case p.heard <- struct{}{}:
	default:
	}
}

// Exited is closed once the program itself has ended.
func (p *Program) Exited() <-chan struct{} { return p.exited }

// Exit is how it ended, after Exited.
func (p *Program) Exit() Exit {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.exit
}

// Running says whether the program itself still runs.
func (p *Program) Running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// Empty is closed once it is proven that nothing of the program is left.
func (p *Program) Empty() <-chan struct{} { return p.empty }

// Left names what a kill has not ended yet.
func (p *Program) Left() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.left, ", ")
}

// Stop asks the program to end by a signal; all that is left after grace, or when
// the program has ended, is killed. It does not wait: see Empty.
func (p *Program) Stop(signal syscall.Signal, grace time.Duration) {
	_ = p.send(command{Stop: &stop{Signal: signal, GraceMilliseconds: grace.Milliseconds()}}, hearing)
}

// Kill kills the program with all that came from it and waits for the proof. The
// error names what is left.
func (p *Program) Kill(ctx context.Context) error {
	select {
	case <-p.heard: // about an earlier kill
	default:
	}
	quiet := time.NewTimer(silence)
	defer quiet.Stop()
	go func() { _ = p.send(command{Kill: true}, hearing) }() // a shim that is gone is seen by read
	for {
		select {
		case <-p.empty:
			return nil
		case <-p.heard:
			quiet.Stop()
		case <-quiet.C:
			// The shim is stopped or hangs: its tree is ours to kill then.
			_ = p.shim.Kill()
		case <-ctx.Done():
			left := p.Left()
			if left == "" {
				left = fmt.Sprintf("process %d or what it started", p.PID)
			}
			return fmt.Errorf("not all is gone: %s", left)
		}
	}
}

// Check runs a command beside the program, in its environment, as part of its
// tree. Nil means that it ended with code 0 in time.
func (p *Program) Check(ctx context.Context, argv []string, timeout time.Duration) error {
	answer := make(chan string, 1)
	p.mu.Lock()
	p.nextID++
	id := p.nextID
	p.checks[id] = answer
	p.mu.Unlock()
	c := command{Check: &check{ID: id, Command: argv, TimeoutMilliseconds: timeout.Milliseconds()}}
	go func() {
		switch err := p.send(c, hearing); {
		case errors.Is(err, errDeaf):
			p.checked(id, err.Error())
		case err != nil:
			p.checked(id, "the program does not run")
		}
	}()
	select {
	case fault := <-answer:
		if fault != "" {
			return errors.New(fault)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// checked hands a check's result to whoever waits for it.
func (p *Program) checked(id int64, fault string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if answer, ok := p.checks[id]; ok {
		delete(p.checks, id)
		answer <- fault
	}
}

// open lists the checks under way.
func (p *Program) open() map[int64]bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	ids := make(map[int64]bool, len(p.checks))
	for id := range p.checks {
		ids[id] = true
	}
	return ids
}
