// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core

import (
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	// pace is the shortest time between two writes of one document, unless
	// something urgent happened: a state, a failure, an owner.
	pace = time.Second
	// A write that failed is repeated after a pause that doubles.
	firstPause = 100 * time.Millisecond
	lastPause  = 2 * time.Second
	// stalePause is the pause after a write that lost against another writer.
	stalePause = 10 * time.Millisecond
)

// urgent marks a document whose every change is.
const urgent = ""

// documents are what this host wants stored, by key: the newest content of each
// counts, so an outage of the API server costs nothing but its own time.
type documents map[string]*document

type document struct {
	want    Write
	sent    Write  // as it was written last
	text    string // want as JSON
	mark    string // what is urgent about it
	version int64
	flying  int64
	done    int64
	// hurry: the newest content need not wait for the pace.
	hurry     bool
	notBefore int64
	retryAt   int64
	pause     time.Duration
}

// set says what a document shall be. A change of mark makes it urgent.
func (d documents) set(key string, w Write, mark string) {
	doc := d[key]
	if doc == nil {
		doc = &document{}
		d[key] = doc
	}
	text := asJSON(w)
	if text == doc.text {
		return
	}
	if mark == urgent || mark != doc.mark {
		doc.hurry = true
	}
	doc.want, doc.text, doc.mark = w, text, mark
	doc.version++
}

// again has a document stored once more: somebody else removed it.
func (d documents) again(key string) {
	if doc := d[key]; doc != nil && doc.flying == 0 && doc.done == doc.version {
		doc.version++
	}
}

// seenEndpoint repairs an endpoint that somebody else changed, or removed with all
// of its EndpointSlice. One of a later owner is left alone.
func (d documents) seenEndpoint(stored EndpointDocument) {
	doc := d[endpointKey]
	if doc == nil || doc.text == "" {
		return
	}
	if want := doc.want.Endpoint; stored.Epoch > want.Epoch || asJSON(stored) == asJSON(want) {
		return
	}
	// Also while a write is under way: it may have been before that change.
	if max(doc.flying, doc.done) == doc.version {
		doc.version++
	}
}

// drop forgets what an owner had to say: a later one has spoken.
func (d documents) drop() {
	for _, doc := range d {
		if w := doc.want; w.Resource != nil || w.Group != nil || w.Endpoint != nil {
			doc.done, doc.text = doc.version, ""
		}
	}
}

// due is when the document may be written; 0: it need not be.
func (doc *document) due() int64 {
	switch {
	case doc.flying != 0 || doc.done == doc.version:
		return 0
	case doc.hurry:
		return max(doc.retryAt, 1)
	}
	return max(doc.retryAt, doc.notBefore, 1)
}

func (d documents) next() int64 {
	next := int64(0)
	for _, doc := range d {
		if t := doc.due(); t > 1 && (next == 0 || t < next) {
			next = t
		}
	}
	return next
}

func (c *Core) writeDocuments() {
	c.describe()
	for _, key := range sortedKeys(c.documents) {
		doc := c.documents[key]
		if t := doc.due(); t == 0 || t > c.now.Boot {
			continue
		}
		doc.flying, doc.hurry, doc.sent = doc.version, false, doc.want
		doc.notBefore = c.now.Boot + int64(pace)
		w := doc.want
		w.Key, w.Seq = key, doc.version
		c.emit(Effect{Write: &w})
	}
}

func (c *Core) written(w Written) {
	doc := c.documents[w.Key]
	if doc == nil || doc.flying != w.Seq {
		return
	}
	doc.flying = 0
	switch w.Outcome {
	case WriteDone, WriteSuperseded:
		doc.done, doc.pause, doc.retryAt = w.Seq, 0, 0
	case WriteStale:
		doc.repeat(c.now.Boot, stalePause)
	default:
		doc.repeat(c.now.Boot, firstPause)
	}
	if id, ok := strings.CutPrefix(w.Key, callKey("")); ok {
		c.callWritten(id, w)
	}
	if w.Key == groupKey && w.Outcome == WriteDone {
		c.storedTypes(doc.sent.Group.Types)
	}
	if w.Key == endpointKey && w.Outcome == WriteDone {
		c.story.endpointWritten(c.now, doc.want.Endpoint)
		c.emit(Effect{Journal: &Journal{}}) // when that was is told once
	}
}

// repeat has the newest content written after a pause, which doubles each time.
func (doc *document) repeat(now int64, first time.Duration) {
	doc.pause = min(max(2*doc.pause, first), lastPause)
	doc.hurry = true
	doc.retryAt = now + int64(doc.pause)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
