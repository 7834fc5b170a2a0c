// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package core composes the two pure machines of the monitor, engine and
// ownership, with what ties them together: guards, plan, wishes, control calls,
// the documents that it writes and when. It is pure as they are: Step(instant,
// input) -> effects. The loop around it, the simulation and the replay of a
// recording run exactly this.
package core

import (
	"slices"
	"strings"

	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/engine"
	"github.com/understudy-dev/understudy/monitor/instant"
	"github.com/understudy-dev/understudy/monitor/ownership"
)

// Config is what a core cannot learn from inputs.
type Config struct {
	Namespace string `json:"namespace"`
	Group     string `json:"group"`
	PodName   string `json:"podName"`
	PodUID    string `json:"podUID"`
	PodIP     string `json:"podIP"`
	NodeName  string `json:"nodeName"`
	// Inc is random, new with each start of the monitor.
	Inc string `json:"inc"`
	// BootID is that of this boot of the node.
	BootID string `json:"bootID"`
	// Containers are those that run under the monitor.
	Containers []string `json:"containers"`
	// GraceMilliseconds is what the pod has from the request to end to the kill;
	// 0 is not known.
	GraceMilliseconds int64 `json:"graceMilliseconds,omitempty"`
	// Engine configures the engine.
	Engine engine.Config `json:"engine,omitzero"`
}

// Core is the machine. It is not safe for concurrent use.
type Core struct {
	config Config
	engine *engine.Engine
	owner  *ownership.Machine
	disk   ownership.Disk

	now   instant.Instant
	out   []Effect
	queue []machineEvent

	containers map[string]*container
	guard      ownership.Guard
	revoke     int64
	engineArm  int64
	ownerArm   int64
	armed      int64

	plan         *planv1.Plan
	planRevision string
	wanted       string // the revision that is being fetched
	refused      string // the revision that was refused last: its content never changes
	reported     string // the revision that was last answered for
	group        *Group

	wish       *ownership.Wish // what ownership was last told
	succession string
	succeeding bool // the group, and so maybe the succession, is new
	// endpointEpoch is the largest that the Service's endpoint was seen under.
	endpointEpoch int64
	need          *engine.Need
	release       *ownership.Release // as it was last wished
	wished        *call              // the move that it is for
	stopFailed    bool
	proven        bool // the engine said so; a container is unsure

	snapshot  engine.Snapshot
	changed   bool // snapshot is out of date
	quiet     bool // this step so far: nothing but the progress of a pending operation
	news      bool // this step so far: something that a document may tell
	story     story
	documents documents
	// types is what is known to be stored in the group's status.types; how often that
	// changed; and what it shall be.
	types        []v1alpha1.GroupTypeStatus
	typesVersion int64
	shown        shownTypes
	calls        map[string]*call
	locks        locks
	finishes     map[string]engine.Finish
	draining     instant.Instant
	drained      instant.Instant // since when, if an earlier life was asked to go away
	exiting      bool
	// asked: this process itself was asked to end, askedAt then with a container there.
	asked      bool
	askedAt    instant.Instant
	validAsked int64 // until when the ownership was valid at that time
	done       bool
	rushed     bool
	wordsBy    int64 // until when what is not stored yet is waited for; 0: it is not
}

// container is one supervised container.
type container struct {
	nonce     string
	connected bool
	// seen: it was connected in this life of the monitor.
	seen bool
	// guarded is the epoch for which init confirmed the guard.
	guarded int64
	// gone: init ended the connection.
	gone bool
	// unsure: something of an unknown life may run there until init proves that
	// nothing does.
	unsure bool
	// absent is why its provider does not come up; empty: not known, or it is up.
	absent string
	// stuck: kubelet is told that the proof of an empty container is overdue.
	stuck bool
}

type machineEvent struct {
	engine *engine.Event
	owner  *ownership.Event
}

// New makes a core from what the last life left; nil if there is nothing.
func New(config Config, state *State) *Core {
	c := &Core{
		config: config, containers: map[string]*container{}, calls: map[string]*call{}, finishes: map[string]engine.Finish{},
		documents: documents{},
	}
	for _, name := range config.Containers {
		c.containers[name] = &container{}
	}
	if state != nil {
		c.disk = state.Disk
	}
	c.engine = engine.New(config.Engine)
	if state != nil && state.BootID == config.BootID {
		c.restore(*state)
	}
	c.owner = ownership.New(ownership.Config{
		PodName: config.PodName, PodUID: config.PodUID, Inc: config.Inc, Timing: c.timing(),
	}, c.disk)
	return c
}

// Step takes one input at one instant and returns what to do about it, in order.
func (c *Core) Step(now instant.Instant, in Input) []Effect {
	c.now, c.out = now, nil
	c.quiet, c.news = in.Callback != nil, !c.routine(in)
	c.take(in)
	c.drainQueue()
	// A provider may call thousands of times a second. What it told of its progress
	// waits until it may be written; the newest counts then.
	if !c.quiet || c.documents.outdated(now.Boot) {
		for c.settle() {
			c.drainQueue()
		}
		c.writeDocuments()
		c.depart()
	}
	c.arm()
	return c.out
}

// Ownership is a view of the ownership machine, for whoever watches a core from outside.
func (c *Core) Ownership() ownership.Snapshot { return c.owner.Snapshot() }

func (c *Core) emit(e Effect) { c.out = append(c.out, e) }

func (c *Core) toEngine(e engine.Event)   { c.queue = append(c.queue, machineEvent{engine: &e}) }
func (c *Core) toOwner(e ownership.Event) { c.queue = append(c.queue, machineEvent{owner: &e}) }

