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
	"sync"
	"time"

	"github.com/understudy-dev/understudy/hack/internal/tool"
)

// clusterPackages are the Debian packages of which the cluster uses programs.
var clusterPackages = []string{
	"containerd",
	"runc",
	"containernetworking-plugins",
	"iproute2",
	"nftables",
	"util-linux",
}

// up brings the cluster to where it should be, from wherever it is.
func (l Layout) up(ctx context.Context, progress *tool.Progress) error {
	bin, err := ensureBinaries(ctx, progress, binaries)
	if err != nil {
		return err
	}
	lock, err := lockCluster(ctx, "up", progress)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := l.claim(); err != nil {
		return err
	}
	if err := l.rememberHost(); err != nil {
		return err
	}
	if err := tool.EnsurePackages(ctx, progress, clusterPackages...); err != nil {
		return err
	}
	if err := l.prepare(ctx); err != nil {
		return err
	}
	// For `start`, which has to work from anywhere.
	if err := writeIfChanged(l.Path("binaries"), []byte(bin+"\n"), 0o644); err != nil {
		return err
	}
	if err := l.startControlPlane(ctx, progress, bin, lock); err != nil {
		return err
	}
	progress.Say("starting the nodes")
	err = l.eachNode(func(n Node) error {
		if err := l.startNode(ctx, n, bin, lock); err != nil {
			return err
		}
		if cable := l.cable(n); cable != "whole" {
			progress.Say("%s runs, but its cable is %s: see `localcluster heal %s`", n.Name(), cable, n.Name())
			return nil
		}
		progress.Say("%s is ready", n.Name())
		return nil
	})
	if err != nil {
		return err
	}
	return l.awaitAccounts(ctx)
}

// prepare makes everything that processes need, but processes.
func (l Layout) prepare(ctx context.Context) error {
	if err := l.ensurePKI(time.Now()); err != nil {
		return err
	}
	if err := l.ensureKubeconfigs(); err != nil {
		return err
	}
	if err := l.ensureSandboxImage(ctx); err != nil {
		return err
	}
	for path, content := range map[string]string{"audit-policy.yaml": auditPolicy, "resolv.conf": resolvConf} {
		if err := writeIfChanged(l.Path(path), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return ensureBridge(ctx)
}

func (l Layout) startControlPlane(ctx context.Context, progress *tool.Progress, bin string, lock *os.File) error {
	// Only root may read what is in the cluster's store.
	if err := os.MkdirAll(l.Path("etcd"), 0o700); err != nil {
		return err
	}
	client, err := l.api()
	if err != nil {
		return err
	}
	for _, d := range l.controlPlane(bin) {
		started, err := l.ensure(ctx, d, lock)
		if err != nil {
			return err
		}
		if started {
			progress.Say("started %s", d.name)
		}
		if d.name != "kube-apiserver" {
			continue
		}
		// What comes after it would only fail, and try again after long pauses.
		if err := l.await(ctx, 2*time.Minute, "the API server", []string{"etcd", d.name}, client.ready); err != nil {
			return err
		}
	}
	return nil
}

// awaitAccounts waits until the default namespace takes pods.
func (l Layout) awaitAccounts(ctx context.Context) error {
	client, err := l.api()
	if err != nil {
		return err
	}
	return l.await(
		ctx,
		time.Minute,
		"the default service account",
		[]string{"kube-controller-manager"},
		client.handsOutAccounts,
	)
}

// await waits until look returns no error, or a daemon that it depends on has ended.
func (l Layout) await(
	ctx context.Context,
	deadline time.Duration,
	what string,
	daemons []string,
	look func(context.Context) error,
) error {
	return waitFor(ctx, deadline, what, func(ctx context.Context) error {
		for _, name := range daemons {
			if _, running := l.running(name); !running {
				return permanent(fmt.Errorf("%s ended, see `localcluster logs %s`", name, name))
			}
		}
		return look(ctx)
	})
}

// eachNode does something for all nodes at once.
func (l Layout) eachNode(do func(Node) error) error {
	nodes := l.Nodes()
	errs := make([]error, len(nodes))
	var group sync.WaitGroup
	for i, n := range nodes {
		group.Go(func() {
			if err := do(n); err != nil {
				errs[i] = fmt.Errorf("%s: %w", n.Name(), err)
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// down removes everything, from wherever the cluster is: after a crash of localcluster as well as of the machine.
func (l Layout) down(ctx context.Context, progress *tool.Progress) error {
	lock, err := lockCluster(ctx, "down", progress)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := l.checkOwner(); err != nil {
		return err
	}
	progress.Say("ending processes, removing networks and mounts")
	if err := killCgroup(ctx, controlPlaneCgroup); err != nil {
		return err
	}
	if err := l.eachNode(func(n Node) error { return l.powerOff(ctx, n) }); err != nil {
		return err
	}
	if err := killCgroup(ctx, cgroupRoot); err != nil {
		return err
	}
	if err := removeLink(ctx, bridge); err != nil {
		return err
	}
	if err := dropTable(ctx, "", "inet", guardTable); err != nil {
		return err
	}
	if err := unmountBelow(l.State); err != nil {
		return err
	}
	if err := removeCgroup(cgroupRoot); err != nil {
		return err
	}
	if l.isState() {
		if err := l.restoreHost(); err != nil {
			return err
		}
		if err := l.removeState(); err != nil {
			return err
		}
	}
	progress.Say("the cluster is gone")
	return os.RemoveAll(runtimeDir)
}

// removeState removes the state folder, its marker last, so that a removal cut short can be gone on with.
func (l Layout) removeState() error {
	entries, err := os.ReadDir(l.State)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Name() != stateMarker {
			if err := os.RemoveAll(filepath.Join(l.State, entry.Name())); err != nil {
				return err
			}
		}
	}
	if err := os.Remove(l.Path(stateMarker)); err != nil {
		return err
	}
	// The folder may be a mount point or a link of somebody's.
	if err := os.Remove(l.State); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: it is empty, remove it yourself", err)
	}
	return nil
}
