// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package application

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/understudy-dev/understudy/provider/supervise"
)

func TestMemoryKills(t *testing.T) {
	for name, tc := range map[string]struct {
		file, text string
		want       int
	}{
		"v2":      {"memory.events", "low 0\noom 7\noom_kill 3\noom_group_kill 1\n", 3},
		"v1":      {"memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n", 2},
		"unknown": {"memory/other", "oom_kill 2\n", 0},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			path := filepath.Join(root, tc.file)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(tc.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := memoryKills(root); got != tc.want {
				t.Errorf("%d kills, want %d", got, tc.want)
			}
		})
	}
}

// Only a kill is blamed on memory, and only one for which the kernel says so.
func TestMemoryHint(t *testing.T) {
	for name, tc := range map[string]struct {
		exit   supervise.Exit
		kills  int
		memory bool
	}{
		"killed for memory":   {supervise.Exit{Signal: syscall.SIGKILL}, 1, true},
		"killed by somebody":  {supervise.Exit{Signal: syscall.SIGKILL}, 0, false},
		"a child was killed":  {supervise.Exit{Code: 1}, 1, false},
		"another signal ends": {supervise.Exit{Signal: syscall.SIGTERM}, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			if hint := memoryHint(tc.exit, 4, 4+tc.kills); (hint != "") != tc.memory {
				t.Errorf("%q", hint)
			}
		})
	}
}
