// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/understudy-dev/understudy/hack/internal/tool"
)

// runtimeDir is where the one cluster of this machine is registered, whatever its state folder.
const runtimeDir = "/run/understudy-localcluster"

// lockCluster takes the lock that every command that changes the cluster holds.
func lockCluster(ctx context.Context, what string, progress *tool.Progress) (*os.File, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("this needs root: network namespaces, mounts and cgroups are made")
	}
	return tool.Lock(ctx, filepath.Join(runtimeDir, "lock"), "localcluster "+what, progress)
}

// checkOwner refuses a state folder that is not that of the machine's cluster, or not localcluster's at all. There
// can be only one cluster, as names and addresses are fixed.
func (l Layout) checkOwner() error {
	text, err := os.ReadFile(filepath.Join(runtimeDir, "state"))
	if other := strings.TrimSpace(string(text)); err == nil && other != l.State {
		return fmt.Errorf(
			"another cluster is on this machine: remove it first, with `%s=%s localcluster down`",
			stateVariable,
			other,
		)
	}
	entries, err := os.ReadDir(l.State)
	if err == nil && len(entries) > 0 && !l.isState() {
		return fmt.Errorf(
			"%s is not empty and not a state folder of localcluster: set %s to another folder",
			l.State,
			stateVariable,
		)
	}
	return nil
}

// claim registers the state folder as that of the machine's cluster.
func (l Layout) claim() error {
	if err := l.checkOwner(); err != nil {
		return err
	}
	if err := os.MkdirAll(l.State, 0o755); err != nil {
		return err
	}
	if err := writeIfChanged(l.Path(stateMarker), nil, 0o644); err != nil {
		return err
	}
	return writeIfChanged(filepath.Join(runtimeDir, "state"), []byte(l.State+"\n"), 0o644)
}

// isState tells whether localcluster made the state folder, so that it may remove it.
func (l Layout) isState() bool {
	_, err := os.Stat(l.Path(stateMarker))
	return err == nil
}

// hostBefore is what `down` puts back: kubelet and containerd use some places of the machine whatever they are told.
type hostBefore struct {
	// Sysctls are settings that kubelet changes.
	Sysctls map[string]string `json:"sysctls"`
	// Absent are folders that were not there.
	Absent []string `json:"absent"`
}

var kubeletSysctls = []string{
	"vm/overcommit_memory",
	"vm/panic_on_oom",
	"kernel/panic",
	"kernel/panic_on_oops",
	"kernel/keys/root_maxkeys",
	"kernel/keys/root_maxbytes",
}

// Parents before children.
var hostFolders = []string{
	"/etc/cni",
	"/etc/cni/net.d",
	"/opt/containerd",
	"/opt/containerd/bin",
	"/opt/containerd/lib",
	"/run/containerd",
	"/run/containerd/s",
	"/run/containerd/runc",
	"/run/netns",
	"/var/lib/cni",
	"/var/lib/cni/results",
	"/var/lib/kubelet",
	"/var/lib/kubelet/device-plugins",
	"/var/log/containers",
	"/var/log/pods",
}

// rememberHost saves what `down` puts back, once.
func (l Layout) rememberHost() error {
	file := l.Path("host-before.json")
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	before := hostBefore{Sysctls: map[string]string{}}
	for _, name := range kubeletSysctls {
		if value, err := os.ReadFile("/proc/sys/" + name); err == nil {
			before.Sysctls[name] = strings.TrimSpace(string(value))
		}
	}
	for _, folder := range hostFolders {
		if _, err := os.Lstat(folder); errors.Is(err, fs.ErrNotExist) {
			before.Absent = append(before.Absent, folder)
		}
	}
	return writeIfChanged(file, mustJSON(before), 0o644)
}

// restoreHost puts back what was before. Folders are removed only if nobody else put something into them.
func (l Layout) restoreHost() error {
	text, err := os.ReadFile(l.Path("host-before.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var before hostBefore
	if err == nil {
		err = json.Unmarshal(text, &before)
	}
	if err != nil {
		return err
	}
	for name, value := range before.Sysctls {
		path := "/proc/sys/" + name
		now, err := os.ReadFile(path)
		if err == nil && strings.TrimSpace(string(now)) != value {
			if err := os.WriteFile(path, []byte(value), 0); err != nil {
				return err
			}
		}
	}
	links, _ := filepath.Glob("/var/log/containers/*.log")
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, l.State+"/") {
			os.Remove(link)
		}
	}
	if slices.Contains(before.Absent, "/var/lib/kubelet/device-plugins") {
		for _, name := range []string{"kubelet.sock", "DEPRECATION"} {
			os.Remove("/var/lib/kubelet/device-plugins/" + name)
		}
	}
	for _, folder := range slices.Backward(before.Absent) {
		// `ip netns` mounts its folder on itself.
		if entries, err := os.ReadDir(folder); err == nil && len(entries) == 0 && folder == "/run/netns" {
			_ = syscall.Unmount(folder, syscall.MNT_DETACH)
		}
		os.Remove(folder)
	}
	return nil
}
