// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/understudy-dev/understudy/hack/internal/tool"
)

// processRecord names a process that we started, such that no other process can be taken for it: ids are reused,
// but not with the same start time in the same boot.
type processRecord struct {
	PID         int      `json:"pid"`
	StartTicks  uint64   `json:"startTicks"`
	BootID      string   `json:"bootID"`
	Fingerprint string   `json:"fingerprint"`
	Args        []string `json:"args"`
}

// is tells whether the process seen now under the record's id is the recorded one and runs.
func (r processRecord) is(boot string, stat procStat) bool {
	return r.BootID == boot && r.StartTicks == stat.startTicks && stat.state != 'Z' && stat.state != 'X'
}

func (r processRecord) alive() bool {
	stat, err := readProcStat(r.PID)
	return err == nil && r.is(bootID(), stat)
}

// daemon is a process that goes on when localcluster ends.
type daemon struct {
	// name is unique in the cluster: etcd, node-1-kubelet.
	name string
	// args is the program and its arguments.
	args []string
	// configs are files whose change means that it must be restarted.
	configs []string
	// env is added to the environment.
	env []string
	// netns is the network namespace to run in, the host's if empty.
	netns string
	// cgroup is where it is found again.
	cgroup string
}

// fingerprint changes with whatever a daemon was started with.
func (d daemon) fingerprint() (string, error) {
	sum := sha256.New()
	fmt.Fprintf(sum, "%q %q %q", d.args, d.env, d.netns)
	for _, config := range d.configs {
		content, err := os.ReadFile(config)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%q", content)
	}
	return hex.EncodeToString(sum.Sum(nil))[:16], nil
}

func (l Layout) recordPath(name string) string { return l.Path("processes", name+".json") }

func (l Layout) logPath(name string) string { return l.Path("logs", name+".log") }

func (l Layout) readRecord(name string) (record processRecord, found bool, err error) {
	text, err := os.ReadFile(l.recordPath(name))
	if errors.Is(err, fs.ErrNotExist) {
		return record, false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &record)
	}
	return record, err == nil, err
}

// running tells whether a daemon runs, by its name.
func (l Layout) running(name string) (pid int, running bool) {
	record, found, err := l.readRecord(name)
	if err != nil || !found || !record.alive() {
		return 0, false
	}
	return record.PID, true
}

// ensure starts a daemon unless it runs as it should, and says whether it did. lock is the cluster's lock: the child
// holds it until it has recorded itself, so that whoever gets the lock next knows of every process.
func (l Layout) ensure(ctx context.Context, d daemon, lock *os.File) (started bool, err error) {
	fingerprint, err := d.fingerprint()
	if err != nil {
		return false, fmt.Errorf("%s: %w", d.name, err)
	}
	record, found, err := l.readRecord(d.name)
	if err != nil {
		return false, err
	}
	if found && record.alive() {
		if record.Fingerprint == fingerprint {
			return false, nil
		}
		if err := l.stop(ctx, d.name); err != nil {
			return false, err
		}
	}
	procs, err := createCgroup(d.cgroup)
	if err != nil {
		return false, err
	}
	for _, path := range []string{l.recordPath(d.name), l.logPath(d.name)} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return false, err
		}
	}
	log, err := os.OpenFile(l.logPath(d.name), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return false, err
	}
	defer log.Close()
	args := d.args
	if d.netns != "" {
		// Only the network namespace: mounts must stay shared, or volumes would not reach containers.
		args = append([]string{"nsenter", "--net=" + d.netns, "--"}, args...)
	}
	launch := []string{launchCommand, l.recordPath(d.name), procs, fingerprint, "--"}
	// It is not to end with what started it.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), "/proc/self/exe", append(launch, args...)...)
	cmd.Env = append(os.Environ(), d.env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{lock}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return false, fmt.Errorf("start %s: %w", d.name, err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	err = waitFor(ctx, 30*time.Second, d.name+" to start", func(context.Context) error {
		select {
		case err := <-exited:
			if err == nil {
				err = errors.New("no error")
			}
			return permanent(fmt.Errorf("it ended at once, see %s: %w", l.logPath(d.name), err))
		default:
		}
		if record, found, _ := l.readRecord(d.name); !found || record.PID != cmd.Process.Pid {
			return errors.New("it has not recorded itself")
		}
		return nil
	})
	return true, err
}

// launchCommand is the hidden command that a daemon's process runs first.
const launchCommand = "launch-daemon"

// launch turns this process into a daemon: it joins its cgroup, records itself, and only then becomes the program.
func launch(args []string) error {
	if len(args) < 5 || args[3] != "--" {
		return errors.New("this command is for localcluster itself")
	}
	// The program must not inherit the lock.
	syscall.CloseOnExec(3)
	pid := os.Getpid()
	if err := os.WriteFile(args[1], []byte(strconv.Itoa(pid)), 0); err != nil {
		return fmt.Errorf("join cgroup: %w", err)
	}
	stat, err := readProcStat(pid)
	if err != nil {
		return err
	}
	record := processRecord{PID: pid, StartTicks: stat.startTicks, BootID: bootID(), Fingerprint: args[2], Args: args[4:]}
	text, err := json.Marshal(record)
	if err != nil {
		return err
	}
	if err := tool.WriteFile(args[0], append(text, '\n'), 0o644); err != nil {
		return err
	}
	program, err := exec.LookPath(args[4])
	if err != nil {
		return err
	}
	return syscall.Exec(program, args[4:], os.Environ())
}

// stop kills a daemon that we started and waits until it is gone.
func (l Layout) stop(ctx context.Context, name string) error {
	record, found, err := l.readRecord(name)
	if err != nil || !found {
		return err
	}
	// The handle is taken before the look, so that it cannot come to mean another process in between.
	process, err := os.FindProcess(record.PID)
	if err == nil && record.alive() {
		err = process.Signal(syscall.SIGKILL)
	}
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s (pid %d): %w", name, record.PID, err)
	}
	err = waitFor(ctx, 30*time.Second, name+" to end", func(context.Context) error {
		if record.alive() {
			return fmt.Errorf("pid %d lives", record.PID)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return os.Remove(l.recordPath(name))
}

// killCgroup kills every process at or below a cgroup, until none is left: some may fork meanwhile.
func killCgroup(ctx context.Context, cgroup string) error {
	return waitFor(ctx, time.Minute, "the processes in "+cgroup+" to end", func(context.Context) error {
		pids, err := processesIn(cgroup)
		if err != nil {
			return err
		}
		for _, pid := range pids {
			process, err := os.FindProcess(pid)
			if err == nil && runsIn(pid, cgroup) {
				_ = process.Signal(syscall.SIGKILL)
			}
		}
		if len(pids) > 0 {
			return fmt.Errorf("%v live", pids)
		}
		return nil
	})
}
