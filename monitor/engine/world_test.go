// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"encoding/json"
	"fmt"
	"hash"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/understudy-dev/understudy/monitor/instant"
)

// world is an adversarial model of everything around an engine, in virtual time:
// providers that fail, hang, lie and crash, inits that kill late, containers
// that get lost, ownership that comes and goes, plans that change, a monitor
// that is killed. It checks the promises with every step.
type world struct {
	t       *testing.T
	seed    uint64
	rnd     *rand.Rand
	e       *Engine
	now     instant.Instant
	armed   int64
	queue   []due
	seq     int
	benign  bool // from now on everything behaves
	lying   bool // providers may answer a stop with "stopped" although it is not
	life    int  // of the monitor
	conts   []*wContainer
	pool    []Resource
	granted bool
	epoch   int64
	flight  map[uint64]Call
	journal Snapshot
	asked   map[string]bool
	begun   map[string]int
	ends    map[string]Finish
	context map[int64]string
	nextID  uint64
	beta    map[string]int  // the property that is not live, by UID
	naughty map[string]bool // a random report may have misled the engine
	lost    bool            // a quorum resource is, and nothing was started since
	replies *Reply
	proven  int
	hash    hash.Hash64
	log     []string
	replay  *Engine // fed with the same events
}

type due struct {
	at  int64
	seq int
	do  func()
}

// wContainer is a container: what really runs in it.
type wContainer struct {
	name    string
	n       int
	up      bool
	gone    bool
	guard   int64
	running map[string]bool   // by UID
	left    map[string]bool   // what its provider does not admit
	ops     map[string]int    // generation of the running operation
	pend    map[string]int32  // the state of a pending one
	props   map[string]string // what each resource works with
	won     map[string]int64  // by UID: the epoch of the arbitration that it defends
	killing bool
}

func (c *wContainer) nonce() string { return fmt.Sprint(c.name, c.n) }

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, seed: seed, rnd: rand.New(rand.NewPCG(seed, 7)), e: New(Config{}), replay: New(Config{}), now: start,
		flight: map[uint64]Call{}, asked: map[string]bool{}, begun: map[string]int{}, ends: map[string]Finish{}, naughty: map[string]bool{},
		context: map[int64]string{}, beta: map[string]int{}, hash: fnv.New64a()}
	w.journal = w.e.Snapshot(w.now)
	w.lying = seed%3 == 0
	for _, n := range []string{"c", "d", "e"}[:1+w.rnd.IntN(3)] {
		w.conts = append(w.conts, &wContainer{name: n, n: 1, running: map[string]bool{}, left: map[string]bool{}, ops: map[string]int{}, pend: map[string]int32{}, props: map[string]string{}, won: map[string]int64{}})
	}
	for i := range 1 + w.rnd.IntN(6) {
		r := controlled(fmt.Sprint("r", i))
		r.Container = w.conts[w.rnd.IntN(len(w.conts))].name
		r.RestartDelay = time.Duration(w.rnd.IntN(1000)) * ms
		r.RestartThreshold = int64(w.rnd.IntN(4))
		r.RetryPeriodOnFailure = 900 * sec
		r.RestartAction = []RestartAction{RestartNotify, RestartNotify, RestartNoNotify}[w.rnd.IntN(3)]
		for range w.rnd.IntN(3) {
			var term []string
			for range 1 + w.rnd.IntN(2) {
				if i > 0 {
					term = append(term, fmt.Sprint("r", w.rnd.IntN(i)))
				}
			}
			if term != nil {
				r.Dependencies = append(r.Dependencies, term)
			}
		}
		if len(r.Dependencies) == 0 && seed%2 == 0 && w.rnd.IntN(3) == 0 {
			r.ArbitrationTimeout = 20 * sec
		}
		w.pool = append(w.pool, r)
	}
	return w
}

func (w *world) chance(percent int) bool { return !w.benign && w.rnd.IntN(100) < percent }

func (w *world) in(d time.Duration, do func()) {
	w.seq++
	w.queue = append(w.queue, due{w.now.Boot + int64(d), w.seq, do})
}

