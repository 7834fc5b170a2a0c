// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package testprograms

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Stubborn ignores every signal that can be ignored. --pid FILE: written once it
// does.
func Stubborn(args []string) error {
	flags := flag.NewFlagSet("stubborn", flag.ContinueOnError)
	pid := flags.String("pid", "", "file to write the process id to")
	if err := flags.Parse(args); err != nil {
		return err
	}
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	if err := announce(*pid); err != nil {
		return err
	}
	stay()
	return nil
}

// Daemon puts a child into a session of its own, twice removed, that ignores
// SIGTERM and holds a lock on a file. Two children at once are detected: the second
// writes FILE.conflict.
//
//	daemon --lock FILE [--leave]
//
// Once the child holds the lock, FILE holds its process id. Then the first process
// stays until SIGTERM, or with --leave ends with code 0.
func Daemon(args []string) error {
	flags := flag.NewFlagSet("daemon", flag.ContinueOnError)
	lock := flags.String("lock", "", "file to lock")
	leave := flags.Bool("leave", false, "the first process ends at once")
	step := flags.Int("step", 0, "internal")
	if err := flags.Parse(args); err != nil {
		return err
	}
	const inherited = 3
	if *step == 2 {
		return hold(*lock, os.NewFile(inherited, "first"))
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	next := exec.CommandContext(context.Background(), self, "daemon", "--lock", *lock, "--step", strconv.Itoa(*step+1))
	next.Stdout, next.Stderr = os.Stdout, os.Stderr
	next.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if *step == 1 {
		next.ExtraFiles = []*os.File{os.NewFile(inherited, "first")}
		return next.Start() // and end: the child loses its parent
	}
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	next.ExtraFiles = []*os.File{write}
	if err := next.Run(); err != nil {
		return err
	}
	_ = write.Close()
	if said, _ := io.ReadAll(read); string(said) != held {
		return errors.New("the child does not hold the lock")
	}
	if *leave {
		return nil
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop
	return nil
}

// held is what the child tells the first process.
const held = "held"

// hold locks the file, says so to the first process, and stays.
func hold(path string, first *os.File) error {
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return errors.Join(err, os.WriteFile(path+".conflict", []byte("two at once\n"), 0o600))
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(f, os.Getpid()); err != nil {
		return err
	}
	if _, err := first.WriteString(held); err != nil {
		return err
	}
	_ = first.Close()
	stay()
	return nil
}

// Runaway is a chain of processes, each in a session of its own, each ending as soon
// as it has started the next: whoever looks for it finds it gone. It ends by itself
// after a minute. runaway FILE: written by each with its process id.
func Runaway(args []string) error {
	if len(args) == 0 {
		return errors.New("which file")
	}
	if len(args) == 1 {
		args = append(args, strconv.FormatInt(time.Now().Add(time.Minute).Unix(), 10))
	}
	end, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil || time.Now().Unix() > end {
		return err
	}
	if err := announce(args[0]); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	next := exec.CommandContext(context.Background(), self, "runaway", args[0], args[1]) //nolint:gosec // itself
	next.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return next.Start()
}

// Brood ignores SIGTERM, and has a child in a session of its own that does, too. It
// ends by itself after a minute. brood FILE: the child's process id is added to it.
func Brood(args []string) error {
	if len(args) == 0 {
		return errors.New("which file")
	}
	signal.Ignore(syscall.SIGTERM)
	if len(args) == 1 {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		child := exec.CommandContext(context.Background(), self, "brood", args[0], "child") //nolint:gosec // itself
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := child.Start(); err != nil {
			return err
		}
		file, err := os.OpenFile(args[0], os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(file, child.Process.Pid); err != nil {
			return err
		}
	}
	time.Sleep(time.Minute)
	return nil
}

// Foreign becomes another user for good, which needs a setuid-root file, and is
// Stubborn then: the user who started it cannot kill it.
func Foreign(args []string) error {
	if err := syscall.Setresuid(0, 0, 0); err != nil {
		return err
	}
	return Stubborn(args)
}

// Exit ends with a code at once, or prints first: exit CODE [TEXT...].
func Exit(args []string) error {
	code := 0
	if len(args) > 0 {
		var err error
		if code, err = strconv.Atoi(args[0]); err != nil {
			return err
		}
		fmt.Println(strings.Join(args[1:], " "))
	}
	os.Exit(code)
	return nil
}

// Env writes its environment, one variable a line, and its working directory and
// arguments to a file, then stays: env FILE [ARG...].
func Env(args []string) error {
	if len(args) == 0 {
		return errors.New("which file")
	}
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	text := strings.Join(os.Environ(), "\n") + "\nCWD=" + dir + "\nARGS=" + strings.Join(args[1:], "|") + "\n"
	if err := writeWhole(args[0], text); err != nil {
		return err
	}
	stay()
	return nil
}

// stay never returns. An empty select would be a deadlock to the runtime.
func stay() {
	for {
		time.Sleep(time.Hour)
	}
}

// announce writes this process's id to a file, if there is one.
func announce(path string) error {
	if path == "" {
		return nil
	}
	return writeWhole(path, strconv.Itoa(os.Getpid())+"\n")
}

// writeWhole makes a file appear with all of its content.
func writeWhole(path, text string) error {
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
