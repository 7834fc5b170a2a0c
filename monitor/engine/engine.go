// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"time"

	"github.com/understudy-dev/understudy/monitor/instant"
)

// Config holds what the engine cannot learn from events.
type Config struct {
	// KillBound is K of ownership section 4: a kill completes within it.
	// 0 means 500 ms.
	KillBound time.Duration `json:"killBound,omitempty"`
	// VerifyTimeout bounds the IsAlive that verifies a SignalFailure. 0: 500 ms.
	VerifyTimeout time.Duration `json:"verifyTimeout,omitempty"`
	// TrustProviders takes the word of a provider that a resource is stopped as
	// proof at the end of a Revoked. Otherwise the container is emptied by
	// init (Restart with ReasonProveStop) after the resources were stopped, so
	// that a provider that answers "offline" while its program lives cannot
	// make two owners: "no descendant is left" (ownership section 6) is
	// something that only init can see.
	TrustProviders bool `json:"trustProviders,omitempty"`
}

// Engine is the machine. Create it with New or Restore.
type Engine struct {
	cfg Config

	phase Phase
	// epoch last granted; it never shrinks.
	epoch int64
	// mode and cause of the stop that is under way (phase Stopping).
	mode  RevokeMode
	cause Revoked
	// grant is the one that began the epoch.
	grant Granted
	// regrant is the epoch that was granted while a stop was under way.
	regrant int64
	// halted: this stop was the engine's own decision, or became harder by one; the
	// containers are emptied also if the group comes online again after it.
	halted bool
	// fresh: made by New and never granted. Until the first grant the engine
	// cannot know what an earlier life of the monitor left in a container.
	fresh bool

	revision string
	// types and self are what the plan says of them.
	types []Type
	self  Group
	// typeResults are the last outcomes of control calls of each type.
	typeResults []typeResults
	// ignoreLocked: the plan's IgnoreLockedMode.
	ignoreLocked bool
	// resources in topological order: dependencies before dependents.
	resources   []*resource
	containers  []*container
	calls       []*call
	nextCall    uint64
	controls    []*control
	ended       []endedContext
	lastContext int64
	// notifications by name of their type.
	notifications []*notifications
	typeDumps     []typeDumps
	// need and armed as last said.
	need  Need
	armed int64

	// unsaid is what a restored engine has to repeat.
	unsaid []Action

	// What follows lives for one Step.
	now     instant.Instant
	out     []Action
	held    []Action
	journal bool
	barrier bool
	group   bool
	urgent  bool
	again   bool
}

// New makes an engine that knows nothing and owns nothing: it terminates what it
// finds running.
func New(cfg Config) *Engine {
	if cfg.KillBound <= 0 {
		cfg.KillBound = 500 * time.Millisecond
	}
	if cfg.VerifyTimeout <= 0 {
		cfg.VerifyTimeout = 500 * time.Millisecond
	}
	return &Engine{cfg: cfg, phase: Observer, fresh: true}
}

// Step takes one event at one instant and answers what is to be done.
func (e *Engine) Step(now instant.Instant, ev Event) []Action {
	// A clock that goes back would make a deadline fire twice or never.
	now.Boot = max(now.Boot, e.now.Boot)
	e.now = now
	e.out, e.held = e.unsaid, nil
	e.unsaid = nil
	e.journal, e.barrier, e.group, e.urgent = false, false, false, false

	before := e.groupState()
	e.dispatch(ev)
	e.due()
	e.settle()
	e.group = e.group || e.groupState() != before
	return e.finish()
}