// soon is a time that most things take; now and then something takes long.
func (w *world) soon() time.Duration {
	if w.chance(4) {
		return time.Duration(w.rnd.IntN(20_000)) * ms
	}
	return time.Duration(w.rnd.IntN(60)) * ms
}

// run lets d go by.
func (w *world) run(d time.Duration) {
	end := w.now.Boot + int64(d)
	for {
		best := -1
		for i, q := range w.queue {
			if best < 0 || q.at < w.queue[best].at || q.at == w.queue[best].at && q.seq < w.queue[best].seq {
				best = i
			}
		}
		timer := w.armed != 0 && (best < 0 || w.armed <= w.queue[best].at)
		switch {
		case timer && w.armed <= end:
			w.at(w.armed)
			w.armed = 0
			w.send(Event{Timer: &Timer{}})
		case !timer && best >= 0 && w.queue[best].at <= end:
			q := w.queue[best]
			w.queue = slices.Delete(w.queue, best, best+1)
			w.at(q.at)
			q.do()
		default:
			w.at(end)
			return
		}
	}
}

func (w *world) at(t int64) { w.now = w.now.Add(time.Duration(max(t-w.now.Boot, 0))) }

func (w *world) failf(format string, args ...any) {
	w.t.Helper()
	for _, l := range w.log[max(0, len(w.log)-60):] {
		fmt.Println(l)
	}
	w.t.Fatalf("seed %d, %v: %s", w.seed, time.Duration(w.now.Boot-start.Boot), fmt.Sprintf(format, args...))
}

// send steps the engine, and its twin with the same event as JSON, and carries
// out the actions.
func (w *world) send(ev Event) {
	in, err := json.Marshal(ev)
	if err != nil {
		w.failf("%v", err)
	}
	out := w.e.Step(w.now, ev)
	acts, _ := json.Marshal(out)
	w.hash.Write(in)
	w.hash.Write(acts)
	w.log = append(w.log, fmt.Sprintf("%v %s -> %s", time.Duration(w.now.Boot-start.Boot), in, acts))
	var again Event
	if err := json.Unmarshal(in, &again); err != nil {
		w.failf("%v", err)
	}
	if w.seed%10 == 0 {
		if twin, _ := json.Marshal(w.replay.Step(w.now, again)); string(twin) != string(acts) {
			w.failf("the replay differs: %s", twin)
		}
	}
	if ev.Callback != nil && countReplies(out, ev.Callback.ID) != 1 {
		w.failf("a callback has not got exactly one reply")
	}
	for _, a := range out {
		w.do(a)
	}
}

func countReplies(out []Action, id uint64) (n int) {
	for _, a := range out {
		if a.Reply != nil && a.Reply.ID == id {
			n++
		}
	}
	return n
}

// callback sends one and returns its reply.
func (w *world) callback(cb Callback) (rep Reply) {
	w.nextID++
	cb.ID = w.nextID
	before := w.life
	w.replies = &rep
	w.send(Event{Callback: &cb})
	w.replies = nil
	if before != w.life {
		rep.ExitState = ExitTerminate
	}
	return rep
}

func (w *world) cont(name string) *wContainer {
	for _, c := range w.conts {
		if c.name == name {
			return c
		}
	}
	w.failf("no container %s", name)
	return nil
}

// do carries out an action and checks it.
func (w *world) do(a Action) {
	switch {
	case a.Call != nil:
		w.check(*a.Call)
		w.call(*a.Call)
	case a.Reply != nil && w.replies != nil:
		*w.replies = *a.Reply
	case a.Restart != nil:
		if c := w.cont(a.Restart.Container); a.Restart.Nonce == c.nonce() && !c.gone && !c.killing && !w.chance(10) {
			w.kill(c)
		}
	case a.Proven != nil:
		w.proven++
		for _, c := range w.conts {
			if len(c.running)+len(c.left) > 0 {
				w.failf("Proven, but in %s runs %v %v", c.name, c.running, c.left)
			}
		}
	case a.Claim != nil:
		id := a.Claim.ID
		w.in(w.soon(), func() { w.send(Event{Claimed: &Claimed{ID: id, OK: !w.chance(10)}}) })
	case a.Finish != nil:
		w.finish(*a.Finish)
	case a.Journal != nil:
		w.journal = w.e.Snapshot(w.now)
	case a.Arm != nil:
		w.armed = a.Arm.At
		if w.armed != 0 && w.armed <= w.now.Boot {
			w.failf("armed in the past")
		}
	}
}

