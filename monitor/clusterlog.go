// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/understudy-dev/understudy/monitor/clock"
	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
	"github.com/understudy-dev/understudy/monitor/instant"
)

// The lines of the cluster log that may wait for a reader.
const (
	logLines = 2048
	logBytes = 1 << 20
)

// clusterLog writes lines in the form of a cluster log (RA section 9), to any number of
// writers. None waits for another.
type clusterLog struct{ sinks []*logSink }

// logSink is one of them. Lines that it does not take in time are dropped, and how many
// is told where they are missing.
type logSink struct {
	box *outbox

	mu      sync.Mutex
	dropped int
}

// newClusterLog makes a log; a nil writer is left out.
func newClusterLog(outs ...io.Writer) *clusterLog {
	c := &clusterLog{}
	for _, out := range outs {
		if out == nil {
			continue
		}
		s := &logSink{box: newOutbox(out, logLines, logBytes)}
		s.box.idle = func() []byte {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.gap()
		}
		go s.box.run()
		c.sinks = append(c.sinks, s)
	}
	return c
}

func (c *clusterLog) write(at instant.Instant, l core.Log) {
	for _, s := range c.sinks {
		s.write(logLine(at, l))
	}
}

func (s *logSink) write(line []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	dropped := s.dropped
	if !s.box.put(append(s.gap(), line...)) {
		s.dropped = dropped + 1
	}
}

// gap is the line that stands for those dropped, nil if there are none.
func (s *logSink) gap() []byte {
	n := s.dropped
	if n == 0 {
		return nil
	}
	s.dropped = 0
	return logLine(clock.Now(), core.Log{
		Level: engine.LevelWarning, Component: "RCM", Reason: string(engine.ReasonLogDropped),
		Text: fmt.Sprintf("%d lines were dropped here, because nobody read this log", n),
	})
}

// close waits a while until all is written.
func (c *clusterLog) close(limit time.Duration) {
	for _, s := range c.sinks {
		s.box.close(limit)
	}
}

func logLine(at instant.Instant, l core.Log) []byte {
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
	// A text of several lines must not look like several lines of the log.
	text := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, l.Text)
	return fmt.Appendf(nil, "%08x::%s %s [%s] %s%s: %s\n", os.Getpid(),
		at.WallTime().Format("2006/01/02-15:04:05.000"), level, l.Component, about, l.Reason, text)
}
