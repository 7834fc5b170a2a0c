// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package tool

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Progress tells on a writer what is being done, each line with the time since it began. A nil Progress is silent.
type Progress struct {
	mu    sync.Mutex
	out   io.Writer
	begin time.Time
}

// NewProgress returns a Progress that begins now.
func NewProgress(out io.Writer) *Progress {
	return &Progress{out: out, begin: time.Now()}
}

// Say writes one line.
func (p *Progress) Say(format string, args ...any) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, "%7.1fs  %s\n", time.Since(p.begin).Seconds(), fmt.Sprintf(format, args...))
}

// During says what is being done now and, every now and then, that it still is, until the returned function is called.
func (p *Progress) During(format string, args ...any) (done func()) {
	what := fmt.Sprintf(format, args...)
	p.Say("%s", what)
	stop, stopped, began := make(chan struct{}), make(chan struct{}), time.Now()
	go func() {
		defer close(stopped)
		tick := time.NewTicker(15 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				p.Say("  still %s (%.0fs)", what, time.Since(began).Seconds())
			}
		}
	}()
	return func() {
		close(stop)
		<-stopped
	}
}
