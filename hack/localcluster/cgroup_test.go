// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestCgroupMounts(t *testing.T) {
	mountinfo := `31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime shared:4 - cgroup cgroup rw,cpu
40 31 0:37 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
`
	mounts := cgroupMounts(mountinfo)
	if want := []string{
		"/sys/fs/cgroup/cpu",
		"/sys/fs/cgroup/pids",
		"/sys/fs/cgroup/unified",
	}; !slices.Equal(
		mounts,
		want,
	) {
		t.Errorf("got %q", mounts)
	}
	if got, err := trackingHierarchy(mounts); err != nil || got != "/sys/fs/cgroup/pids" {
		t.Errorf("version 1: got %q, %v", got, err)
	}
	if got, err := trackingHierarchy([]string{"/sys/fs/cgroup"}); err != nil || got != "/sys/fs/cgroup" {
		t.Errorf("version 2: got %q, %v", got, err)
	}
	if _, err := trackingHierarchy([]string{"/sys/fs/cgroup/cpu"}); err == nil {
		t.Error("no error without a hierarchy to track by")
	}
}

func TestEnableAll(t *testing.T) {
	if got := enableAll("cpuset cpu memory pids\n"); got != "+cpuset +cpu +memory +pids" {
		t.Errorf("got %q", got)
	}
}

func TestRemoveCgroupDirs(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	if err := os.MkdirAll(filepath.Join(root, "a", "b"), 0o755); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing
		if err := removeCgroupDirs(root); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(root); err == nil {
		t.Error("it is still there")
	}
}
