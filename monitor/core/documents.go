// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/conversion"

	"github.com/understudy-dev/understudy/api/v1alpha1"
)

const (
	// pace is the shortest time between two writes of one document, unless
	// something urgent happened: a state, a failure, an owner.
	pace = time.Second
	// burst is how many writes of one status may come at once because of something
	// urgent; each is paid for with a pace. A provider decides how often there is
	// something urgent, and the API server must not pay for that.
	burst = 5
	// A write that failed is repeated after a pause that doubles.
	firstPause = 100 * time.Millisecond
	lastPause  = 2 * time.Second
	// wordsPause is the longest while a hand-over waits for it: a few tries fit into that.
	wordsPause = 250 * time.Millisecond
	// stalePause is the pause after a write that lost against another writer.
	stalePause = 10 * time.Millisecond
)

// same compares documents as they are stored: what is empty is absent, and a time is one,
// however it was read.
var same = conversion.EqualitiesOrDie(
	func(a, b time.Time) bool { return a.Equal(b) },
	func(a, b metav1.MicroTime) bool { return a.Equal(&b) },
)

// urgent marks a document whose every change is.
var urgent any

// documents are what this host wants stored, by key: the newest content of each
// counts, so an outage of the API server costs nothing but its own time.
type documents map[string]*document

type document struct {
	want    Write
	sent    Write // as it was written last
	dropped bool  // nothing is wanted any more
	mark    any   // what is urgent about it
	version int64
	flying  int64
	done    int64
	// old: want may not be the newest; it is told anew when it may be written.
	old bool
	// suspect: something else was seen stored.
	suspect bool
	// hurry: the newest content need not wait for the pace.
	hurry     bool
	notBefore int64
	// paid is until when the writes so far have used up what one each pace allows.
	paid    int64
	retryAt int64
	pause   time.Duration
}

// set says what a document shall be. A change of mark makes it urgent.
func (d documents) set(key string, w Write, mark any) {
	doc := d[key]
	if doc == nil {
		doc = &document{}
		d[key] = doc
	}
	// What is nothing new is nearly always the same to the byte, which is found out faster.
	if !doc.dropped && (reflect.DeepEqual(w, doc.want) || same.DeepEqual(w, doc.want)) {
		return
	}
	if mark == urgent || !same.DeepEqual(mark, doc.mark) {
		doc.hurry = true
	}
	if epochOf(w) != epochOf(doc.want) {
		doc.paid = 0 // what a new owner has to say waits for nothing that was
	}
	doc.want, doc.dropped, doc.mark = w, false, mark
	doc.version++
}

// outdate says that there is something newer to tell, which is not urgent.
func (d documents) outdate(key string) {
	if doc := d[key]; doc != nil {
		doc.old = true
	}
}

// outdated tells whether one that could be written now has to be told anew first.
func (d documents) outdated(now int64) bool {
	for _, doc := range d {
		if doc.old && doc.due() != 0 && doc.due() <= now {
			return true
		}
	}
	return false
}

// anyDue tells whether one may be written now.
func (d documents) anyDue(now int64) bool {
	for _, doc := range d {
		if t := doc.due(); t != 0 && t <= now {
			return true
		}
	}
	return false
}

// seenHost looks at this host's entry. Somebody may have removed it, or a write that was given
// up be stored after all, over a newer one, and others would go by it for ever. But mostly it
// is the watch that is behind: what is still wrong a while after the last write is written
// again.
func (d documents) seenHost(stored v1alpha1.HostStatus) {
	if doc := d[hostKey]; doc != nil {
		doc.suspect = !same.DeepEqual(stored, doc.want.Host.Host)
	}
}

// seenEndpoint repairs an endpoint that somebody else changed, or removed with all
// of its EndpointSlice. One of a later owner is left alone.
func (d documents) seenEndpoint(stored EndpointDocument) {
	doc := d[endpointKey]
	if doc == nil || doc.dropped {
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
			doc.done, doc.dropped = doc.version, true
		}
	}
}

