// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	guardv1 "github.com/understudy-dev/understudy/api/guard/v1"
	"github.com/understudy-dev/understudy/monitor/core"
)

func TestStuckFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, guardv1.StuckName)
	must(t, os.WriteFile(path, nil, 0o644)) // an earlier life's
	f, err := newStuckFile(dir)
	must(t, err)
	check := func(want bool) {
		t.Helper()
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%v, want it to be there: %v", err, want)
		}
	}
	check(false)
	synctest.Test(t, func(t *testing.T) {
		l := &loop{stuck: map[string]*stuckFile{"main": f}, log: newClusterLog(nil)}
		for _, want := range []bool{true, true, false, false, true} {
			must(t, l.carryOut(t.Context(), core.Effect{Stuck: &core.Stuck{Container: "main", Stuck: want}}))
			synctest.Wait()
			check(want)
		}
		must(t, l.carryOut(t.Context(), core.Effect{Stuck: &core.Stuck{Container: "unknown", Stuck: true}}))
	})
}
