// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package scene

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Program says which processes are meant: by the short name, and by a part of the
// command line if that is not enough.
type Program struct{ Command, Argument string }

// String names it.
func (p Program) String() string { return strings.TrimSpace(p.Command + " " + p.Argument) }

func (p Program) is(process Process) bool {
	if process.Command != p.Command {
		return false
	}
	if p.Argument == "" {
		return true
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", process.PID))
	return err == nil && strings.Contains(strings.ReplaceAll(string(text), "\x00", " "), p.Argument)
}

// Process is a process in a container of the local cluster, as this machine sees it:
// also while its node is cut off.
type Process struct {
	// PID on this machine.
	PID int
	// Command is the short name of the program, as in /proc/PID/comm.
	Command string
}

// Container finds the processes of one container of a pod.
type Container struct {
	what string
	// procs is the file that lists them.
	procs string
}

// Container finds a container of a pod that was seen running. It needs no kubelet.
func (l *Local) Container(pod *corev1.Pod, name string) (Container, error) {
	statuses := append(slices.Clone(pod.Status.ContainerStatuses), pod.Status.InitContainerStatuses...)
	for i := range statuses {
		s := &statuses[i]
		if s.Name != name {
			continue
		}
		id := s.ContainerID[strings.LastIndex(s.ContainerID, "/")+1:]
		for _, hierarchy := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/pids"} {
			pattern := filepath.Join(hierarchy, "understudy-localcluster", pod.Spec.NodeName, "pods", "*", "pod"+string(pod.UID), id, "cgroup.procs")
			guaranteed := filepath.Join(hierarchy, "understudy-localcluster", pod.Spec.NodeName, "pods", "pod"+string(pod.UID), id, "cgroup.procs")
			for _, p := range []string{pattern, guaranteed} {
				if found, _ := filepath.Glob(p); id != "" && len(found) == 1 {
					return Container{what: pod.Name + "/" + name, procs: found[0]}, nil
				}
			}
		}
		return Container{}, fmt.Errorf("container %s of %s: no cgroup of %q on this machine", name, pod.Name, id)
	}
	return Container{}, fmt.Errorf("pod %s has no container %s", pod.Name, name)
}

// Processes lists those that live: not the dead that nobody has reaped.
func (c Container) Processes() ([]Process, error) {
	text, err := os.ReadFile(c.procs)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) {
		return nil, nil // the container is gone, and with it all that was in it
	}
	if err != nil {
		return nil, err
	}
	var list []Process
	for field := range strings.FieldsSeq(string(text)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			return nil, err
		}
		if command, alive := look(pid); alive {
			list = append(list, Process{PID: pid, Command: command})
		}
	}
	return list, nil
}

// look reads the name of a process, and whether it lives, from /proc/PID/stat.
func look(pid int) (command string, alive bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", false
	}
	open, shut := strings.IndexByte(string(text), '('), strings.LastIndexByte(string(text), ')')
	if open < 0 || shut < open || shut+2 >= len(text) {
		return "", false
	}
	state := text[shut+2]
	return string(text[open+1 : shut]), state != 'Z' && state != 'X'
}

// Find lists the living processes of a program.
func (c Container) Find(program Program) ([]int, error) {
	all, err := c.Processes()
	var pids []int
	for _, p := range all {
		if program.is(p) {
			pids = append(pids, p.PID)
		}
	}
	return pids, err
}

// One finds the only living process of a program.
func (c Container) One(program Program) (int, error) {
	pids, err := c.Find(program)
	if err != nil {
		return 0, err
	}
	if len(pids) != 1 {
		all, _ := c.Processes()
		return 0, fmt.Errorf("%s: %d processes %s, want one; there are %v", c.what, len(pids), program, all)
	}
	return pids[0], nil
}

// Signal sends a signal to a process that was found, on this machine.
func Signal(pid int, signal syscall.Signal) error {
	if pid <= 1 {
		return fmt.Errorf("no process %d", pid)
	}
	return syscall.Kill(pid, signal)
}

// Rivals are containers of which one at most may run a program at any time.
type Rivals struct {
	Program    Program
	Containers []Container
}

// Sighting is when a program was seen in a container, from the first to the last time.
type Sighting struct {
	Container   string
	PID         int
	First, Last time.Time
}

// Watch looks at the rivals every few milliseconds until ctx ends. It returns all
// that it saw, and an error for every time that it saw two at once.
func (r Rivals) Watch(ctx context.Context) ([]Sighting, error) {
	var seen []Sighting
	var overlaps []error
	for ctx.Err() == nil {
		now, alive := time.Now(), []string{}
		for _, c := range r.Containers {
			pids, err := c.Find(r.Program)
			if err != nil {
				return seen, err
			}
			for _, pid := range pids {
				i := slices.IndexFunc(seen, func(s Sighting) bool { return s.PID == pid && s.Container == c.what })
				if i < 0 {
					i = len(seen)
					seen = append(seen, Sighting{Container: c.what, PID: pid, First: now})
				}
				seen[i].Last = time.Now()
			}
			if len(pids) > 0 {
				alive = append(alive, fmt.Sprintf("%s (%v)", c.what, pids))
			}
		}
		if len(alive) > 1 && len(overlaps) < 10 {
			overlaps = append(overlaps, fmt.Errorf("%s: %s alive at once: %s", stamp(now), r.Program, strings.Join(alive, " and ")))
		}
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
	return seen, errors.Join(overlaps...)
}
