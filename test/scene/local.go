// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package scene

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// localNodes are the nodes of every local cluster.
var localNodes = []string{"node-1", "node-2", "node-3"}

// Local is the cluster of this machine, and the harm that can be done to its nodes.
type Local struct {
	root, program       string
	kubeconfig, kubectl string
	say                 Say
}

// newLocal builds hack/localcluster; it starts nothing.
func newLocal(ctx context.Context, root string, say Say) (*Local, error) {
	l := &Local{root: root, program: filepath.Join(root, "bin", "tools", "localcluster"), say: say}
	_, err := Command{
		// Without a stamp: git refuses to tell root of a clone that is somebody else's.
		Args: []string{"go", "build", "-buildvcs=false", "-o", l.program, "./hack/localcluster"},
		Dir:  root, Within: 10 * time.Minute,
	}.Run(ctx)
	if err != nil {
		return nil, err
	}
	path, err := l.run(ctx, time.Minute, "kubeconfig")
	l.kubeconfig = strings.TrimSpace(path)
	return l, err
}

// LocalRunning tells whether this machine has a local cluster already.
func LocalRunning(ctx context.Context) (bool, error) {
	root, err := Root()
	if err != nil {
		return false, err
	}
	l, err := newLocal(ctx, root, nil)
	if err != nil {
		return false, err
	}
	_, err = os.Stat(l.kubeconfig)
	return err == nil, nil
}

// Mend heals every node that is cut off and starts every node that was killed.
func (l *Local) Mend(ctx context.Context) error {
	for _, node := range localNodes {
		if _, err := os.Stat(filepath.Join(l.State(), node, "partition")); err == nil {
			if err := l.Heal(ctx, node); err != nil {
				return err
			}
		}
	}
	return l.Up(ctx)
}

// Program is the path of the built hack/localcluster.
func (l *Local) Program() string { return l.program }

// State is the folder of everything that the cluster keeps.
func (l *Local) State() string { return filepath.Dir(l.kubeconfig) }

// Up brings the cluster up, or what of it does not run. The first time on a machine
// it builds Kubernetes.
func (l *Local) Up(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return errors.New("a local cluster needs root: become root, or set KUBECONFIG to use another cluster")
	}
	// Building Kubernetes takes its time: what goes on is shown.
	_, err := Command{Args: []string{l.program, "up"}, Dir: l.root, Show: os.Stderr, Within: time.Hour}.Run(ctx)
	if err != nil {
		return err
	}
	dir, err := l.run(ctx, time.Hour, "assets")
	l.kubectl = filepath.Join(strings.TrimSpace(dir), "kubectl")
	return err
}

// Down removes the cluster.
func (l *Local) Down(ctx context.Context) error {
	_, err := l.run(ctx, 5*time.Minute, "down")
	return err
}

// Load gives all nodes an image.
func (l *Local) Load(ctx context.Context, archive string) error {
	_, err := l.run(ctx, 10*time.Minute, "load", archive)
	return err
}

// Partition cuts a node off from everything; its processes go on.
func (l *Local) Partition(ctx context.Context, node string) error {
	_, err := l.run(ctx, time.Minute, "partition", node, "--from", "all")
	return err
}

// Heal ends Partition.
func (l *Local) Heal(ctx context.Context, node string) error {
	_, err := l.run(ctx, time.Minute, "heal", node)
	return err
}

// Kill takes a node down as a loss of power would.
func (l *Local) Kill(ctx context.Context, node string) error {
	_, err := l.run(ctx, 2*time.Minute, "kill", node)
	return err
}

// Start brings a killed node back.
func (l *Local) Start(ctx context.Context, node string) error {
	_, err := l.run(ctx, 5*time.Minute, "start", node)
	return err
}

// AuditLog is the path of the API server's audit log: JSON lines.
func (l *Local) AuditLog() string { return filepath.Join(l.State(), "audit.log") }

func (l *Local) run(ctx context.Context, within time.Duration, args ...string) (string, error) {
	return Command{Args: append([]string{l.program}, args...), Dir: l.root, Within: within}.Run(ctx)
}
