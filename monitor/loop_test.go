// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"context"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/understudy-dev/understudy/monitor/clock"
	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/journal"
	"github.com/understudy-dev/understudy/monitor/kube"
)

// newTestLoop is a loop without a peer: no API server answers, no init comes. end ends
// what it started, and may be called again.
func newTestLoop(t *testing.T, config Config) (l *loop, ctx context.Context, end func()) {
	t.Helper()
	if config.StateDir == "" {
		config.StateDir = t.TempDir()
	}
	j, err := journal.Open(t.TempDir())
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	l = newLoop(ctx, config, core.Config{
		Group: "g", Namespace: "n", PodUID: "u", BootID: "b", Containers: []string{"main"},
	}, nil, j)
	end = func() {
		cancel()
		l.wait.Wait()
	}
	l.alarm, err = clock.NewAlarm(ctx)
	must(t, err)
	l.kube, err = kube.New(kube.Config{REST: &rest.Config{}, Sink: l.input})
	must(t, err)
	return l, ctx, end
}