// dispatch hands the event to its handler. The test of the package checks by
// reflection that no kind of event is missing here.
func (e *Engine) dispatch(ev Event) {
	if n := ev.kinds(); n != 1 {
		e.note(LevelWarning, nil, ReasonBadEvent, fmt.Sprintf("an event holds %d kinds, not one", n), false)
		return
	}
	switch {
	case ev.Granted != nil:
		e.granted(*ev.Granted)
	case ev.Revoked != nil:
		e.revoked(*ev.Revoked)
	case ev.PlanChanged != nil:
		e.planChanged(ev.PlanChanged.Plan)
	case ev.ProviderUp != nil:
		e.providerUp(*ev.ProviderUp)
	case ev.ProviderDown != nil:
		e.providerDown(*ev.ProviderDown)
	case ev.Emptied != nil:
		e.emptiedEvent(*ev.Emptied)
	case ev.InitGone != nil:
		e.initGone(ev.InitGone.Container)
	case ev.Guarded != nil:
		e.guarded(*ev.Guarded)
	case ev.Dumped != nil:
		e.dumped(*ev.Dumped)
	case ev.Returned != nil:
		e.returned(*ev.Returned)
	case ev.Callback != nil:
		e.callback(*ev.Callback)
	case ev.Control != nil:
		e.control(*ev.Control)
	case ev.Claimed != nil:
		e.claimed(*ev.Claimed)
	case ev.Recorded != nil:
		e.recorded(ev.Recorded.ID)
	case ev.Withdrawn != nil:
		e.withdrawn(ev.Withdrawn.ID)
	case ev.Stored != nil:
		e.stored(*ev.Stored)
	case ev.Timer != nil:
		e.armed = 0 // it has fired: say again what comes next
	case ev.Tick != nil:
		e.out = append(e.out, Action{Tock: &Tock{Token: ev.Tick.Token}})
	}
}

// kinds counts the fields that are set.
func (ev Event) kinds() int {
	n := 0
	for _, set := range []bool{
		ev.Granted != nil, ev.Revoked != nil, ev.PlanChanged != nil, ev.ProviderUp != nil,
		ev.ProviderDown != nil, ev.Emptied != nil, ev.InitGone != nil, ev.Guarded != nil, ev.Dumped != nil,
		ev.Returned != nil, ev.Callback != nil, ev.Control != nil, ev.Claimed != nil,
		ev.Recorded != nil, ev.Withdrawn != nil, ev.Stored != nil, ev.Timer != nil, ev.Tick != nil,
	} {
		if set {
			n++
		}
	}
	return n
}

// finish completes the list of actions: what is derived comes last, and what
// must wait for the journal after it.
func (e *Engine) finish() []Action {
	e.sayNeed()
	var uids []string
	for _, r := range e.resources {
		if w, who := e.waitingFor(r); w != r.waiting || !equal(who, r.waitingOn) {
			r.waiting, r.waitingOn, r.touched = w, who, true
		}
		if r.touched {
			uids = append(uids, r.spec.UID)
			r.touched = false
		}
	}
	if len(uids) > 0 || e.group {
		e.out = append(e.out, Action{Status: &Status{Resources: uids, Group: e.group, Urgent: e.urgent}})
	}
	if at := e.next(); at != e.armed {
		e.armed = at
		e.out = append(e.out, Action{Arm: &Arm{At: at}})
	}
	if e.journal || e.barrier {
		e.out = append(e.out, Action{Journal: &Journal{Barrier: e.barrier}})
	}
	e.out = append(e.out, e.held...)
	out := e.out
	e.out, e.held = nil, nil
	return out
}

// note says something; r may be nil. Of one resource it says no more than maxLogRate a
// second, because a provider decides how much there is to say.
func (e *Engine) note(level Level, r *resource, reason Reason, text string, event bool) {
	if r == nil || e.admit(r, &r.notes) {
		e.say(level, r, reason, text, event)
	}
}

func (e *Engine) say(level Level, r *resource, reason Reason, text string, event bool) {
	n := &Note{Level: level, Reason: reason, Text: clip(text, maxMessage), Event: event}
	if r != nil {
		n.Resource = r.spec.UID
	}
	e.out = append(e.out, Action{Note: n})
}

// after is the time d from now, without overflow.
func (e *Engine) after(d time.Duration) int64 { return add(e.now.Boot, d) }

// add is t+d, without overflow.
func add(t int64, d time.Duration) int64 {
	if d > 0 && t > (1<<63-1)-int64(d) {
		return 1<<63 - 1
	}
	return t + int64(d)
}

// instantAt is the instant whose Boot is t, as seen from now.
func (e *Engine) instantAt(t int64) instant.Instant {
	d := t - e.now.Boot
	return instant.Instant{Boot: t, Raw: add(e.now.Raw, time.Duration(d)), Wall: add(e.now.Wall, time.Duration(d))}
}

// maxMessage is the largest message that the protocol lets a provider send.
const maxMessage = 1024

// clip cuts a text to at most n bytes, at the start of a rune.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}

func equal(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
