// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package scene

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

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
	what string // pod and container
	// procs is the file that lists them.
	procs string
}

// hierarchies are where cgroups are, with cgroup v2 and v1.
var hierarchies = []string{"/sys/fs/cgroup", "/sys/fs/cgroup/pids"}

// cgroupOf finds the one cgroup that matches a pattern below that of a node.
func cgroupOf(node string, pattern ...string) (string, bool) {
	for _, hierarchy := range hierarchies {
		path := filepath.Join(append([]string{hierarchy, "understudy-localcluster", node}, pattern...)...)
		if found, _ := filepath.Glob(filepath.Join(path, "cgroup.procs")); len(found) == 1 {
			return found[0], true
		}
	}
	return "", false
}

// Container finds a container of a pod that was seen running. It needs no kubelet.
func (l *Local) Container(pod *corev1.Pod, name string) (Container, error) {
	for _, s := range slices.Concat(pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses) {
		if s.Name != name || s.ContainerID == "" {
			continue
		}
		id := s.ContainerID[strings.LastIndex(s.ContainerID, "/")+1:]
		// Where a pod's cgroup is depends on its class of service.
		for _, above := range []string{"pods/kubepods", "pods/kubepods/*"} {
			if procs, ok := cgroupOf(pod.Spec.NodeName, above, "pod"+string(pod.UID), id); ok {
				return Container{what: pod.Name + "/" + name, procs: procs}, nil
			}
		}
		return Container{}, fmt.Errorf("container %s of %s: no cgroup of %q on this machine", name, pod.Name, id)
	}
	return Container{}, fmt.Errorf("pod %s has no container %s that was started", pod.Name, name)
}

// Daemons are the processes that make a node: kubelet, containerd and kube-proxy.
func (l *Local) Daemons(node string) ([]Process, error) {
	procs, ok := cgroupOf(node, "system")
	if !ok {
		return nil, fmt.Errorf("%s has no cgroup on this machine", node)
	}
	all, err := (Container{what: node, procs: procs}).Processes()
	return slices.DeleteFunc(all, func(p Process) bool {
		return !slices.Contains([]string{"kubelet", "containerd", "kube-proxy"}, p.Command)
	}), err
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

// look reads the name of a process, and whether it lives.
func look(pid int) (command string, alive bool) {
	command, state := stat(pid)
	return command, state != 0 && state != 'Z' && state != 'X'
}

// stat reads name and state of a process from /proc/PID/stat; 0 if there is none.
func stat(pid int) (command string, state byte) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0
	}
	open, shut := strings.IndexByte(string(text), '('), strings.LastIndexByte(string(text), ')')
	if open < 0 || shut < open || shut+2 >= len(text) {
		return "", 0
	}
	return string(text[open+1 : shut]), text[shut+2]
}

// Alive tells whether a process lives: a dead one that nobody has reaped does not.
func Alive(pid int) bool {
	_, alive := look(pid)
	return alive
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

// KillSingly has the kernel kill one process of the container when its memory runs out.
// With cgroup v2, kubelet has it kill all of them; v1 knows nothing else.
func (c Container) KillSingly() error {
	f, err := os.OpenFile(filepath.Join(filepath.Dir(c.procs), "memory.oom.group"), os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString("0")
	return errors.Join(err, f.Close())
}

// Name is the pod and the container.
func (c Container) Name() string { return c.what }

// User is the user id as which a process runs.
func (p Process) User() (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[0] == "Uid:" {
			return strconv.Atoi(fields[2])
		}
	}
	return 0, fmt.Errorf("process %d has no user in its status", p.PID)
}