// due is when the document may be written; 0: it need not be.
func (doc *document) due() int64 {
	switch {
	case doc.flying != 0 || doc.done == doc.version && !doc.old && !doc.suspect:
		return 0
	case doc.hurry:
		return max(doc.retryAt, doc.paid-(burst-1)*int64(pace), 1)
	}
	return max(doc.retryAt, doc.notBefore, doc.paid-(burst-1)*int64(pace), 1)
}

// pay counts a write. What is no status is of our own making: an endpoint, and what
// becomes of a control call, wait for nothing.
func (doc *document) pay(now int64) {
	if w := doc.want; w.Resource != nil || w.Group != nil || w.Host != nil {
		doc.paid = max(doc.paid, now) + int64(pace)
	}
}

// lastWords has all that an owner has to say go at once: soon it will be somebody else's
// turn, and what a provider did to use up the burst shall not cost the end of the story.
func (d documents) lastWords() {
	for _, doc := range d {
		if k := doc.want.Call; epochOf(doc.want) != 0 || k != nil && k.Finish != nil {
			doc.paid, doc.hurry, doc.pause, doc.retryAt = 0, true, 0, 0
		}
	}
}

// epochOf is the epoch under which an owner speaks; 0 if that is not what it is about.
func epochOf(w Write) int64 {
	switch {
	case w.Resource != nil:
		return w.Resource.Owner.Epoch
	case w.Group != nil:
		return w.Group.Owner.Epoch
	}
	return 0
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
	// While a failover is needed, why there is none may change with anything.
	if c.news || c.need != nil || c.documents.outdated(c.now.Boot) {
		c.describe()
		for _, doc := range c.documents {
			doc.old = false // what is to be told is told
		}
	}
	if !c.documents.anyDue(c.now.Boot) {
		return
	}
	for _, key := range sortedKeys(c.documents) {
		doc := c.documents[key]
		if t := doc.due(); t == 0 || t > c.now.Boot {
			continue
		}
		doc.flying, doc.hurry, doc.suspect, doc.sent = doc.version, false, false, doc.want
		doc.notBefore = c.now.Boot + int64(pace)
		doc.pay(c.now.Boot)
		w := doc.want
		w.Key, w.Seq = key, doc.version
		if w.Group != nil {
			g := *w.Group
			g.Seen = c.group.ResourceVersion
			w.Group = &g
		}
		c.emit(Effect{Write: &w})
	}
}

func (c *Core) written(w Written) {
	doc := c.documents[w.Key]
	if doc == nil || doc.flying != w.Seq {
		return
	}
	doc.flying = 0
	most := lastPause
	if c.wordsBy > c.now.Boot {
		most = wordsPause
	}
	switch w.Outcome {
	case WriteDone, WriteSuperseded:
		doc.done, doc.pause, doc.retryAt = max(doc.done, w.Seq), 0, 0 // it may be dropped
	case WriteStale:
		doc.repeat(c.now.Boot, stalePause, most)
	default:
		doc.repeat(c.now.Boot, firstPause, most)
	}
	if id, ok := strings.CutPrefix(w.Key, callKey("")); ok {
		c.callWritten(id, w)
	}
	if w.Key == groupKey && w.Outcome == WriteDone {
		c.storedTypes(doc.sent.Group.Types)
	}
	if w.Key == endpointKey && w.Outcome == WriteDone {
		c.news = true
		c.story.endpointWritten(c.now, doc.want.Endpoint)
		c.emit(Effect{Journal: &Journal{}}) // when that was is told once
	}
}

// repeat has the newest content written after a pause, which doubles each time up to most.
func (doc *document) repeat(now int64, first, most time.Duration) {
	doc.pause = min(max(2*doc.pause, first), most)
	doc.hurry = true
	doc.retryAt = now + int64(doc.pause)
}

func sortedKeys[V any](m map[string]V) []string {
	if len(m) == 0 {
		return nil // as most are at every step
	}
	return slices.Sorted(maps.Keys(m))
}
