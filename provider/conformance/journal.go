// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"path"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
)

// maxEvents bounds what is written down: a provider may flood.
const maxEvents = 100_000

// event is a call into the provider, or a callback from it.
type event struct {
	callback bool
	method   string
	// begun is when the call was sent or the callback came, ended when it was answered;
	// zero while it is open.
	begun, ended time.Time
	req, resp    proto.Message
	err          error
	// trial is the case during which it began.
	trial *trial
}

// journal is all that was sent and all that came, in the order of its begin.
type journal struct {
	mu     sync.Mutex
	events []*event
	lost   int
	grew   chan struct{}
	trial  *trial
}

func newJournal() *journal { return &journal{grew: make(chan struct{})} }

// begin writes an event down; end completes it.
func (j *journal) begin(callback bool, method string, req proto.Message) *event {
	j.mu.Lock()
	defer j.mu.Unlock()
	e := &event{callback: callback, method: path.Base(method), begun: time.Now(), req: req, trial: j.trial}
	if len(j.events) < maxEvents {
		j.events = append(j.events, e)
	} else {
		j.lost++
	}
	j.wake()
	return e
}

func (j *journal) end(e *event, resp proto.Message, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e.ended, e.resp, e.err = time.Now(), resp, err
	j.wake()
}

func (j *journal) wake() {
	close(j.grew)
	j.grew = make(chan struct{})
}

// enter says which case runs from here on.
func (j *journal) enter(t *trial) {
	j.mu.Lock()
	j.trial = t
	j.mu.Unlock()
}

// all are copies of the events so far, and what is closed when there are more.
func (j *journal) all() ([]event, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := make([]event, len(j.events))
	for i, e := range j.events {
		out[i] = *e
	}
	return out, j.grew
}

// some are copies of the events that want picks.
func (j *journal) some(want func(*event) bool) []event {
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []event
	for _, e := range j.events {
		if want(e) {
			out = append(out, *e)
		}
	}
	return out
}

// line is the event in a story, with times counted from start.
func (e *event) line(start time.Time) string {
	since := func(t time.Time) string { return fmt.Sprintf("%7.1f ms", float64(t.Sub(start).Microseconds())/1000) }
	arrow := "sent "
	if e.callback {
		arrow = "heard"
	}
	text := fmt.Sprintf("%s %s %s{%s}", since(e.begun), arrow, e.method, brief(e.req))
	switch {
	case e.ended.IsZero():
		return text + ": no answer"
	case e.err != nil:
		return fmt.Sprintf("%s: after %.1f ms gRPC status %s: %s", text, float64(e.ended.Sub(e.begun).Microseconds())/1000,
			status.Code(e.err), cut(status.Convert(e.err).Message(), 200))
	}
	return fmt.Sprintf("%s: after %.1f ms {%s}", text, float64(e.ended.Sub(e.begun).Microseconds())/1000, brief(e.resp))
}

// says is what an event says, whenever it was.
func (e *event) says() string {
	return fmt.Sprint(e.callback, e.method, brief(e.req), brief(e.resp), status.Code(e.err), e.ended.IsZero())
}

// brief is a message on one line, of bounded length.
func brief(m proto.Message) string {
	if m == nil || !m.ProtoReflect().IsValid() {
		return ""
	}
	if proto.Size(m) > 4096 {
		return fmt.Sprintf("%d bytes", proto.Size(m))
	}
	return cut(prototext.MarshalOptions{}.Format(m), 300)
}

func cut(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n]) + "..."
}

// story are the lines of a case: at most the first and last 20, without what only
// repeats the line before.
func story(events []event) []string {
	const most = 20
	if len(events) == 0 {
		return nil
	}
	start := events[0].begun
	var lines []string
	again := 0
	for i := range events {
		repeats := i > 0 && events[i].says() == events[i-1].says()
		if repeats {
			again++
		}
		if again > 0 && (!repeats || i == len(events)-1) {
			lines = append(lines, fmt.Sprintf("            ... %d more like it", again))
			again = 0
		}
		if !repeats {
			lines = append(lines, events[i].line(start))
		}
	}
	if len(lines) > 2*most {
		left := fmt.Sprintf("... %d more ...", len(lines)-2*most)
		lines = slices.Concat(lines[:most], []string{left}, lines[len(lines)-most:])
	}
	return lines
}
