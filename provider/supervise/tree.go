// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"
)

// proc is a process as /proc/PID/stat has it.
type proc struct {
	pid, parent, group int
	state              byte
	name               string
}

// dead says whether only its parent has to notice.
func (p proc) dead() bool { return p.state == 'Z' || p.state == 'X' }

// String names it for people.
func (p proc) String() string {
	user := ""
	var st syscall.Stat_t
	if syscall.Stat(fmt.Sprintf("/proc/%d", p.pid), &st) == nil {
		user = fmt.Sprintf(", user %d", st.Uid)
	}
	return fmt.Sprintf("process %d (%s%s, state %c)", p.pid, p.name, user, p.state)
}

// processes lists what /proc shows.
func processes() ([]proc, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var all []proc
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + name + "/stat")
		if err != nil {
			continue // gone meanwhile
		}
		if p, ok := parseStat(pid, stat); ok {
			all = append(all, p)
		}
	}
	return all, nil
}

// parseStat reads the fields up to the process group. The name, in parentheses,
// may itself hold parentheses and spaces.
func parseStat(pid int, stat []byte) (proc, bool) {
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return proc{}, false
	}
	fields := bytes.Fields(stat[end+1:])
	if len(fields) < 3 {
		return proc{}, false
	}
	parent, err1 := strconv.Atoi(string(fields[1]))
	group, err2 := strconv.Atoi(string(fields[2]))
	return proc{
		pid: pid, parent: parent, group: group,
		state: fields[0][0], name: string(stat[open+1 : end]),
	}, err1 == nil && err2 == nil
}

// below lists all descendants of the given processes' parents: those whose chain
// of parents leads to a process that root accepts.
func below(all []proc, root func(proc) bool) []proc {
	children := map[int][]proc{}
	var queue, found []proc
	for _, p := range all {
		if root(p) {
			queue = append(queue, p)
		} else {
			children[p.parent] = append(children[p.parent], p)
		}
	}
	for len(queue) > 0 {
		p := queue[0]
		found = append(found, p)
		queue = append(queue[1:], children[p.pid]...)
	}
	return found
}

// killAll sends SIGKILL to each, and names those that cannot be killed. Groups go
// first: the kernel kills a group in one step, so that a program that forks as
// fast as it can does not outrun us.
//
// A process id is not reused between the walk and the kill unless the kernel has
// gone once around all ids meanwhile.
func killAll(tree []proc) []string {
	var groups []int
	own := syscall.Getpgrp()
	for _, p := range tree {
		// The tree was started in sessions of its own: no group is shared with
		// anything else. Still, never touch our own.
		if p.group > 1 && p.group != own && !slices.Contains(groups, p.group) {
			groups = append(groups, p.group)
			_ = syscall.Kill(-p.group, syscall.SIGKILL)
		}
	}
	var left []string
	for _, p := range tree {
		if p.dead() {
			continue
		}
		switch err := syscall.Kill(p.pid, syscall.SIGKILL); err {
		case nil, syscall.ESRCH:
		default:
			left = append(left, fmt.Sprintf("%s: %v", p, err))
		}
	}
	return left
}