// drainQueue lets the machines speak to each other until both are silent. All
// actions of one step come before what they lead to, as both machines expect.
func (c *Core) drainQueue() {
	for len(c.queue) > 0 {
		next := c.queue[0]
		c.queue = slices.Delete(c.queue, 0, 1)
		switch {
		case next.engine != nil:
			for _, a := range c.engine.Step(c.now, *next.engine) {
				c.quiet = c.quiet && quiet(a)
				c.engineAction(a)
			}
		case next.owner != nil:
			c.quiet = false
			for _, a := range c.owner.Step(c.now, *next.owner) {
				c.ownerAction(a)
			}
		}
	}
}

// quiet tells whether nothing follows from an action but a document that is paced.
func quiet(a engine.Action) bool {
	return a.Reply != nil || a.Note != nil || a.Arm != nil || a.Status != nil && !a.Status.Urgent && !a.Status.Group
}

// routine tells whether an input is of those that come with every renewal, poll and status.
// What documents tell changes by them only if a machine says so.
func (c *Core) routine(in Input) bool {
	return in.Timer != nil || in.Tick != nil || in.Guarded != nil || in.Observed != nil || in.Wrote != nil ||
		in.Persisted != nil || in.Returned != nil || in.Endpoint != nil || in.ControlCall != nil ||
		in.Group != nil && in.Group.echoes(c.group) ||
		in.Written != nil && !strings.HasPrefix(in.Written.Key, callKey(""))
}

func (c *Core) engineAction(a engine.Action) {
	c.news = c.news || a.Call == nil && a.Reply == nil && a.Arm == nil && a.Tock == nil
	switch {
	case a.Call != nil:
		c.emit(Effect{Call: a.Call})
	case a.Reply != nil:
		c.emit(Effect{Reply: a.Reply})
	case a.Restart != nil:
		c.restartContainer(*a.Restart)
	case a.Dump != nil:
		c.dump(*a.Dump)
	case a.Need != nil:
		c.need = a.Need
		if !a.Need.Failover {
			c.need = nil
		}
	case a.Proven != nil:
		c.stopFailed, c.proven = false, true
		c.story.stopped(c.now)
	case a.Claim != nil:
		c.claim(a.Claim.ID)
	case a.Finish != nil:
		c.finish(*a.Finish)
	case a.Status != nil:
		c.changed = true
		for _, uid := range a.Status.Resources {
			c.documents.outdate(resourceKey(uid))
		}
	case a.Journal != nil:
		c.changed = true // also what concerns no resource yet
		c.emit(Effect{Journal: &Journal{Barrier: a.Journal.Barrier}})
	case a.Note != nil:
		c.note(*a.Note)
	case a.Arm != nil:
		c.engineArm = a.Arm.At
	case a.Tock != nil:
		c.toOwner(ownership.Event{Tick: &ownership.Tick{ID: int64(a.Tock.Token)}})
	}
}

func (c *Core) ownerAction(a ownership.Action) {
	c.news = c.news || a.Grant != nil || a.Revoke != nil || a.Fact != nil
	switch {
	case a.Put != nil:
		c.emit(Effect{Put: a.Put})
	case a.Create != nil:
		c.emit(Effect{Create: a.Create})
	case a.Get != nil:
		c.emit(Effect{Get: a.Get})
	case a.Persist != nil:
		c.disk = a.Persist.Disk
		c.emit(Effect{Journal: &Journal{ID: a.Persist.ID}})
	case a.Guard != nil:
		c.setGuard(*a.Guard)
	case a.KillAll != nil:
		c.killAll(a.KillAll.Container)
	case a.Grant != nil:
		c.granted(*a.Grant)
	case a.Revoke != nil:
		c.revoked(*a.Revoke)
	case a.AskTick != nil:
		c.emit(Effect{Tick: &Tick{ID: a.AskTick.ID}})
	case a.Arm != nil:
		c.ownerArm = a.Arm.At
	case a.Fact != nil:
		c.fact(*a.Fact)
	}
}

func (c *Core) granted(g ownership.Grant) {
	c.story.granted(c.now, g, c.config, c.group)
	c.changed, c.wordsBy = true, 0
	c.toEngine(engine.Event{Granted: c.startFor(g)})
}

func (c *Core) revoked(r ownership.Revoke) {
	c.revoke = r.ID
	c.stopFailed, c.proven, c.wordsBy = false, false, 0
	c.story.revoked(c.now, r)
	c.documents.lastWords()
	c.changed = true
	c.toEngine(engine.Event{Revoked: c.stopFor(r)})
}

func (c *Core) timers() {
	if c.engineArm != 0 && c.engineArm <= c.now.Boot {
		c.engineArm = 0
		c.toEngine(engine.Event{Timer: &engine.Timer{}})
	}
	if c.ownerArm != 0 && c.ownerArm <= c.now.Boot {
		c.ownerArm = 0
		c.toOwner(ownership.Event{Timer: &ownership.Timer{}})
	}
}

func (c *Core) arm() {
	at := int64(0)
	for _, t := range []int64{
		c.engineArm, c.ownerArm, c.documents.next(), c.nextCallDeadline(), c.rushAt(), c.nextWords(),
	} {
		if t != 0 && (at == 0 || t < at) {
			at = t
		}
	}
	if at != c.armed || at != 0 && at <= c.now.Boot {
		c.armed = at
		c.emit(Effect{Arm: &Arm{At: at}})
	}
}
