// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package application_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
	"github.com/understudy-dev/understudy/internal/testmonitor"
	"github.com/understudy-dev/understudy/provider/application"
)

// epochFile is where anybody in the container finds the epoch.
func epochFile(h *host) string {
	return filepath.Join(filepath.Dir(h.monitor.Provider), application.EpochDir, "default_app")
}

func gone(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// TestEpochFile: it is there before the program is, with the program's epoch, for its
// checks as well, and goes with the program, however that ends.
func TestEpochFile(t *testing.T) {
	said := filepath.Join(t.TempDir(), "said")
	h := start(t, map[string]any{
		"command": []any{"/bin/sh", "-c",
			`cat "$UNDERSTUDY_EPOCH_FILE" >` + said + `.new; mv ` + said + `.new ` + said + `; exec sleep 1000`},
		"isAlive": map[string]any{"exec": map[string]any{"command": []any{
			"/bin/sh", "-c", `echo "$UNDERSTUDY_EPOCH, $(cat "$UNDERSTUDY_EPOCH_FILE")"; exit 1`,
		}}, "timeoutMilliseconds": 10000},
	})
	file := epochFile(h)
	for _, c := range []struct {
		epoch string
		end   func()
	}{
		{"8", h.mustOffline},
		{"9", func() { h.terminate(5 * time.Second) }},
		{"10", func() { // the program alone, of which nobody asks anything
			for _, shim := range children(h.process.Pid) {
				for _, program := range children(shim) {
					_ = (&os.Process{Pid: program}).Kill()
				}
			}
			testmonitor.Wait[*pb.SignalFailureRequest](t, h.monitor, nil)
		}},
		{"11", func() { h.terminate(5 * time.Second) }},
	} {
		_ = os.Remove(said)
		h.epoch = int64(number(t, c.epoch))
		h.mustOnline()
		if got := content(t, said); got != c.epoch {
			t.Errorf("the program reads %q, want %s", got, c.epoch)
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o644 {
			t.Fatalf("%v, %v; want a file that everybody can read", info, err)
		}
		if want := c.epoch + ", " + c.epoch; !strings.Contains(h.isAlive().GetMessage(), want) {
			t.Errorf("the check finds %q, want %q", h.isAlive().GetMessage(), want)
		}
		c.end()
		eventually(t, "the file is gone", func() bool { return gone(file) })
	}
}

// TestEpochFileOfAnEarlierLife: a provider that was killed leaves the file; the next one
// does not.
func TestEpochFileOfAnEarlierLife(t *testing.T) {
	h := start(t, map[string]any{"command": command(t, "stubborn")})
	h.mustOnline()
	_ = h.process.Kill()
	<-h.exited
	file := epochFile(h)
	if gone(file) {
		t.Fatal("nothing was left: this proves nothing")
	}
	next := launchWith(t, h.monitor, exec.Command(self(t), "serve"))
	next.open(map[string]any{"command": command(t, "stubborn")})
	if !gone(file) {
		t.Error("the file outlived the provider")
	}
}

// TestEpochFileThatCannotBeWritten keeps no program down.
func TestEpochFileThatCannotBeWritten(t *testing.T) {
	env := filepath.Join(t.TempDir(), "env")
	h := start(t, map[string]any{"command": command(t, "env", env)})
	if err := os.WriteFile(filepath.Dir(epochFile(h)), nil, 0o600); err != nil { // where the folder should be
		t.Fatal(err)
	}
	h.mustOnline()
	if got := "\n" + content(t, env) + "\n"; !strings.Contains(got, "\nUNDERSTUDY_EPOCH_FILE=\n") || !strings.Contains(got, "\nUNDERSTUDY_EPOCH=7\n") {
		t.Errorf("the program finds %s", got)
	}
	testmonitor.Wait(t, h.monitor, func(l *pb.LogEventRequest) bool {
		return l.GetLogLevel() == pb.LogLevel_LOG_LEVEL_WARNING && strings.Contains(l.GetMessage(), "UNDERSTUDY_EPOCH_FILE")
	})
}
