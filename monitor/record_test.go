// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
	"github.com/understudy-dev/understudy/monitor/instant"
)

// recording is a short run: a monitor starts, and an init says hello.
func recording(t *testing.T) string {
	t.Helper()
	var out bytes.Buffer
	r := recorder{out: &out}
	config := core.Config{Group: "db", PodUID: "uid", Inc: "inc", BootID: "boot", Containers: []string{"main"}}
	c := core.New(config, nil)
	r.start(config, nil)
	now := instant.Instant{Boot: 1, Raw: 1, Wall: 1}
	for _, in := range []core.Input{
		{Started: &core.Started{}},
		{Hello: &core.Hello{Container: "main", Nonce: "n1", Fresh: true}},
		{Emptied: &core.Emptied{Container: "main", Nonce: "n2"}},
	} {
		now = now.Add(time.Second)
		r.step(now, in, c.Step(now, in))
	}
	return out.String()
}

func TestReplay(t *testing.T) {
	good := recording(t)
	var shown bytes.Buffer
	if steps, err := Replay(strings.NewReader(good), &shown); err != nil || steps != 3 {
		t.Fatalf("%d steps, %v", steps, err)
	}
	if !strings.Contains(shown.String(), `"nonce":"n2"`) {
		t.Errorf("shown: %s", shown.String())
	}
	lines := strings.SplitAfter(good, "\n")
	for name, bad := range map[string]string{
		"another effect":    strings.Replace(good, `"expect":{"container":"main","nonce":"n2"}`, `"expect":{"container":"main","nonce":"n3"}`, 1),
		"no beginning":      strings.Join(lines[1:], ""),
		"a step is missing": lines[0] + lines[1] + strings.Replace(lines[3], "n2", "n1", 1),
		"no JSON":           good + "{",
	} {
		if bad == good {
			t.Fatalf("%s: the recording does not have what is to be changed:\n%s", name, good)
		}
		if _, err := Replay(strings.NewReader(bad), nil); err == nil {
			t.Errorf("%s: replays", name)
		}
	}
}

type full struct{ n int }

func (f *full) Write([]byte) (int, error) { f.n++; return 0, errors.New("no space left on device") }

// A recording that cannot be written ends; the run goes on.
func TestRecordingFails(t *testing.T) {
	f := &full{}
	r := recorder{out: f}
	for range 3 {
		r.step(instant.Instant{}, core.Input{}, nil)
	}
	if f.n != 1 {
		t.Errorf("written %d times", f.n)
	}
}

func TestClusterLog(t *testing.T) {
	var out bytes.Buffer
	l := clusterLog{out: &out}
	l.write(instant.Instant{Wall: 1e18 + 5e6}, core.Log{
		Level: engine.LevelError, Component: "RES", Resource: "store", Reason: "Log", Text: "it broke",
	})
	if s := out.String(); !strings.HasSuffix(s, "::2001/09/09-01:46:40.005 ERR  [RES] <store>: Log: it broke\n") {
		t.Errorf("%q", s)
	}
	(&clusterLog{}).write(instant.Instant{}, core.Log{})
}
