// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// cgroup is a control group of a test's own, with one limit.
type cgroup struct {
	t   *testing.T
	dir string
}

// newCgroup limits memory or pids, by cgroup v1 or v2. It skips the test where it
// may not. Make it before the container that goes into it.
func newCgroup(t *testing.T, controller string, limit int) *cgroup {
	t.Helper()
	parent, file := "/sys/fs/cgroup", controller+".max"
	if v1 := filepath.Join(parent, controller); exists(v1) {
		parent = v1
		if controller == "memory" {
			file = "memory.limit_in_bytes"
		}
	}
	dir, err := os.MkdirTemp(parent, "init-test-")
	if err != nil {
		skip(t, "needs to make a cgroup: "+err.Error())
	}
	g := &cgroup{t: t, dir: dir}
	t.Cleanup(func() {
		eventually(t, "the cgroup to be empty", func() bool { return os.Remove(g.dir) == nil })
	})
	if err := g.write(file, strconv.Itoa(limit)); err != nil {
		skip(t, fmt.Sprintf("needs a cgroup that limits %s: %v", controller, err))
	}
	for _, file := range []string{"memory.swappiness", "memory.swap.max"} {
		if exists(filepath.Join(g.dir, file)) {
			must(t, g.write(file, "0"))
		}
	}
	return g
}

func (g *cgroup) write(file, text string) error {
	return os.WriteFile(filepath.Join(g.dir, file), []byte(text), 0)
}

// add takes in a process, and with it what it starts from then on.
func (g *cgroup) add(pid int) {
	g.t.Helper()
	must(g.t, g.write("cgroup.procs", strconv.Itoa(pid)))
}

// killed is how many processes the kernel killed for want of memory.
func (g *cgroup) killed() int {
	g.t.Helper()
	for _, file := range []string{"memory.oom_control", "memory.events"} {
		text, _ := os.ReadFile(filepath.Join(g.dir, file))
		for line := range strings.Lines(string(text)) {
			var n int
			if _, err := fmt.Sscanf(line, "oom_kill %d", &n); err == nil {
				return n
			}
		}
	}
	g.t.Fatal("the cgroup does not count the kills")
	return 0
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
