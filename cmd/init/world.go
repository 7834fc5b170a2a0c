// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"
	"unsafe"

	"github.com/understudy-dev/understudy/cmd/init/machine"
)

// world is all that a machine acts upon, and the loop that turns what happens
// into events. One goroutine runs it, on a thread of its own, and waits in one
// place; nothing that it calls waits for another process.
type world struct {
	log    *logger
	child  *child
	procs  *procs // nil without a guard
	socket string

	epoll   int
	signals int
	timer   timer
	conn    conn
	dumper  *dumper // nil without a guard

	machine machine.Machine
	queue   []machine.Event
	ready   [8]syscall.EpollEvent
}

// newWorld takes everything that could be short later.
func newWorld(log *logger, args []string, guardDir string) (*world, error) {
	w := &world{log: log, child: newChild(args), queue: make([]machine.Event, 0, 16)}
	var err error
	if guardDir != "" {
		if w.procs, err = openProcs(); err != nil {
			return nil, err
		}
		w.socket = socketPath(guardDir)
		w.child.nonce = newNonce()
		hideFromChild()
		if w.dumper, err = newDumper(); err != nil {
			return nil, err
		}
	}
	if w.timer, err = newTimer(); err != nil {
		return nil, err
	}
	if w.signals, err = watchSignals(); err != nil {
		return nil, err
	}
	if w.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("create an epoll set: %w", err)
	}
	for _, fd := range []int{w.timer.fd, w.signals} {
		if err := w.watch(syscall.EPOLL_CTL_ADD, fd, syscall.EPOLLIN); err != nil {
			return nil, err
		}
	}
	if w.dumper != nil {
		if err := w.watch(syscall.EPOLL_CTL_ADD, w.dumper.woken, syscall.EPOLLIN); err != nil {
			return nil, err
		}
	}
	unblockSignals()
	warmThreads()
	return w, nil
}

// run never returns.
func (w *world) run(m machine.Machine) {
	w.machine = m
	w.step(machine.Event{Kind: machine.Tick})
	for {
		if err := w.timer.arm(w.machine.Deadline()); err != nil {
			w.fail(err)
		}
		n, err := syscall.EpollWait(w.epoll, w.ready[:], -1)
		if err != nil && err != syscall.EINTR {
			w.fail(fmt.Errorf("wait for events: %w", err))
		}
		w.turn(w.ready[:max(n, 0)])
	}
}

// turn handles what happened: time first, then deaths and signals, then messages.
// A message must not get ahead of the deadline that it comes too late for.
func (w *world) turn(ready []syscall.EpollEvent) {
	for _, r := range ready {
		if int(r.Fd) == w.timer.fd {
			w.timer.fired()
			w.step(machine.Event{Kind: machine.Tick})
		}
	}
	for _, r := range ready {
		if int(r.Fd) == w.signals {
			w.takeSignals()
		}
	}
	if ws, died := w.child.reap(); died {
		code, text := describe(ws)
		w.step(machine.Event{Kind: machine.ChildDied, Status: code, Text: text})
	}
	for _, r := range ready {
		if w.dumper != nil && int(r.Fd) == w.dumper.woken {
			if m, ok := w.dumper.answer(); ok {
				w.step(machine.Event{Kind: machine.Dumped, Message: m})
			}
		}
	}
	for _, r := range ready {
		if w.conn.open() && int(r.Fd) == w.conn.fd {
			w.talk(r.Events)
		}
	}
}

func (w *world) takeSignals() {
	var buf [64]byte
	n, _ := syscall.Read(w.signals, buf[:])
	for _, b := range buf[:max(n, 0)] {
		if s := syscall.Signal(b); s != syscall.SIGCHLD {
			w.step(machine.Event{Kind: machine.Signalled, Signal: s, Text: signalName(s)})
		}
	}
}

// talk reads from and writes to the connection.
func (w *world) talk(events uint32) {
	if events&syscall.EPOLLOUT != 0 {
		w.sent(w.conn.flush())
	}
	var err error
	if events&^syscall.EPOLLOUT != 0 && w.conn.open() {
		err = w.conn.read()
	}
	// The machine may hang up at any message.
	for err == nil && w.conn.open() {
		m, ok, bad := w.conn.next()
		if bad != nil {
			err = bad
		}
		if !ok {
			break
		}
		w.step(machine.Event{Kind: machine.Received, Message: m})
	}
	if err != nil {
		w.lost(err)
	}
	w.step()
}

