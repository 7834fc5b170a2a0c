// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// procStat is the part of /proc/PID/stat that tells one process from a later one with the same id.
type procStat struct {
	state      byte
	startTicks uint64
}

// parseProcStat reads the text of /proc/PID/stat. The command name in it may hold blanks and parentheses, so fields
// are counted from its last parenthesis on.
func parseProcStat(text []byte) (procStat, error) {
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	const startTime = 22 - 3 // field 22 of the line, counted from the state, which is field 3
	if len(fields) <= startTime || len(fields[0]) != 1 {
		return procStat{}, fmt.Errorf("cannot read %q as /proc/PID/stat", text)
	}
	ticks, err := strconv.ParseUint(string(fields[startTime]), 10, 64)
	return procStat{state: fields[0][0], startTicks: ticks}, err
}

func readProcStat(pid int) (procStat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return procStat{}, err
	}
	return parseProcStat(text)
}

// bootID changes with every boot of the machine.
func bootID() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id))
}

// inCgroup tells whether the text of /proc/PID/cgroup puts a process at or below a cgroup, in any hierarchy.
func inCgroup(text, cgroup string) bool {
	for line := range strings.Lines(text) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) == 3 && (parts[2] == cgroup || strings.HasPrefix(parts[2], cgroup+"/")) {
			return true
		}
	}
	return false
}

// processesIn lists the processes at or below a cgroup; those that are dead but not yet reaped do not count.
func processesIn(cgroup string) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err == nil && runsIn(pid, cgroup) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

func runsIn(pid int, cgroup string) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil || !inCgroup(string(text), cgroup) {
		return false
	}
	stat, err := readProcStat(pid)
	return err == nil && stat.state != 'Z' && stat.state != 'X'
}

// mountsBelow lists the mount points strictly below a folder, innermost first, from the text of
// /proc/PID/mountinfo.
func mountsBelow(mountinfo, folder string) []string {
	var mounts []string
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		if point := unescapeMount(fields[4]); strings.HasPrefix(point, folder+"/") {
			mounts = append([]string{point}, mounts...)
		}
	}
	return mounts
}

// unescapeMount undoes the kernel's octal escapes of blanks and the like.
func unescapeMount(text string) string {
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+3 < len(text) {
			if code, err := strconv.ParseUint(text[i+1:i+4], 8, 8); err == nil {
				out.WriteByte(byte(code))
				i += 3
				continue
			}
		}
		out.WriteByte(text[i])
	}
	return out.String()
}
