// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"encoding/json"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/instant"
)

// The lines of a recording that may wait to be written.
const (
	recordLines = 8192
	recordBytes = 8 << 20
)

// recorder writes a run as JSON lines. A recording that cannot be written, or not
// as fast as the run is, ends, because one with a gap replays nothing; the run
// goes on.
type recorder struct {
	box  *outbox
	over atomic.Bool
	// told takes why the recording ended, once.
	told func(reason string)
}

// newRecorder makes a recorder; nil records nothing.
func newRecorder(out io.Writer, told func(reason string)) *recorder {
	r := &recorder{told: told}
	if out == nil {
		r.over.Store(true)
		return r
	}
	r.box = newOutbox(out, recordLines, recordBytes)
	r.box.failed = func(err error) { r.end(err.Error()) }
	go r.box.run()
	return r
}

func (r *recorder) start(config core.Config, state *core.State) {
	r.line(core.Line{Config: &config, State: state})
}

func (r *recorder) step(at instant.Instant, in core.Input, effects []core.Effect) {
	r.line(core.Line{At: &at, Input: &in, Effects: effects})
}

func (r *recorder) line(l core.Line) {
	if r.over.Load() {
		return
	}
	line, err := json.Marshal(l)
	switch {
	case err != nil:
		r.end(err.Error())
	case !r.box.put(append(line, '\n')):
		r.end("it was not written as fast as it grew")
	}
}

func (r *recorder) end(reason string) {
	if !r.over.Swap(true) {
		r.told(reason)
	}
}

// close waits a while until all is written.
func (r *recorder) close(limit time.Duration) {
	if r.box != nil {
		r.box.close(limit)
	}
}

// Replay runs a recording through a core of its own and reports the first step
// whose effects differ from the recorded ones; with show, every step is written.
func Replay(in io.Reader, show io.Writer) (steps int, err error) {
	var c *core.Core
	lines := json.NewDecoder(in)
	for {
		var l core.Line
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
