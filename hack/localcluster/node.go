// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/understudy-dev/understudy/hack/internal/tool"
)

// startNode starts what of a node does not run, and waits until it is ready for pods, unless it
// is cut off.
func (l Layout) startNode(ctx context.Context, n Node, bin string, lock *os.File) error {
	ready, err := n.networkReady(ctx)
	if err != nil {
		return err
	}
	if !ready {
		// Whatever still runs is in a network that is gone or half made.
		if err := l.powerOff(ctx, n); err != nil {
			return err
		}
		if err := plugIn(ctx, n, l.Nodes()); err != nil {
			return err
		}
	}
	for path, content := range map[string][]byte{
		n.Path("containerd.toml"):               containerdConfig(n, l.snapshotter()),
		n.Path("cni", "10-understudy.conflist"): cniConfig(n),
		n.Path("kubelet.json"):                  kubeletConfig(l, n),
	} {
		if err := writeIfChanged(path, content, 0o644); err != nil {
			return err
		}
	}
	if err := createPodCgroup(n.Cgroup() + "/pods"); err != nil {
		return err
	}
	client, err := l.api()
	if err != nil {
		return err
	}
	since := time.Time{}
	for _, d := range n.daemons(l, bin) {
		begin := time.Now()
		started, err := l.ensure(ctx, d, lock)
		if err != nil {
			return err
		}
		switch d.name {
		case n.Name() + "-containerd":
			if err := l.prepareContainerd(ctx, n); err != nil {
				return err
			}
		case n.Name() + "-kubelet":
			if !started {
				continue
			}
			since = begin
			// kube-proxy ends when its node gets an address after it has started.
			err := l.await(ctx, time.Minute, n.Name()+" to register", []string{d.name}, func(ctx context.Context) error {
				return client.nodeHasAddress(ctx, n)
			})
			if err != nil {
				return err
			}
		}
	}
	if _, err := os.Stat(n.partitionFile()); err == nil {
		return nil // it may not be ready before it is healed
	}
	var names []string
	for _, d := range n.daemons(l, bin) {
		names = append(names, d.name)
	}
	return l.await(ctx, 90*time.Second, n.Name()+" to be ready", names, func(ctx context.Context) error {
		return client.nodeReady(ctx, n.Name(), since)
	})
}

// prepareContainerd waits until containerd answers and sees to it that it has the sandbox image.
func (l Layout) prepareContainerd(ctx context.Context, n Node) error {
	var images string
	name := n.Name() + "-containerd"
	err := l.await(ctx, time.Minute, name+" to answer", []string{name}, func(ctx context.Context) (err error) {
		if err := criAnswers(ctx, n.Socket()); err != nil {
			return err
		}
		images, err = n.ctr(ctx, "images", "ls", "-q")
		return err
	})
	if err != nil || strings.Contains(images, "/"+sandboxImage+"\n") {
		return err
	}
	return l.importImage(ctx, n, l.sandboxArchive())
}

func (n Node) ctr(ctx context.Context, args ...string) (string, error) {
	return tool.Command{
		Args:     append([]string{"ctr", "--address", n.Socket(), "--namespace", "k8s.io"}, args...),
		Deadline: 5 * time.Minute,
	}.Run(ctx)
}

// importImage loads a docker-archive or OCI tarball into a node.
func (l Layout) importImage(ctx context.Context, n Node, archive string) error {
	_, err := n.ctr(ctx, "images", "import", "--snapshotter", l.snapshotter(), archive)
	return err
}

const overlayMagic = 0x794c7630

// snapshotter chooses how containerd keeps images: overlayfs, unless the state folder is on one itself.
func (l Layout) snapshotter() string {
	var stat syscall.Statfs_t
	if syscall.Statfs(l.State, &stat) == nil && uint32(stat.Type) == overlayMagic {
		return "native"
	}
	return "overlayfs"
}

// powerOff takes a node down as a power loss would: nobody gets a word out, nothing is tidied up. What a machine
// keeps over a reboot stays: images, volumes on disk, what containerd knows of its containers.
func (l Layout) powerOff(ctx context.Context, n Node) error {
	if err := removeLink(ctx, n.Veth()); err != nil {
		return err
	}
	if err := killCgroup(ctx, n.Cgroup()); err != nil {
		return err
	}
	for _, d := range n.daemons(l, "") {
		if err := os.Remove(l.recordPath(d.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := n.heal(ctx); err != nil {
		return err
	}
	n.removeShimSockets()
	if err := unmountBelow(n.State); err != nil {
		return err
	}
	if err := removeNodeNetwork(ctx, n); err != nil {
		return err
	}
	if err := os.RemoveAll(n.Path("run")); err != nil {
		return err
	}
	n.removeNetworkResults()
	return removeCgroup(n.Cgroup())
}

// removeShimSockets removes the sockets of dead containers: containerd keeps them in a folder of the machine.
func (n Node) removeShimSockets() {
	files, _ := filepath.Glob(n.Path("run", "containerd", "io.containerd.runtime.v2.task", "*", "*", "address"))
	for _, file := range files {
		address, err := os.ReadFile(file)
		if socket, ok := strings.CutPrefix(
			string(address),
			"unix://",
		); err == nil && ok &&
			strings.HasPrefix(socket, "/run/containerd/s/") {
			os.Remove(filepath.Clean(socket))
		}
	}
}

// removeNetworkResults removes what the CNI library noted of dead pods: it keeps that in a folder of the machine.
func (n Node) removeNetworkResults() {
	const folder = "/var/lib/cni/results/"
	files, _ := filepath.Glob(folder + cniNetwork(n) + "-*")
	for _, file := range files {
		sandbox := strings.TrimSuffix(strings.TrimPrefix(file, folder+cniNetwork(n)+"-"), "-eth0")
		os.Remove(folder + "cni-loopback-" + sandbox + "-lo")
		os.Remove(file)
	}
}

// unmountBelow removes every mount strictly below a folder.
func unmountBelow(folder string) error {
	for range 3 {
		mountinfo, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			return err
		}
		mounts := mountsBelow(string(mountinfo), folder)
		if len(mounts) == 0 {
			return nil
		}
		for _, mount := range mounts {
			if err := syscall.Unmount(mount, syscall.MNT_DETACH); err != nil && err != syscall.EINVAL && err != syscall.ENOENT {
				return fmt.Errorf("unmount %s: %w", mount, err)
			}
		}
	}
	return fmt.Errorf("mounts below %s keep coming back: look into /proc/self/mountinfo", folder)
}
