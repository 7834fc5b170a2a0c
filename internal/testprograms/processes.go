// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package testprograms

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
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
	select {}
}

// Daemon puts a child into a session of its own, twice removed, that ignores
// SIGTERM and holds a lock on a file. Two children at once are detected: the second
// writes FILE.conflict.
//
//	daemon --lock FILE [--leave]
//
// The first process stays until SIGTERM, or with --leave ends at once with code 0.
// FILE holds the child's process id once the child holds the lock.
func Daemon(args []string) error {
	flags := flag.NewFlagSet("daemon", flag.ContinueOnError)
	lock := flags.String("lock", "", "file to lock")
	leave := flags.Bool("leave", false, "the first process ends at once")
	step := flags.Int("step", 0, "internal")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *step == 2 {
		return hold(*lock)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	next := exec.Command(self, "daemon", "--lock", *lock, "--step", strconv.Itoa(*step+1))
	next.Stdout, next.Stderr = os.Stdout, os.Stderr
	next.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if *step == 1 {
		return next.Start() // and end: the child loses its parent
	}
	if err := next.Run(); err != nil || *leave {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop
	return nil
}

// hold locks the file and stays.
func hold(path string) error {
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return errors.Join(err, os.WriteFile(path+".conflict", []byte("two at once\n"), 0o600))
	}
	if err := announce(path); err != nil {
		return err
	}
	select {}
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
	select {}
}

// announce writes this process's id to a file, if there is one.
func announce(path string) error {
	if path == "" {
		return nil
	}
	if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() {
		// Keep the file: it may be the one that is locked.
		return os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600)
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
