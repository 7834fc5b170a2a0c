// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Actor plays everything but init in init's tests: what sets up a container,
// and every kind of program that is hard to kill.
package main

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	guardv1 "github.com/understudy-dev/understudy/api/guard/v1"
)

func main() {
	role, args := os.Args[1], os.Args[2:]
	switch role {
	case "enter":
		enter(args[0], args[1], args[2], args[3:])
	case "monitor":
		monitor(args[0])
	case "join":
		join(args[0])
	case "clock":
		fmt.Printf("clock %d\n", boottime())
		stubborn()
	case "obedient":
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGTERM)
		up()
		<-c
		os.Exit(7)
	case "stubborn":
		stubborn()
	case "stopped":
		up()
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	case "tree":
		spawn("stubborn")
		spawn("daemon")
		stubborn()
	case "daemon":
		// Its child is an orphan in a session of its own.
		spawn("stubborn")
	case "root":
		check(syscall.Setresgid(0, 0, 0))
		check(syscall.Setresuid(0, 0, 0))
		stubborn()
	case "foreign":
		_, err := syscall.ForkExec("/suid", []string{"suid", "root"}, &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}})
		check(err)
		stubborn()
	case "bomb":
		signal.Ignore(syscall.SIGTERM) // the children inherit it
		up()
		bomb()
	case "flood":
		signal.Ignore(syscall.SIGTERM)
		up()
		for {
			fmt.Println(strings.Repeat("x", 1000))
		}
	case "closed":
		up()
		for fd := range 3 {
			check(syscall.Close(fd))
		}
		stubborn()
	case "hungry":
		hungry()
	case "hide":
		// Mounts an empty /proc over the real one.
		check(syscall.Mount("tmpfs", "/proc", "tmpfs", 0, ""))
		stubborn()
	case "die":
		up()
		os.Exit(3)
	case "exit0":
		up()
	case "inspect":
		inspect()
		stubborn()
	default:
		check(fmt.Errorf("no such role: %s", role))
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "actor:", err)
		os.Exit(99)
	}
}

// up tells the test that this process runs, and since when.
func up() { fmt.Printf("up %d %s\n", os.Getpid(), os.Getenv("UNDERSTUDY_NONCE")) }

// stubborn ends by SIGKILL only.
func stubborn() {
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE)
	up()
	for {
		time.Sleep(time.Hour)
	}
}

func spawn(role string) {
	_, err := syscall.ForkExec("/actor", []string{"actor", role}, &syscall.ProcAttr{
		Env: os.Environ(), Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	check(err)
}

// bomb forks without end. Only raw system calls: the Go runtime does not live on
// in the children.
func bomb() {
	pause := syscall.NsecToTimespec(int64(20 * time.Millisecond))
	for {
		if _, _, errno := syscall.RawSyscall(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0); errno != 0 {
			nap(&pause)
		}
	}
}

// hungry takes more memory than it may have once it is told to.
func hungry() {
	signal.Ignore(syscall.SIGTERM)
	order := make(chan os.Signal, 1)
	signal.Notify(order, syscall.SIGUSR1)
	spawn("stubborn")
	up()
	<-order
	const most, piece = 1 << 30, 1 << 20
	eaten := make([][]byte, 0, most/piece)
	for range most / piece {
		b := make([]byte, piece)
		for at := 0; at < len(b); at += 4096 {
			b[at] = 1
		}
		eaten = append(eaten, b)
	}
	check(fmt.Errorf("ate %d MiB and lived", len(eaten)))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// enter makes a container of the new PID and mount namespace that it is PID 1
// of: a read-only root with nothing in it but what the test put there. Then it
// becomes args.
func enter(root, uid, options string, args []string) {
	check(syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
	check(syscall.Mount(root, root, "", syscall.MS_BIND, ""))
	if !strings.Contains(options, "noproc") {
		check(syscall.Mount("proc", filepath.Join(root, "proc"), "proc", 0, ""))
	}
	if strings.Contains(options, "timens") {
		shiftTime(root)
	}
	if dumps := filepath.Join(root, "understudy/dumps"); exists(dumps) {
		check(syscall.Mount(dumps, dumps, "", syscall.MS_BIND, ""))
	}
	check(syscall.Mount("", root, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	check(syscall.Chroot(root))
	check(syscall.Chdir("/"))
	if strings.Contains(options, "nproc") {
		const nproc = 6
		check(syscall.Setrlimit(nproc, &syscall.Rlimit{Cur: 150, Max: 150}))
	}
	id, err := strconv.Atoi(uid)
	check(err)
	check(syscall.Setgroups(nil))
	check(syscall.Setresgid(id, id, id))
	check(syscall.Setresuid(id, id, id))
	if strings.Contains(options, "masked") {
		maskAndIgnore()
	}
	for fd := 3; fd < 1024; fd++ {
		syscall.CloseOnExec(fd) // whoever started the tests may be careless, too
	}
	check(syscall.Exec(args[0], args, os.Environ()))
}

// inspect prints what the child was given.
func inspect() {
	// First, by system calls: later the Go runtime has descriptors of its own.
	for fd := range 64 {
		if _, _, errno := syscall.RawSyscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0); errno == 0 {
			link, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
			fmt.Printf("got fd %d %s\n", fd, link)
		}
	}
	status, err := os.ReadFile("/proc/self/status")
	check(err)
	for line := range strings.Lines(string(status)) {
		for _, field := range []string{"SigBlk:", "SigIgn:", "Uid:"} {
			if strings.HasPrefix(line, field) {
				fmt.Printf("got %s", line)
			}
		}
	}
	fmt.Printf("got group %d of %d\n", syscall.Getpgrp(), os.Getpid())
	fmt.Printf("got parent %d\n", os.Getppid())
	fmt.Printf("got nonces %d\n", strings.Count(strings.Join(os.Environ(), "\n"), "UNDERSTUDY_NONCE="))
	fmt.Printf("got env %s\n", os.Getenv("ACTOR_ENV"))
	_, err = os.Create("/file")
	fmt.Printf("got create %v\n", err)
	_, err = os.Stat("/bin/sh")
	fmt.Printf("got shell %v\n", err)
	_, err = os.ReadFile("/proc/1/environ")
	fmt.Printf("got memory %v\n", err)
	fmt.Printf("got trace %v\n", syscall.PtraceAttach(1))
	fmt.Printf("got kill %v\n", syscall.Kill(1, syscall.SIGKILL))
}

// monitor is a monitor that sets one guard and then stops for good, as if a
// debugger or the hypervisor had it.
func monitor(socket string) {
	l, err := net.Listen("unix", socket)
	check(err)
	c, err := l.Accept()
	check(err)
	in := guardv1.NewReader(c)
	hello, err := in.Read()
	check(err)
	check(guardv1.Write(c, guardv1.Message{Type: guardv1.Welcome, Version: guardv1.Version, Secret: "s"}))
	_, err = in.Read() // empty
	check(err)
	g2 := hello.BoottimeNanos + int64(time.Second)
	check(guardv1.Write(c, guardv1.Message{Type: guardv1.Guard, Epoch: 1, G1: g2 - 1e8, G2: g2}))
	guarded, err := in.Read()
	check(err)
	fmt.Println(guarded.G2)
	check(syscall.Kill(os.Getpid(), syscall.SIGSTOP))
}
