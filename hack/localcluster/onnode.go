// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/understudy-dev/understudy/hack/internal/tool"
)

// lockFile is the cluster's lock, held.
type lockFile = *os.File

// onNode does something for one node of the cluster under the cluster's lock.
func (l Layout) onNode(
	ctx context.Context,
	progress *tool.Progress,
	what, name string,
	do func(Node, lockFile) error,
) error {
	n, err := l.Node(name)
	if err != nil {
		return err
	}
	lock, err := lockCluster(ctx, what+" "+name, progress)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := l.mustBeUp(); err != nil {
		return err
	}
	return do(n, lock)
}

func (l Layout) mustBeUp() error {
	if err := l.checkOwner(); err != nil {
		return err
	}
	if _, running := l.running("kube-apiserver"); !running {
		return errors.New("the cluster is not up: run `localcluster up` first")
	}
	return nil
}

// load imports an image into all nodes, or one.
func (l Layout) load(ctx context.Context, progress *tool.Progress, archive, only string) error {
	nodes := l.Nodes()
	if only != "" {
		n, err := l.Node(only)
		if err != nil {
			return err
		}
		nodes = []Node{n}
	}
	archive, err := filepath.Abs(archive)
	if err != nil {
		return err
	}
	if _, err := os.Stat(archive); err != nil {
		return err
	}
	lock, err := lockCluster(ctx, "load "+archive, progress)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := l.mustBeUp(); err != nil {
		return err
	}
	// One after the other: unpacking is work for disk and processor.
	var errs []error
	for _, n := range nodes {
		if _, running := l.running(n.Name() + "-containerd"); !running {
			errs = append(errs, fmt.Errorf("%s is not running: run `localcluster start %s` and load again", n.Name(), n.Name()))
			continue
		}
		if err := l.importImage(ctx, n, archive); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", n.Name(), err))
			continue
		}
		progress.Say("%s has %s", n.Name(), filepath.Base(archive))
	}
	return errors.Join(errs...)
}

func printBinaries(ctx context.Context, progress *tool.Progress, wanted []binary) error {
	dir, err := ensureBinaries(ctx, progress, wanted)
	if err == nil {
		fmt.Println(dir)
	}
	return err
}