func (w *world) finish(f Finish) {
	if old, twice := w.ends[f.ID]; twice && fmt.Sprint(old) != fmt.Sprint(f) {
		w.failf("control call %s ended twice: %+v, %+v", f.ID, old, f)
	}
	w.ends[f.ID] = f
	if f.Kind == FinishRefused && w.begun[f.ID] > 0 {
		w.failf("control call %s was refused, but was run", f.ID)
	}
	if w.chance(50) {
		w.in(w.soon(), func() { w.send(Event{Recorded: &Recorded{ID: f.ID}}) })
	}
}

// sets: the call has properties taken over.
func sets(c Call) bool { return c.Control != nil && c.Control.Code == setPrivateProperties }

// check is what must hold of every call.
func (w *world) check(c Call) {
	k := w.cont(c.Container)
	if c.Deadline <= w.now.Boot {
		w.failf("no deadline: %+v", c)
	}
	for _, o := range w.flight {
		if o.Resource != c.Resource || o.Nonce != c.Nonce || !k.up {
			continue
		}
		a, b := stateChanging(o.Op), stateChanging(c.Op)
		if sets(o) && (b || sets(c)) && c.Op != OpOffline || sets(c) && a {
			w.failf("%s of %s beside %s: properties are being set", c.Op, c.Resource, o.Op)
		}
		if a && b || o.Op == OpTerminate && (b || c.Op == OpTerminate) || c.Op == OpTerminate && (o.Op == OpOpen || o.Op == OpClose) {
			w.failf("%s of %s while %s is in flight", c.Op, c.Resource, o.Op)
		}
	}
	if c.Control != nil {
		if id, twice := w.context[c.Control.Context]; twice {
			w.failf("context of %s used twice", id)
		}
		w.context[c.Control.Context] = c.Resource
	}
	if c.Op == OpArbitrate && (!w.granted || c.Epoch != w.epoch || k.guard != c.Epoch) {
		w.failf("Arbitrate of %s under epoch %d, guard %d; granted %v %d", c.Resource, c.Epoch, k.guard, w.granted, w.epoch)
	}
	if c.Op != OpOnline {
		return
	}
	for _, k := range w.conts {
		if w.lost && len(k.running)+len(k.left) > 0 {
			w.failf("Online of %s after a quorum resource was lost, and in %s still runs %v %v", c.Resource, k.name, k.running, k.left)
		}
	}
	w.lost = false
	s := w.e.Snapshot(w.now)
	for _, r := range s.Resources {
		if q := w.cont(r.Spec.Container); r.Spec.ArbitrationTimeout > 0 && !r.Removed && r.Was == nil &&
			r.Spec.DesiredState == DesiredOnline && q.won[r.Spec.UID] != c.Epoch && q.up {
			w.failf("Online of %s in epoch %d; the arbitration of %s was won in %d", c.Resource, c.Epoch,
				r.Spec.UID, q.won[r.Spec.UID])
		}
	}
	byUID := map[string]ResourceSnapshot{}
	for _, r := range s.Resources {
		byUID[r.Spec.UID] = r
	}
	switch {
	case !w.granted || c.Epoch != w.epoch:
		w.failf("Online of %s under epoch %d; granted %v %d", c.Resource, c.Epoch, w.granted, w.epoch)
	case k.guard != c.Epoch && k.nonce() == c.Nonce:
		w.failf("Online of %s without a guard", c.Resource)
	case k.running[c.Resource] && k.up && k.nonce() == c.Nonce && !w.naughty[c.Resource]:
		w.failf("Online of %s, which is running", c.Resource)
	}
	for _, term := range byUID[c.Resource].Spec.Dependencies {
		if !slices.ContainsFunc(term, func(u string) bool { return byUID[u].State == Online }) {
			w.failf("Online of %s without its dependency %v", c.Resource, term)
		}
	}
}
