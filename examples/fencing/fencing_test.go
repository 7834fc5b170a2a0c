// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package fencing

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// levels are how transactions may begin: a fence that holds under one alone is none.
var levels = []string{"READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"}

func begin(level string, epoch int) string {
	return fmt.Sprintf("BEGIN ISOLATION LEVEL %s;\nSELECT check_epoch(%d)", level, epoch)
}

func insert(epoch, n int) string {
	return fmt.Sprintf("INSERT INTO entries (epoch, n) VALUES (%d, %d)", epoch, n)
}

func announce(epoch int) string { return fmt.Sprintf("SELECT announce(%d)", epoch) }

// stale says whether a write was refused for its epoch. Under the stricter levels
// PostgreSQL says first that the row has changed.
func stale(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "stale epoch") || strings.Contains(err.Error(), "could not serialize"))
}

// later runs a statement that will have to wait.
func (s *session) later(statements string) chan error {
	done := make(chan error, 1)
	go func() {
		_, err := s.ask(statements)
		done <- err
	}()
	return done
}

// TestOrder: an announcement waits for a write that was let in, and is not overtaken by
// another; then it is read. A write that comes during an announcement is refused.
func TestOrder(t *testing.T) {
	t.Parallel()
	name := database(t)
	watch, first, second, next := connect(t, name), connect(t, name), connect(t, name), connect(t, name)
	for i, level := range levels {
		epoch := 10*i + 1
		watch.must(t, announce(epoch))
		first.must(t, begin(level, epoch))
		announced := next.later(announce(epoch + 1))
		watch.until(t, 1, waiting)
		overtaking := second.later(begin(level, epoch))
		watch.until(t, 2, waiting)
		first.must(t, insert(epoch, 1)+";\nCOMMIT")
		if err := <-announced; err != nil {
			t.Fatalf("%s: %v", level, err)
		}
		if n := next.count(t, fmt.Sprintf("SELECT count(*) FROM entries WHERE epoch = %d", epoch)); n != 1 {
			t.Errorf("%s: the new owner reads %d rows of the old one, want the one that was let in", level, n)
		}
		if err := <-overtaking; !stale(err) {
			t.Errorf("%s: a write that came during the announcement: %v", level, err)
		}
		second.must(t, "ROLLBACK")
		if _, err := next.ask(announce(epoch)); !stale(err) {
			t.Errorf("%s: a stale announcement: %v", level, err)
		}
		if _, err := next.ask(fmt.Sprintf("SELECT check_epoch(%d)", epoch+2)); !stale(err) {
			t.Errorf("%s: a write under an epoch that nobody announced: %v", level, err)
		}
		next.must(t, announce(epoch+1)) // again, after a restart in place
	}
}

// TestPausedTransaction: an owner that stops in the middle of a transaction, with its
// connection open, does not keep the next one out, and cannot go on.
func TestPausedTransaction(t *testing.T) {
	t.Parallel()
	name := database(t)
	paused, next := connect(t, name), connect(t, name)
	next.must(t, announce(1))
	paused.must(t, begin("READ COMMITTED", 1)+";\n"+insert(1, 1))
	next.must(t, announce(2))
	if _, err := paused.ask("COMMIT"); err == nil {
		t.Error("it went on with its transaction")
	}
	if n := next.count(t, "SELECT count(*) FROM entries"); n != 0 {
		t.Errorf("%d rows of the transaction that was broken off", n)
	}
}

// TestRace: owners follow each other while the old one writes by several connections.
// What a new owner has read of the old ones' rows stays all there is.
func TestRace(t *testing.T) {
	t.Parallel()
	for _, level := range levels {
		t.Run(strings.ReplaceAll(level, " ", ""), func(t *testing.T) {
			t.Parallel()
			read, there := race(t, database(t), level)
			if read != there {
				t.Errorf("%d stale rows were accepted", there-read)
			}
			if there == 0 {
				t.Error("nobody wrote anything: this proves nothing")
			}
		})
	}
}

// TestRaceWithoutLock: without its lock the same fence lets stale rows in. The race finds them.
func TestRaceWithoutLock(t *testing.T) {
	t.Parallel()
	read, there := race(t, database(t, " FOR SHARE"), "READ COMMITTED")
	if read == there {
		t.Error("no stale row in all rounds: the race proves nothing")
	}
	t.Logf("%d stale rows", there-read)
}

