//go:build e2e

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/understudy-dev/understudy/test/scene"
)

// TestDownLeavesNothing takes the cluster down out of a bad state: a group runs, a
// node is cut off, another one was just being started when localcluster was killed.
// It is the last test, as its file's name says, and leaves no cluster.
func TestDownLeavesNothing(t *testing.T) {
	if wasUp {
		t.Skip("the cluster was up before these tests: it is somebody's, and stays. Take it down first to run this one.")
	}
	// No stage: that would want its namespace back.
	namespace, err := cluster.MakeNamespace(t.Context(), "down")
	must(t, err)
	g, err := cluster.Play(t.Context(), namespace, "hello", 3, scene.Run("hello", "/hello"))
	must(t, err)
	must(t, g.WaitReady(t.Context(), 3*time.Minute))
	must(t, cluster.Local.Partition(t.Context(), "node-1"))
	must(t, cluster.Local.Kill(t.Context(), "node-2"))
	if before := ok(tracesOf(t.Context(), cluster.Local))(t); len(before) < 5 {
		t.Fatalf("a cluster that runs leaves the traces %v: this test would not see one that is left", before)
	}

	start := exec.CommandContext(t.Context(), cluster.Local.Program(), "start", "node-2")
	must(t, start.Start())
	must(t, cluster.Wait(t.Context(), "node-2 to be half started", time.Minute, func(context.Context) (bool, string, error) {
		list, err := cluster.Local.Daemons("node-2")
		return len(list) > 0, "no daemon", err
	}))
	must(t, start.Process.Kill())
	_ = start.Wait()

	must(t, cluster.Local.Down(t.Context()))
	if left := ok(tracesOf(t.Context(), cluster.Local))(t); len(left) > 0 {
		t.Errorf("left behind:\n  %s", strings.Join(left, "\n  "))
	}
	// Once more, with nothing to do.
	must(t, cluster.Local.Down(t.Context()))
}

// tracesOf lists what a cluster leaves on a machine, by the names that all of it has:
// processes, cgroups, mounts, network namespaces, links, rules and folders.
func tracesOf(ctx context.Context, l *scene.Local) ([]string, error) {
	const name = "understudy-localcluster"
	var traces []string
	add := func(what string, found ...string) {
		for _, f := range found {
			traces = append(traces, what+" "+strings.TrimSpace(f))
		}
	}
	for _, pattern := range []string{
		"/sys/fs/cgroup/" + name, "/sys/fs/cgroup/*/" + name, "/run/netns/understudy-*", "/sys/class/net/understudy0",
		"/sys/class/net/us-node-*", "/run/" + name + "/state", l.State(),
	} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		add("folder", found...)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, " "+l.State()+"/") || strings.Contains(line, "/run/netns/understudy-") {
			add("mount", line)
		}
	}
	processes, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		return nil, err
	}
	for _, path := range processes {
		// One that ended meanwhile is none; nor is a dead one that the machine's init has yet to reap.
		text, err := os.ReadFile(path)
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err == nil && strings.Contains(string(text), ":/"+name) && scene.Alive(pid) {
			add("process", strconv.Itoa(pid))
		}
	}
	rules, err := scene.Command{Args: []string{"nft", "list", "tables"}}.Run(ctx)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(rules) {
		if strings.Contains(line, "understudy") {
			add("rules", line)
		}
	}
	return traces, nil
}
