// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const cgroup2Magic = 0x63677270

// isCgroup2 tells whether the machine has the unified hierarchy only.
func isCgroup2() bool {
	var stat syscall.Statfs_t
	return syscall.Statfs("/sys/fs/cgroup", &stat) == nil && uint32(stat.Type) == cgroup2Magic
}

// cgroupMounts lists where the cgroup hierarchies are mounted.
func cgroupMounts(mountinfo string) []string {
	var mounts []string
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		dash := slices.Index(fields, "-")
		if dash < 0 || dash+1 >= len(fields) || len(fields) < 5 {
			continue
		}
		if kind := fields[dash+1]; kind == "cgroup" || kind == "cgroup2" {
			mounts = append(mounts, unescapeMount(fields[4]))
		}
	}
	return mounts
}

// trackingHierarchy chooses the hierarchy by which our processes are found again. Only membership matters, so it is
// one that limits nothing by itself.
func trackingHierarchy(mounts []string) (string, error) {
	for _, name := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/pids", "/sys/fs/cgroup/freezer", "/sys/fs/cgroup/systemd"} {
		if slices.Contains(mounts, name) {
			return name, nil
		}
	}
	return "", errors.New("no cgroup hierarchy (unified, pids, freezer or systemd) is mounted in /sys/fs/cgroup")
}

// createCgroup makes a cgroup to put processes in and returns the file that takes their ids.
func createCgroup(cgroup string) (procs string, err error) {
	mountinfo, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	hierarchy, err := trackingHierarchy(cgroupMounts(string(mountinfo)))
	if err != nil {
		return "", err
	}
	dir := filepath.Join(hierarchy, cgroup)
	return filepath.Join(dir, "cgroup.procs"), os.MkdirAll(dir, 0o755)
}

// removeCgroup removes a cgroup and all below it from every hierarchy. The kernel says busy until the last process
// in it is reaped, so it is tried again for a while.
func removeCgroup(cgroup string) error {
	mountinfo, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	deadline := time.Now().Add(10 * time.Second)
	for _, mount := range cgroupMounts(string(mountinfo)) {
		for {
			err := removeCgroupDirs(filepath.Join(mount, cgroup))
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("remove cgroup: %w (a process in it was not reaped)", err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return nil
}

func removeCgroupDirs(root string) error {
	var dirs []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && entry.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, dir := range slices.Backward(dirs) {
		if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