// race has owners follow each other. It adds up what each read of its
// predecessor's rows after its announcement, and what of them was there in the end.
func race(t *testing.T, name, level string) (read, there int) {
	t.Helper()
	const rounds = 40
	next := connect(t, name)
	writers := []*session{connect(t, name), connect(t, name), connect(t, name)}
	next.must(t, announce(1))
	deadline := time.Now().Add(patience) // of writers that never let an announcement in
	for epoch := 1; epoch <= rounds; epoch++ {
		wrote := make(chan struct{}, 10)
		var writing sync.WaitGroup
		for _, w := range writers {
			writing.Go(func() {
				for n := 1; time.Now().Before(deadline); n++ {
					// One by one, as by a program that does something in between.
					for _, one := range []string{begin(level, epoch), insert(epoch, n), "COMMIT"} {
						if _, err := w.ask(one); err != nil {
							if !stale(err) {
								t.Error(err)
							}
							_, _ = w.ask("ROLLBACK")
							return
						}
					}
					select {
					case wrote <- struct{}{}:
					default: // nobody waits for so many
					}
				}
				t.Error("nobody else gets a word in")
			})
		}
		for range rand.IntN(4) {
			select {
			case <-wrote:
			case <-time.After(patience):
			}
		}
		next.must(t, announce(epoch+1))
		rows := fmt.Sprintf("SELECT count(*) FROM entries WHERE epoch = %d", epoch)
		read += next.count(t, rows)
		writing.Wait()
		there += next.count(t, rows)
		if t.Failed() {
			break
		}
	}
	return read, there
}

// program is a writer.sh.
type program struct {
	*exec.Cmd
	said  bytes.Buffer
	ended chan error
}

func write(t *testing.T, database string, epoch int) *program {
	t.Helper()
	p := &program{Cmd: exec.CommandContext(t.Context(), "sh", "writer.sh"), ended: make(chan error, 1)}
	p.Env = append(client(database), fmt.Sprintf("UNDERSTUDY_EPOCH=%d", epoch))
	p.Stdout, p.Stderr = &p.said, &p.said
	p.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p.Cancel = func() error { return p.all(syscall.SIGKILL) }
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.Wait() }()
	return p
}

// all sends a signal to the program and all that it has started.
func (p *program) all(s syscall.Signal) error { return syscall.Kill(-p.Process.Pid, s) }

// refused waits for the end of a program that came too late.
func (p *program) refused(t *testing.T) {
	t.Helper()
	select {
	case err := <-p.ended:
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || !strings.Contains(p.said.String(), "stale epoch") {
			t.Errorf("the old owner ended with %v and said %q", err, p.said.String())
		}
	case <-time.After(patience):
		t.Error("the old owner goes on")
	}
}

// TestProgramReadsLast: the example's program goes on after what was let in before its
// announcement, which it waits for, and not after what it found when it started.
func TestProgramReadsLast(t *testing.T) {
	t.Parallel()
	name := database(t)
	old, log := connect(t, name), connect(t, name)
	old.must(t, "SET idle_in_transaction_session_timeout = 0;\n"+announce(1))
	old.must(t, begin("READ COMMITTED", 1)+";\n"+insert(1, 100))
	write(t, name, 2)
	log.until(t, 1, waiting)
	old.must(t, "COMMIT")
	log.until(t, 1, "SELECT count(*) FROM entries WHERE epoch = 2")
	if n := log.count(t, "SELECT min(n) FROM entries WHERE epoch = 2"); n != 101 {
		t.Errorf("it goes on with %d, want 101", n)
	}
}

// TestPausedProgram: the example's program is stopped, another takes over, and the first
// goes on. Every number stands there once.
func TestPausedProgram(t *testing.T) {
	t.Parallel()
	name := database(t)
	log := connect(t, name)
	rows := func(epoch int) string { return fmt.Sprintf("SELECT count(*) FROM entries WHERE epoch = %d", epoch) }
	old := write(t, name, 1)
	log.until(t, 3, rows(1))
	if err := old.all(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	write(t, name, 2)
	log.until(t, 3, rows(2))
	before := log.count(t, rows(1))
	if err := old.all(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	old.refused(t)
	write(t, name, 1).refused(t) // nor does it come back
	log.until(t, log.count(t, rows(2))+3, rows(2))
	if after := log.count(t, rows(1)); after != before {
		t.Errorf("%d stale rows were accepted", after-before)
	}
	if n := log.count(t, "SELECT count(*) - count(DISTINCT n) + max(n) - count(*) FROM entries"); n != 0 {
		t.Errorf("numbers are missing, or stand there twice:\n%s", log.must(t, "SELECT * FROM entries"))
	}
}
