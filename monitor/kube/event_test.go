// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	eventsv1 "k8s.io/api/events/v1"

	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
	"github.com/understudy-dev/understudy/monitor/instant"
)

// notes sends logs to a client, and takes what it would send.
type notes struct {
	client *Client
	now    instant.Instant
}

func newNotes() *notes {
	n := &notes{client: &Client{queue: make(chan outgoing, 1000)}, now: instant.Instant{Boot: 1e12, Wall: 1e18}}
	n.client.objects.setGroup(&v1alpha1.ResourceGroup{})
	return n
}

func (n *notes) tell(resource, reason, text string) (sent []string) {
	n.client.Event(n.now, core.Log{Level: engine.LevelError, Resource: resource, Reason: reason, Text: text, Event: true})
	for len(n.client.queue) > 0 {
		sent = append(sent, (<-n.client.queue).event.Note)
	}
	return sent
}

// A provider that logs one error after the other costs a few Events, which say how
// many they stand for.
func TestEventFlood(t *testing.T) {
	n := newNotes()
	var sent []string
	const every, total = 20 * time.Millisecond, 10 * time.Minute
	for range total / every {
		sent = append(sent, n.tell("store", "Log", "it broke")...)
		n.now = n.now.Add(every)
	}
	if len(sent) != floodBurst+9 {
		t.Fatalf("%d Events in ten minutes: %q", len(sent), sent)
	}
	for i, note := range sent {
		want := "it broke"
		switch {
		case i == floodBurst:
			want = "it broke (2995 more like this were left out before; the log has them)"
		case i > floodBurst:
			want = "it broke (2999 more like this were left out before; the log has them)"
		}
		if note != want {
			t.Errorf("Event %d: %q, want %q", i, note, want)
		}
	}
	// Others are not left out for it.
	if len(n.tell("store", "Failed", "")) != 1 || len(n.tell("other", "Log", "")) != 1 || len(n.tell("", "Log", "")) != 1 {
		t.Error("another kind of Event was left out")
	}
	// After a while of silence all is as at first.
	n.now = n.now.Add(floodBurst * floodEvery)
	for i := range floodBurst + 1 {
		if got := len(n.tell("store", "Log", "")); got != 1 && i < floodBurst || got != 0 && i == floodBurst {
			t.Errorf("Event %d after the silence: %d", i, got)
		}
	}
}

// Kinds without end cost no memory without end, and the one that floods is the last
// to be forgotten.
func TestEventKindsAreBounded(t *testing.T) {
	n := newNotes()
	for range 2 * floodBurst {
		n.tell("store", "Log", "it broke")
	}
	for i := range 4 * floodKinds {
		n.tell("store", fmt.Sprint("Reason", i), "")
	}
	if got := len(n.client.flood.buckets); got != floodKinds {
		t.Errorf("%d kinds", got)
	}
	if len(n.tell("store", "Log", "it broke")) != 0 {
		t.Error("the flood begins anew")
	}
}

func TestNoteFits(t *testing.T) {
	for _, leftOut := range []int{0, 12345} {
		note := noteOf(strings.Repeat("ü", maxNote), leftOut)
		if len(note) > maxNote || len(note) < maxNote-2 || !utf8.ValidString(note) {
			t.Errorf("%d bytes: %q", len(note), note)
		}
		if leftOut > 0 && !strings.Contains(note, "12345 more") {
			t.Errorf("%q", note)
		}
	}
}

// What was told is sent before the end, as far as there is time for it.
func TestFlushEvents(t *testing.T) {
	hang := make(chan struct{})
	for _, answers := range []bool{true, false} {
		s := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
			if !answers {
				<-hang
			}
			_ = json.NewEncoder(w).Encode(eventsv1.Event{})
		})
		c, _ := s.client(t)
		c.objects.setGroup(&v1alpha1.ResourceGroup{})
		for _, reason := range []string{"One", "Two", "Three"} {
			c.Event(instant.Instant{}, core.Log{Reason: reason, Event: true})
		}
		go c.sendEvents(t.Context())
		limit := time.Minute
		if !answers {
			limit = 50 * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		c.FlushEvents(ctx)
		cancel()
		if n := s.requests.Load(); answers && n != 3 || !answers && n > 1 {
			t.Errorf("answers %v: %d Events were tried", answers, n)
		}
	}
	close(hang)
}
