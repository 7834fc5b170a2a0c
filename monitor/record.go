// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
	"github.com/understudy-dev/understudy/monitor/instant"
)

// Line is one line of a recording: the first has Config and State, each later one
// a step.
type Line struct {
	Config  *core.Config     `json:"config,omitempty"`
	State   *core.State      `json:"state,omitempty"`
	At      *instant.Instant `json:"at,omitempty"`
	Input   *core.Input      `json:"input,omitempty"`
	Effects []core.Effect    `json:"effects,omitempty"`
}

// recorder writes a run as JSON lines. A recording that cannot be written ends;
// the run goes on.
type recorder struct {
	out io.Writer
}

func (r *recorder) start(config core.Config, state *core.State) {
	r.line(Line{Config: &config, State: state})
}

func (r *recorder) step(at instant.Instant, in core.Input, effects []core.Effect) {
	r.line(Line{At: &at, Input: &in, Effects: effects})
}

func (r *recorder) line(l Line) {
	if r.out == nil {
		return
	}
	if err := json.NewEncoder(r.out).Encode(l); err != nil {
		r.out = nil
	}
}

// Replay runs a recording through a core of its own and reports the first step
// whose effects differ from the recorded ones; with show, every step is written.
func Replay(in io.Reader, show io.Writer) (steps int, err error) {
	var c *core.Core
	lines := json.NewDecoder(in)
	for {
		var l Line
		if err := lines.Decode(&l); err == io.EOF {
			return steps, nil
		} else if err != nil {
			return steps, fmt.Errorf("line %d: %w", steps+2, err)
		}
		switch {
		case l.Config != nil:
			c = core.New(*l.Config, l.State)
		case c == nil || l.At == nil || l.Input == nil:
			return steps, fmt.Errorf("line %d: neither the start of a recording nor a step", steps+1)
		default:
			got := c.Step(*l.At, *l.Input)
			steps++
			if err := compare(got, l.Effects); err != nil {
				return steps, fmt.Errorf("step %d: %w", steps, err)
			}
			if show != nil {
				input, _ := json.Marshal(l.Input) //nolint:errchkjson // it was just decoded
				_, _ = fmt.Fprintf(show, "%s %s\n", l.At.WallTime().Format("15:04:05.000000"), input)
				for _, e := range got {
					effect, _ := json.Marshal(e) //nolint:errchkjson // plain data
					_, _ = fmt.Fprintf(show, "    -> %s\n", effect)
				}
			}
		}
	}
}

func compare(got, want []core.Effect) error {
	a, err := json.Marshal(got)
	if err != nil {
		return fmt.Errorf("effects: %w", err)
	}
	b, err := json.Marshal(want)
	if err != nil {
		return fmt.Errorf("recorded effects: %w", err)
	}
	if string(a) != string(b) && len(got)+len(want) > 0 {
		return fmt.Errorf("effects differ\n  recorded: %s\n  now:      %s", b, a)
	}
	return nil
}

// clusterLog writes lines in the form of a cluster log (RA section 9).
type clusterLog struct {
	mu  sync.Mutex
	out io.Writer
}

func (c *clusterLog) write(at instant.Instant, l core.Log) {
	if c.out == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	level := "INFO"
	switch {
	case l.Level >= engine.LevelError:
		level = "ERR "
	case l.Level == engine.LevelWarning:
		level = "WARN"
	}
	about := ""
	if l.Resource != "" {
		about = "<" + l.Resource + ">: "
	}
	_, _ = fmt.Fprintf(c.out, "%08x::%s %s [%s] %s%s: %s\n", os.Getpid(),
		at.WallTime().Format("2006/01/02-15:04:05.000"), level, l.Component, about, l.Reason, l.Text)
}
