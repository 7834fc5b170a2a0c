// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package application

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/understudy-dev/understudy/provider/supervise"
)

// cgroups is where a container sees its own.
const cgroups = "/sys/fs/cgroup"

// memoryKills counts the processes of this container that the kernel has killed for
// memory; 0 also if it cannot be known.
func memoryKills(root string) int {
	for _, file := range []string{"memory.events", "memory/memory.oom_control"} { // cgroup v2 and v1
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if fields := strings.Fields(line); len(fields) == 2 && fields[0] == "oom_kill" {
				n, _ := strconv.Atoi(fields[1])
				return n
			}
		}
	}
	return 0
}

// memoryHint adds to how a program ended what to mend. A kill looks the same whoever did
// it; but this one came after the kernel had killed for memory.
func memoryHint(exit supervise.Exit, killsBefore, killsNow int) string {
	if exit.Signal == syscall.SIGKILL && killsNow > killsBefore {
		return ": the container is out of memory, raise its limit"
	}
	return ""
}