// lost gives the connection up and queues the event.
func (w *world) lost(err error) {
	w.conn.close()
	w.queue = append(w.queue, machine.Event{Kind: machine.Disconnected, Text: err.Error()})
}

// sent looks at the outcome of a send, and asks to be woken if something waits.
func (w *world) sent(err error) {
	if err == nil {
		events := uint32(syscall.EPOLLIN)
		if w.conn.unsent.Len() > 0 {
			events |= syscall.EPOLLOUT
		}
		err = w.watch(syscall.EPOLL_CTL_MOD, w.conn.fd, events)
	}
	if err != nil {
		w.lost(err)
	}
}

// step feeds the machine: the events, and those that its actions bring about.
func (w *world) step(events ...machine.Event) {
	w.queue = append(w.queue, events...)
	for len(w.queue) > 0 {
		e := w.queue[0]
		w.queue = w.queue[:copy(w.queue, w.queue[1:])]
		for _, a := range w.machine.Step(boottime(), e) {
			w.act(a)
		}
	}
}

// act carries out one action, and queues the event that answers it.
func (w *world) act(a machine.Action) {
	switch a.Kind {
	case machine.KillAll:
		// First, as the machine demands: no hello may go out under the nonce of
		// a child that is dead.
		w.queue = slices.Insert(w.queue, 0, w.killAll())
	case machine.SignalChild:
		w.child.signal(a.Signal)
	case machine.Start:
		if code, err := w.child.start(); err != nil {
			w.queue = append(w.queue, machine.Event{Kind: machine.StartFailed, Status: code, Text: err.Error()})
		}
	case machine.Dial:
		w.queue = append(w.queue, w.dial())
	case machine.Hangup:
		w.conn.close()
	case machine.Send:
		if w.conn.open() {
			w.sent(w.conn.send(a.Message))
		}
	case machine.Dump:
		w.dumper.begin(a.Message)
	case machine.Log:
		w.log.print(a.Text)
	case machine.Exit:
		w.exit(a.Code)
	}
}

func (w *world) killAll() machine.Event {
	e := machine.Event{Kind: machine.Emptied}
	w.child.pid = 0
	if w.procs == nil {
		killLeftovers()
		return e
	}
	w.dumper.end()
	err := killAll(w.procs)
	if err != nil {
		e.Text = err.Error()
		return e
	}
	e.Proven = true
	if w.child.nonce != "" {
		w.child.nonce = newNonce()
	}
	e.Nonce = w.child.nonce
	return e
}

func (w *world) dial() machine.Event {
	err := w.conn.dial(w.socket)
	if err == nil {
		if err = w.watch(syscall.EPOLL_CTL_ADD, w.conn.fd, syscall.EPOLLIN); err == nil {
			return machine.Event{Kind: machine.Connected}
		}
		w.conn.close()
	}
	return machine.Event{Kind: machine.DialFailed, Text: err.Error()}
}

func (w *world) watch(op, fd int, events uint32) error {
	if err := syscall.EpollCtl(w.epoll, op, fd, &syscall.EpollEvent{Events: events, Fd: int32(fd)}); err != nil {
		return fmt.Errorf("watch a descriptor: %w", err)
	}
	return nil
}

// fail ends init because it cannot do its work. With it ends the container.
func (w *world) fail(err error) {
	w.log.print(err.Error() + ": exiting")
	w.exit(1)
}

// exit closes the connection first: that, and the bound on a kill, is the
// monitor's proof that nothing is left.
func (w *world) exit(code int) {
	w.conn.close()
	w.log.flush()
	os.Exit(code)
}

// hideFromChild keeps programs of the same user from reading init's memory, in
// which the secret is, and from tracing it.
func hideFromChild() {
	const setDumpable, no = 4, 0
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, setDumpable, no, 0)
}

// warmThreads makes the runtime start the few threads that it will need while
// there is room for them: a fork bomb must not be able to keep it from one, for
// which it would end init.
func warmThreads() {
	const threads = 7
	done := make(chan struct{}, threads)
	for range threads {
		go func() {
			t := syscall.NsecToTimespec(int64(2 * time.Millisecond))
			_, _, _ = syscall.Syscall(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0)
			done <- struct{}{}
		}()
	}
	for range threads {
		<-done
	}
}
