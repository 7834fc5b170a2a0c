// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

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

// clusterLog writes lines in the form of a cluster log (RA section 9). Lines that
// nobody takes in time are dropped, and how many is told where they are missing.
type clusterLog struct {
	box *outbox

	mu      sync.Mutex
	dropped int
}

// newClusterLog makes a log; nil writes it nowhere.
func newClusterLog(out io.Writer) *clusterLog {
	c := &clusterLog{}
	if out != nil {
		c.box = newOutbox(out, logLines, logBytes)
		c.box.idle = func() []byte {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.gap()
		}
		go c.box.run()
	}
	return c
}

func (c *clusterLog) write(at instant.Instant, l core.Log) {
	if c.box == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	dropped := c.dropped
	if line := append(c.gap(), logLine(at, l)...); !c.box.put(line) {
		c.dropped = dropped + 1
	}
}

// gap is the line that stands for those dropped, nil if there are none.
func (c *clusterLog) gap() []byte {
	n := c.dropped
	if n == 0 {
		return nil
	}
	c.dropped = 0
	return logLine(clock.Now(), core.Log{
		Level: engine.LevelWarning, Component: "RCM", Reason: string(engine.ReasonLogDropped),
		Text: fmt.Sprintf("%d lines were dropped here, because nobody read this log", n),
	})
}

// close waits a while until all is written.
func (c *clusterLog) close(limit time.Duration) {
	if c.box != nil {
		c.box.close(limit)
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
	return fmt.Appendf(nil, "%08x::%s %s [%s] %s%s: %s\n", os.Getpid(),
		at.WallTime().Format("2006/01/02-15:04:05.000"), level, l.Component, about, l.Reason, l.Text)
}
