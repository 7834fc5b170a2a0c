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
	"github.com/understudy-dev/understudy/monitor/instant"
)

// recording is a short run: a monitor starts, and an init says hello.
func recording(t *testing.T) string {
	t.Helper()
	var out bytes.Buffer
	r := newRecorder(&out, func(reason string) { t.Error(reason) })
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
	r.close(patience)
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
	f, told := &full{}, []string{}
	r := newRecorder(f, func(reason string) { told = append(told, reason) })
	for range 3 {
		r.step(instant.Instant{}, core.Input{}, nil)
	}
	r.close(patience)
	if f.n != 1 || len(told) != 1 || told[0] != "no space left on device" {
		t.Errorf("written %d times; told %q", f.n, told)
	}
}

// So does one that cannot be written as fast as the run is: what came before the
// gap replays.
func TestRecordingLags(t *testing.T) {
	for name, text := range map[string]string{"many lines": "", "long lines": strings.Repeat("x", 1<<16)} {
		t.Run(name, func(t *testing.T) {
			d, told := newDam(), 0
			r := newRecorder(d, func(string) { told++ })
			config := core.Config{Group: "db", PodUID: "uid", Inc: "inc", BootID: "boot", Containers: []string{"main"}}
			c := core.New(config, nil)
			r.start(config, nil)
			most := 0
			for now := (instant.Instant{Boot: 1}); told == 0; now = now.Add(time.Millisecond) {
				in := core.Input{Stopping: &core.Stopping{Container: "main", Reason: text}}
				r.step(now, in, c.Step(now, in))
				if most++; most > 2*recordLines {
					t.Fatal("it goes on for ever")
				}
			}
			r.step(instant.Instant{}, core.Input{}, nil)
			close(d.open)
			r.close(patience)
			if told != 1 {
				t.Errorf("told %d times", told)
			}
			if steps, err := Replay(&d.out, nil); err != nil || steps < 100 || steps >= most {
				t.Errorf("%d of %d steps replay: %v", steps, most, err)
			}
		})
	}
}
