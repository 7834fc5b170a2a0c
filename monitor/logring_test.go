// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
	"github.com/understudy-dev/understudy/monitor/instant"
)

func readLog(t *testing.T, dir string, q LogQuery) []string {
	t.Helper()
	var out bytes.Buffer
	must(t, ReadLog(t.Context(), dir, q, &out))
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
}

// What a provider logs can be read by resource and level, also by a later life.
// Shows: LogEvent.
func TestLogRing(t *testing.T) {
	dir := t.TempDir()
	for life := range 2 {
		l := newClusterLog(newLogRing(dir))
		for level, text := range map[engine.Level]string{
			engine.LevelInformation: "fine", engine.LevelWarning: "odd", engine.LevelError: "bad", engine.LevelSevere: "worse",
		} {
			for _, resource := range []string{"db", "web", ""} {
				l.write(instant.Instant{}, core.Log{
					Level: level, Component: "RES", Resource: resource, Reason: "Log", Text: fmt.Sprint(text, life),
				})
			}
		}
		l.close(patience)
	}
	for want, q := range map[int]LogQuery{
		24: {}, 8: {Resource: "db"}, 18: {Level: engine.LevelWarning}, 6: {Resource: "web", Level: engine.LevelWarning},
		12: {Level: engine.LevelSevere}, 1: {Resource: "none"},
	} {
		if got := readLog(t, dir, q); len(got) != want {
			t.Errorf("%+v: %d lines, want %d: %q", q, len(got), want, got)
		}
	}
	if got := readLog(t, dir, LogQuery{Resource: "none"}); got[0] != "" {
		t.Errorf("%q", got)
	}
	if got := readLog(t, t.TempDir(), LogQuery{}); got[0] != "" {
		t.Errorf("%q", got)
	}
}

// The ring has a bound, and keeps the latest lines.
func TestLogRingBound(t *testing.T) {
	dir := t.TempDir()
	r := newLogRing(dir)
	r.most = 1000
	const lines = 500
	for i := range lines {
		if i%100 == 50 { // another life goes on with what is there
			r = newLogRing(dir)
			r.most = 1000
		}
		_, err := r.Write(logLine(instant.Instant{}, core.Log{Component: "RCM", Text: fmt.Sprintf("line %03d", i)}))
		must(t, err)
	}
	got := readLog(t, dir, LogQuery{})
	if !strings.HasSuffix(got[len(got)-1], "line 499") || len(got) < 10 {
		t.Errorf("%q", got)
	}
	for i, line := range got {
		if want := fmt.Sprintf("line %03d", lines-len(got)+i); !strings.HasSuffix(line, want) {
			t.Fatalf("%q, want %s", line, want)
		}
	}
	for _, name := range []string{ringName, ringOld} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() > 1000 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

// One who follows misses nothing when a new file begins.
func TestFollowLog(t *testing.T) { synctest.Test(t, followLog) }

func followLog(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := newLogRing(dir)
	r.most = 300
	write := func(i int) {
		_, err := r.Write(logLine(instant.Instant{}, core.Log{Component: "RCM", Text: fmt.Sprintf("line %d", i)}))
		must(t, err)
	}
	write(0)
	in, out := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- ReadLog(ctx, dir, LogQuery{Follow: true}, out) }()
	one := make([]byte, 200)
	for i := range 12 { // each is read before the next is written: several files are begun
		n, err := in.Read(one)
		must(t, err)
		if !strings.HasSuffix(string(one[:n]), fmt.Sprintf(": line %d\n", i)) {
			t.Fatalf("%q instead of line %d", one[:n], i)
		}
		if i < 11 {
			write(i + 1)
		}
	}
	cancel()
	select {
	case err := <-done:
		must(t, err)
	case <-time.After(patience):
		t.Error("it follows for ever")
	}
}

// A half line is shown when it is whole.
func TestHalfLogLine(t *testing.T) {
	dir := t.TempDir()
	whole := string(logLine(instant.Instant{}, core.Log{Component: "RCM", Text: "whole"}))
	must(t, os.WriteFile(filepath.Join(dir, ringName), []byte(whole+whole[:20]), 0o600))
	if got := readLog(t, dir, LogQuery{}); len(got) != 1 || got[0]+"\n" != whole {
		t.Errorf("%q", got)
	}
	var out bytes.Buffer
	q := ringReader{LogQuery: LogQuery{}, out: &out}
	r, w := io.Pipe()
	go func() {
		_, _ = io.WriteString(w, whole[20:])
		_ = w.Close()
	}()
	q.half = whole[:20]
	must(t, q.copy(bufio.NewReader(r)))
	if out.String() != whole {
		t.Errorf("%q", out.String())
	}
}

// What a provider writes cannot pass for a line of somebody else.
func TestForgedLogLine(t *testing.T) {
	line := string(logLine(instant.Instant{}, core.Log{
		Component: "RES", Resource: "a", Text: "x\n00000001::2001/09/09-01:46:40.005 ERR  [OWN] forged\x1b[2J",
	}))
	if strings.Count(line, "\n") != 1 || strings.Contains(line, "\x1b") {
		t.Errorf("%q", line)
	}
}
