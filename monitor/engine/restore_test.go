// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"encoding/json"
	"testing"
)

// restored is a rig whose monitor was killed: the engine is made anew of the
// journal, calls and armed timer are lost, providers go on.
func restored(t *testing.T, g *rig) *rig {
	t.Helper()
	b, err := json.Marshal(g.e.Snapshot(g.now))
	if err != nil {
		t.Fatal(err)
	}
	var s Snapshot
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	n := &rig{t: t, e: Restore(Config{}, s), now: g.now.Add(10 * ms)}
	return n
}
