// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package fencing tests the example against a real PostgreSQL, without a cluster.
package fencing

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long anything may take on a busy machine.
const patience = 30 * time.Second

// The store that all tests share, each with a database of its own. None: why.
var (
	folder  string
	noStore error
)

func TestMain(m *testing.M) {
	// The store ends when the thread that started it does: this one stays.
	runtime.LockOSThread()
	os.Exit(func() int {
		stop, err := startStore()
		if noStore = err; err == nil {
			defer stop()
		}
		return m.Run()
	}())
}

// errNoPostgres is the one reason for which tests are skipped.
var errNoPostgres = errors.New("PostgreSQL is not installed: apt-get install postgresql")

// startStore runs store.sh as the example does.
func startStore() (stop func(), err error) {
	binaries, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(binaries) == 0 {
		return nil, errNoPostgres
	}
	// Short, for the socket in it, and for a user who may not see what a test may.
	if folder, err = os.MkdirTemp("", "fencing"); err != nil {
		return nil, err
	}
	remove := func() { _ = os.RemoveAll(folder) }
	defer func() {
		if err != nil {
			remove()
		}
	}()
	// The scripts, where that user can read them.
	for _, name := range []string{"store.sh", "fence.sql"} {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o644); err != nil {
			return nil, err
		}
	}
	cmd := exec.Command("sh", filepath.Join(folder, "store.sh"), folder, "-c", "listen_addresses=", "-c", "fsync=off")
	cmd.Dir = folder
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
	if os.Geteuid() == 0 {
		// PostgreSQL does not run as root. nobody is a user everywhere.
		const nobody = 65534
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
		if err := os.Chown(folder, nobody, nobody); err != nil {
			return nil, err
		}
	}
	log, err := os.Create(filepath.Join(folder, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	stop = func() {
		_ = cmd.Process.Signal(syscall.SIGINT) // fast shutdown
		<-ended
		remove()
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		// The server that fills it answers as well, but not from there.
		if _, err := os.Stat(filepath.Join(folder, "db")); err == nil {
			if err := psql(context.Background(), "postgres", "--command", "SELECT 1").Run(); err == nil {
				return stop, nil
			}
		}
		select {
		case err = <-ended:
			text, _ := os.ReadFile(log.Name())
			return nil, fmt.Errorf("store.sh: %w: %s", err, text)
		default:
		}
		if time.Now().After(deadline) {
			stop()
			return nil, errors.New("the store does not answer")
		}
	}
}

// client is the environment in which psql finds a database.
func client(database string) []string {
	return append(os.Environ(), "PGHOST="+folder, "PGUSER=postgres", "PGDATABASE="+database)
}

func psql(ctx context.Context, database string, args ...string) *exec.Cmd {
	binaries, _ := filepath.Glob("/usr/lib/postgresql/*/bin/psql")
	cmd := exec.CommandContext(ctx, binaries[len(binaries)-1], append([]string{
		"--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set", "VERBOSITY=terse",
	}, args...)...)
	cmd.Env = client(database)
	return cmd
}

// database makes one with fence.sql, or with a fence that is made worse.
func database(t *testing.T, worsen ...string) string {
	t.Helper()
	if errors.Is(noStore, errNoPostgres) {
		t.Skip(noStore)
	}
	if noStore != nil {
		t.Fatal(noStore)
	}
	name := strings.ToLower(strings.ReplaceAll(t.Name(), "/", "_"))
	fence, err := os.ReadFile("fence.sql")
	if err != nil {
		t.Fatal(err)
	}
	text := string(fence)
	for _, part := range worsen {
		if !strings.Contains(text, part) {
			t.Fatalf("fence.sql has no %q", part)
		}
		text = strings.ReplaceAll(text, part, "")
	}
	file := filepath.Join(t.TempDir(), "fence.sql")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, cmd := range []*exec.Cmd{
		psql(t.Context(), "postgres", "--command", "CREATE DATABASE "+name),
		psql(t.Context(), name, "--set", "ON_ERROR_STOP=1", "--file", file),
	} {
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	return name
}

// session is a connection to the store: a psql that we talk to.
type session struct {
	in  io.Writer
	out *bufio.Scanner
}

// connect opens one that lasts as long as the test.
func connect(t *testing.T, database string) *session {
	t.Helper()
	cmd := psql(t.Context(), database)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = write, write
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = write.Close()
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
		_ = out.Close()
	})
	return &session{in: in, out: bufio.NewScanner(out)}
}

// ask sends statements and returns what they said. The error is the store's.
func (s *session) ask(statements string) (string, error) {
	const end = "-- that was it"
	if _, err := fmt.Fprintf(s.in, "%s;\n\\echo '%s'\n", statements, end); err != nil {
		return "", err
	}
	var rows []string
	var failed error
	for s.out.Scan() {
		line := s.out.Text()
		switch {
		case line == end:
			return strings.Join(rows, "\n"), failed
		case strings.Contains(line, "ERROR:"), strings.Contains(line, "FATAL:"), strings.Contains(line, "connection"):
			failed = errors.Join(failed, errors.New(line))
		case line != "":
			rows = append(rows, line)
		}
	}
	return "", errors.Join(failed, io.ErrUnexpectedEOF)
}

// must is ask for what cannot fail.
func (s *session) must(t *testing.T, statements string) string {
	t.Helper()
	said, err := s.ask(statements)
	if err != nil {
		t.Fatalf("%s: %v", statements, err)
	}
	return said
}

// count asks for one number.
func (s *session) count(t *testing.T, statement string) int {
	t.Helper()
	said := s.must(t, statement)
	n, err := strconv.Atoi(said)
	if err != nil {
		t.Fatalf("%s: %q", statement, said)
	}
	return n
}

// until waits until a number is at least so large.
func (s *session) until(t *testing.T, least int, statement string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		n := s.count(t, statement)
		if n >= least {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %d, never %d", statement, n, least)
		}
	}
}

// waiting counts the sessions of this database that wait for a lock.
const waiting = `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`
