//go:build e2e

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/understudy-dev/understudy/test/scene"
)

// cluster is the one on which all tests run; wasUp tells whether somebody else had
// brought it up.
var (
	cluster *scene.Cluster
	wasUp   bool
)

func TestMain(m *testing.M) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := setUp(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func setUp(ctx context.Context) (err error) {
	began := time.Now()
	say := func(format string, args ...any) {
		fmt.Printf("%7.1fs  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}
	// These tests do harm to nodes: only to those of the local cluster.
	if err := os.Unsetenv("KUBECONFIG"); err != nil {
		return err
	}
	if wasUp, err = scene.LocalRunning(ctx); err != nil {
		return err
	}
	if cluster, err = scene.Open(ctx, say); err != nil {
		return err
	}
	if err := cluster.Local.Mend(ctx); err != nil {
		return err
	}
	if err := cluster.LoadImages(ctx); err != nil {
		return err
	}
	return cluster.Install(ctx)
}
