// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
	"github.com/understudy-dev/understudy/monitor/instant"
)

func TestClusterLog(t *testing.T) {
	var out bytes.Buffer
	l := newClusterLog(&out)
	l.write(instant.Instant{Wall: 1e18 + 5e6}, core.Log{
		Level: engine.LevelError, Component: "RES", Resource: "store", Reason: "Log", Text: "it broke",
	})
	l.close(patience)
	if s := out.String(); !strings.HasSuffix(s, "::2001/09/09-01:46:40.005 ERR  [RES] <store>: Log: it broke\n") {
		t.Errorf("%q", s)
	}
	none := newClusterLog(nil)
	none.write(instant.Instant{}, core.Log{})
	none.close(patience)
}

// A log that nobody reads drops what is too much, and says how much where it is
// missing, once somebody reads again.
func TestClusterLogThatNobodyReads(t *testing.T) {
	d := newDam()
	l := newClusterLog(d)
	const lines = 3 * logLines
	l.write(instant.Instant{}, core.Log{Text: "the first line"})
	<-d.reached
	for i := 1; i < lines; i++ {
		l.write(instant.Instant{}, core.Log{Text: fmt.Sprint("line ", i)})
	}
	close(d.open)
	l.close(patience)
	got := strings.Split(strings.TrimSpace(d.out.String()), "\n")
	kept := len(got) - 1
	if kept != 1+logLines {
		t.Errorf("%d lines were kept", kept)
	}
	if want := fmt.Sprintf(" WARN [RCM] LogDropped: %d lines were dropped here", lines-kept); !strings.Contains(got[kept], want) {
		t.Errorf("at the end %q, want %q", got[kept], want)
	}
}

// What comes after a gap stands after it.
func TestClusterLogAfterAGap(t *testing.T) {
	s := &logSink{box: newOutbox(&bytes.Buffer{}, 2, logBytes)} // nobody runs it yet
	l := &clusterLog{sinks: []*logSink{s}}
	for i := range 5 {
		l.write(instant.Instant{}, core.Log{Text: fmt.Sprint("line ", i)})
	}
	<-s.box.lines
	l.write(instant.Instant{}, core.Log{Text: "line 5"})
	go s.box.run()
	l.close(patience)
	got := s.box.out.(*bytes.Buffer).String()
	for _, want := range []string{"line 1\n", "3 lines were dropped", "line 5\n"} {
		_, after, found := strings.Cut(got, want)
		if !found {
			t.Errorf("%q is missing, or in the wrong place", want)
		}
		got = after
	}
}

// The bytes that wait are bounded too.
func TestOutboxBytes(t *testing.T) {
	o := newOutbox(newDam(), 1000, 100)
	n := 0
	for o.put(make([]byte, 30)) {
		n++
	}
	if n != 4 {
		t.Errorf("%d lines of 30 bytes, where 100 are the most", n)
	}
}

// The end does not wait for ever for a reader.
func TestClusterLogIsClosedInTime(t *testing.T) {
	d := newDam()
	l := newClusterLog(d)
	l.write(instant.Instant{}, core.Log{Text: "never read"})
	began := time.Now()
	l.close(10 * time.Millisecond)
	if took := time.Since(began); took > time.Second {
		t.Errorf("took %v", took)
	}
	close(d.open)
}

// Nor does the loop.
func TestLoopGoesOnWhileNobodyReads(t *testing.T) {
	log, record := newDam(), newDam()
	defer close(log.open)
	defer close(record.open)
	l, ctx, end := newTestLoop(t, Config{Log: log, Record: record})
	defer end()
	done := make(chan error, 1)
	go func() {
		for i := range recordLines + recordLines/8 {
			in := core.Input{Hello: &core.Hello{Container: "main", Nonce: fmt.Sprint(i), Fresh: true}}
			if i%2 == 1 {
				in = core.Input{InitGone: &core.InitGone{Container: "main"}}
			}
			if _, err := l.step(ctx, in); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("it hangs in a line")
	}
}
