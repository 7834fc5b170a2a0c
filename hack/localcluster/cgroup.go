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
	for _, name := range []string{"", "/pids", "/freezer", "/systemd"} {
		if mount := "/sys/fs/cgroup" + name; slices.Contains(mounts, mount) {
			return mount, nil
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

// createPodCgroup makes a cgroup for kubelet to make those of pods in, in every hierarchy.
func createPodCgroup(cgroup string) error {
	mountinfo, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for _, mount := range cgroupMounts(string(mountinfo)) {
		dir := mount
		for name := range strings.SplitSeq(strings.Trim(cgroup, "/"), "/") {
			if err := delegateControllers(dir); err != nil {
				return err
			}
			dir = filepath.Join(dir, name)
			if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
			if err := inheritCpuset(dir); err != nil {
				return err
			}
		}
		top, _, _ := strings.Cut(strings.Trim(cgroup, "/"), "/")
		if err := weigh(filepath.Join(mount, top)); err != nil {
			return err
		}
	}
	return nil
}

// weigh lets all pods together count for as much as twenty busy processes outside. By default they would count for one,
// and a compiler beside the cluster would slow every node of it down.
func weigh(dir string) error {
	for name, weight := range map[string]string{"cpu.shares": "20480", "cpu.weight": "2000"} {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := os.WriteFile(path, []byte(weight), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// delegateControllers lets the children of a cgroup use every controller that it has. Only cgroup v2 asks for that.
func delegateControllers(dir string) error {
	if !isCgroup2() {
		return nil
	}
	available, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return err
	}
	err = os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte(enableAll(string(available))), 0o644)
	if errors.Is(err, syscall.EBUSY) {
		return fmt.Errorf(
			"%w: processes are in %s itself, as in a container: run localcluster in the machine's root cgroup",
			err,
			dir,
		)
	}
	return err
}

// enableAll renders the request to enable controllers, from the text of cgroup.controllers.
func enableAll(available string) string {
	var request []string
	for controller := range strings.FieldsSeq(available) {
		request = append(request, "+"+controller)
	}
	return strings.Join(request, " ")
}

// inheritCpuset gives a new cpuset of cgroup v1 what its parent has: it begins empty, and takes no process like that.
func inheritCpuset(dir string) error {
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		own, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) || strings.TrimSpace(string(own)) != "" || isCgroup2() {
			continue
		}
		parent, err := os.ReadFile(filepath.Join(filepath.Dir(dir), name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), parent, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// removeCgroup removes a cgroup and all below it from every hierarchy. The kernel says busy until the last process
// in it is reaped, so it is tried again for a while.
func removeCgroup(cgroup string) error {
	mountinfo, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	deadline := time.Now().Add(30 * time.Second)
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
