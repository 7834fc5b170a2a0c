// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// socketFD is where a shim finds its end of the socket pair.
	socketFD = 3
	// firstRound and lastRound are the pauses between two rounds of killing.
	firstRound = time.Millisecond
	lastRound  = 50 * time.Millisecond
	// patience is how long a kill may take before the shim names what is left.
	patience = 25 * time.Millisecond
)

// shim supervises one program. One goroutine, locked to its thread, forks, reaps,
// kills and decides: nothing can be forked between the kernel's answer "no child"
// and what follows from it. The thread matters because the parent death signal
// comes when the thread that forked ends, not the process.
type shim struct {
	out    *writer
	spec   *Spec
	dead   chan os.Signal // SIGCHLD
	late   chan int       // checks whose time is up, by process id
	checks map[int]*running
	// program is its process id, 0 before and after its life.
	program int
	started bool
	// killing: everything has to go.
	killing bool
	since   time.Time // when killing began
	pause   time.Duration
	round   *time.Timer
	grace   *time.Timer
	said    string // what was last said to be left
}

// Main is the shim: what a provider runs when it is started again as one. The
// result is the exit code.
func Main() int {
	runtime.LockOSThread()
	// A terminal's or an operator's signals are not for the shim: only the
	// provider, or its death, ends it. Notify rather than Ignore, because ignored
	// signals would stay ignored in the program.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT)
	syscall.CloseOnExec(socketFD)
	file := os.NewFile(socketFD, "provider")
	conn, err := net.FileConn(file)
	if err != nil {
		fmt.Fprintln(os.Stderr, "supervise is started by a provider, not by hand:", err)
		return 2
	}
	_ = file.Close()
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		_ = (&writer{conn: conn}).send(event{Failed: fmt.Sprintf("become a subreaper: %v", err)})
		return 1
	}
	s := &shim{
		out:    &writer{conn: conn},
		dead:   make(chan os.Signal, 1),
		late:   make(chan int),
		checks: map[int]*running{},
		round:  time.NewTimer(time.Hour),
		grace:  time.NewTimer(time.Hour),
	}
	s.round.Stop()
	s.grace.Stop()
	signal.Notify(s.dead, syscall.SIGCHLD)
	commands := make(chan command)
	go func() {
		defer close(commands)
		for d := json.NewDecoder(conn); ; {
			var c command
			if d.Decode(&c) != nil {
				return
			}
			commands <- c
		}
	}()
	s.loop(commands)
	return 0
}

// loop runs until nothing is left.
func (s *shim) loop(commands chan command) {
	for {
		select {
		case c, ok := <-commands:
			if !ok {
				// The provider is gone. Nobody hears us any more; clean up.
				commands = nil
				c.Kill = true
			}
			s.obey(c)
		case <-s.dead:
		case <-s.grace.C:
			s.kill()
		case <-s.round.C:
			s.strike()
		case pid := <-s.late:
			s.expire(pid)
		}
		if s.reap() && (s.started || s.killing) {
			_ = s.out.send(event{Empty: true})
			return
		}
	}
}

func (s *shim) obey(c command) {
	switch {
	case c.Start != nil && !s.started:
		s.start(c.Start)
	case c.Kill && s.killing:
		s.said, s.pause = "", firstRound // say again what is left
		s.strike()
	case c.Kill:
		s.kill()
	case c.Stop != nil && s.program != 0 && !s.killing:
		if err := syscall.Kill(s.program, c.Stop.Signal); err != nil {
			s.kill()
			return
		}
		s.grace.Reset(time.Duration(c.Stop.GraceMilliseconds) * time.Millisecond)
	case c.Check != nil:
		s.check(c.Check)
	}
}

// start runs the program.
func (s *shim) start(spec *Spec) {
	s.started = true
	s.spec = spec
	null, err := os.Open(os.DevNull)
	if err == nil {
		defer null.Close()
		s.program, err = s.fork(spec.Command, []uintptr{null.Fd(), 1, 2})
	}
	if err != nil {
		_ = s.out.send(event{Failed: err.Error()})
		return
	}
	_ = s.out.send(event{Started: s.program})
}

// fork starts a program in a session of its own.
func (s *shim) fork(argv []string, files []uintptr) (int, error) {
	path, err := lookPath(argv[0], s.spec)
	if err != nil {
		return 0, err
	}
	pid, err := syscall.ForkExec(path, argv, &syscall.ProcAttr{
		Dir:   s.spec.Dir,
		Env:   s.spec.Env,
		Files: files,
		Sys:   &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		return 0, fmt.Errorf("run %s: %w", path, err)
	}
	return pid, nil
}

// lookPath finds a program as execvp does, in the program's own PATH.
func lookPath(name string, spec *Spec) (string, error) {
	if spec.Dir != "" {
		// Told apart here, because the kernel says the same for both.
		if info, err := os.Stat(spec.Dir); err != nil || !info.IsDir() {
			return "", fmt.Errorf("the working directory %s is not a directory here", spec.Dir)
		}
	}
	if strings.Contains(name, "/") {
		return name, nil
	}
	path := ""
	for _, v := range spec.Env {
		if value, ok := strings.CutPrefix(v, "PATH="); ok {
			path = value
		}
	}
	for dir := range strings.SplitSeq(path, ":") {
		file := filepath.Join(dir, name)
		if info, err := os.Stat(file); dir != "" && err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	return "", fmt.Errorf("no program %q in PATH %q: give its whole path", name, path)
}

// reap takes what has died and says whether the kernel knows no child at all:
// then, and only then, nothing of the tree is left.
func (s *shim) reap() (empty bool) {
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, syscall.WNOHANG, nil)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.ECHILD:
			return true
		case err != nil || pid <= 0:
			return false
		}
		if r := s.checks[pid]; r != nil {
			delete(s.checks, pid)
			r.end(s.out, exitOf(ws))
		}
		if pid == s.program {
			s.program = 0
			exit := exitOf(ws)
			_ = s.out.send(event{Exited: &exit})
			s.kill() // what it left behind
		}
	}
}

func exitOf(ws syscall.WaitStatus) Exit {
	if ws.Signaled() {
		return Exit{Signal: ws.Signal()}
	}
	return Exit{Code: ws.ExitStatus()}
}

// kill makes everything go, and keeps at it until it has.
func (s *shim) kill() {
	if s.killing {
		return
	}
	s.killing = true
	s.since = time.Now()
	s.pause = firstRound
	s.grace.Stop()
	s.strike()
}

// strike is one round of killing. It names what is left if that takes long.
func (s *shim) strike() {
	if s.program > 0 {
		// Needs no /proc, and is in one step.
		_ = syscall.Kill(-s.program, syscall.SIGKILL)
	}
	all, err := processes()
	self := os.Getpid()
	tree := below(all, func(p proc) bool { return p.parent == self })
	left := killAll(tree)
	if err != nil {
		left = append(left, fmt.Sprintf("cannot look for processes: %v", err))
	}
	if time.Since(s.since) > patience || len(left) > 0 {
		for _, p := range tree {
			if !p.dead() && len(left) == 0 {
				left = append(left, p.String())
			}
		}
		if text := strings.Join(left, ", "); len(left) > 0 && text != s.said {
			s.said = text
			_ = s.out.send(event{Left: left})
		}
	}
	s.round.Reset(s.pause)
	s.pause = min(2*s.pause, lastRound)
}
