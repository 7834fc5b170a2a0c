// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	guardv1 "github.com/understudy-dev/understudy/api/guard/v1"
	"github.com/understudy-dev/understudy/monitor/clock"
	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
	"github.com/understudy-dev/understudy/monitor/guard"
	"github.com/understudy-dev/understudy/monitor/journal"
	"github.com/understudy-dev/understudy/monitor/kube"
	"github.com/understudy-dev/understudy/monitor/providers"
)

// The queues before the one loop goroutine. Callbacks have one of their own, so
// that a provider that floods delays only providers, never the lease.
const (
	inputQueue    = 256
	callbackQueue = 64
)

// flushTime is what the end of the monitor waits for each reader of what it wrote.
const flushTime = time.Second

// loop is the one goroutine that steps the core, and what it hands effects to.
type loop struct {
	config Config
	core   *core.Core
	alarm  *clock.Alarm
	kube   *kube.Client
	store  *store
	heart  *heart

	guards    map[string]*guard.Server
	providers map[string]*providers.Client
	stuck     map[string]*stuckFile

	inputs    chan core.Input
	callbacks chan asked
	ended     <-chan struct{}
	wait      sync.WaitGroup
	recorder  *recorder
	log       *clusterLog

	callbackID atomic.Uint64
	// asking waits for the reply of the step that goes on.
	asking asked
	// unstored: the core has changed since the state that the store was given last.
	unstored   bool
	cancelPlan context.CancelFunc
}

// asked is a callback and who waits for its reply, which comes in the step that takes it.
type asked struct {
	callback *engine.Callback
	reply    chan engine.Reply
}

func newLoop(ctx context.Context, config Config, settings core.Config, last *core.State, j *journal.Journal) *loop {
	l := &loop{
		config: config, core: core.New(settings, last),
		guards: map[string]*guard.Server{}, providers: map[string]*providers.Client{}, stuck: map[string]*stuckFile{},
		inputs: make(chan core.Input, inputQueue), callbacks: make(chan asked, callbackQueue),
		ended: ctx.Done(), heart: newHeart(readyIn(config.StateDir).touch),
		log: newClusterLog(config.Log, newLogRing(config.StateDir)),
	}
	l.recorder = newRecorder(config.Record, func(reason string) {
		l.warn("RecordingEnded", "the recording ends here: "+reason)
	})
	l.store = newStore(j, l.input, func(err error) { l.warn("JournalFailed", err.Error()) })
	l.spawn(func() { l.store.run(ctx) })
	l.recorder.start(settings, last)
	return l
}

// warn is a line of the cluster log that comes from an edge.
func (l *loop) warn(reason, text string) {
	l.log.write(clock.Now(), core.Log{Level: engine.LevelWarning, Component: "RCM", Reason: reason, Text: text})
}

// flush has what was told written, if somebody takes it. Nothing is told after it.
func (l *loop) flush() {
	l.recorder.close(flushTime)
	l.log.close(flushTime)
}

// flushEvents has the Events sent that were told, unless ctx has ended: a monitor that is
// killed waits for nothing. Nor does one that is replaced as the owner: nothing renews until
// the next life does.
func (l *loop) flushEvents(ctx context.Context) {
	if l.core.Ownership().Granted {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, flushTime)
	defer cancel()
	l.kube.FlushEvents(ctx)
}

func (l *loop) spawn(f func()) { l.wait.Go(f) }

// input queues what an edge saw. It waits while the queue is full: then the edge
// slows down, which is the bound.
func (l *loop) input(in core.Input) {
	select {
	case l.inputs <- in:
	case <-l.ended:
	}
}

// callback queues a callback and waits for its reply.
func (l *loop) callback(ctx context.Context, cb engine.Callback) (engine.Reply, error) {
	cb.ID = l.callbackID.Add(1)
	a := asked{callback: &cb, reply: make(chan engine.Reply, 1)}
	select {
	case l.callbacks <- a:
	case <-ctx.Done():
		return engine.Reply{}, ctx.Err()
	}
	select {
	case r := <-a.reply:
		return r, nil
	case <-ctx.Done():
		return engine.Reply{}, ctx.Err()
	}
}

// run is the loop.
func (l *loop) run(ctx context.Context, end <-chan string) error {
	if done, err := l.step(ctx, core.Input{Started: &core.Started{}}); done || err != nil {
		return err
	}
	for {
		in, ok := l.next(ctx, end)
		if !ok {
			return ctx.Err()
		}
		if in.End != nil {
			end = nil
		}
		if done, err := l.step(ctx, in); done || err != nil {
			return err
		}
	}
}

// next is the next input: what concerns ownership before what providers say.
func (l *loop) next(ctx context.Context, end <-chan string) (core.Input, bool) {
	for {
		l.heart.pass()
		select {
		case in := <-l.inputs:
			return in, true
		case <-l.alarm.C:
			return core.Input{Timer: &core.Timer{}}, true
		default:
		}
		select {
		case <-ctx.Done():
			return core.Input{}, false
		case reason := <-end:
			return core.Input{End: &core.End{Reason: reason}}, true
		case in := <-l.inputs:
			return in, true
		case <-l.alarm.C:
			return core.Input{Timer: &core.Timer{}}, true
		case l.asking = <-l.callbacks:
			return core.Input{Callback: l.asking.callback}, true
		case <-l.store.free:
			l.storeMore()
		case <-l.heart.ask:
		}
	}
}

func (l *loop) step(ctx context.Context, in core.Input) (done bool, err error) {
	now := clock.Now()
	effects := l.core.Step(now, in)
	l.recorder.step(now, in, effects)
	return l.carryOutAll(ctx, effects)
}

func (l *loop) carryOutAll(ctx context.Context, effects []core.Effect) (done bool, err error) {
	var unstored error // why the journal does not have what was to be in it first
	for i, e := range effects {
		if e.Done != nil {
			done = true
		}
		if unstored != nil && l.unbegun(e) {
			continue
		}
		err := l.carryOut(ctx, e)
		switch {
		case err != nil && e.Journal != nil && core.Answerable(effects[i+1:]):
			unstored = err
			l.warn("JournalFailed", err.Error()+": nothing is brought online without it")
		case err != nil:
			return done, err
		}
	}
	return done, nil
}

// unbegun answers what is not begun because the journal could not be told of it, in place
// of the provider: Online and Arbitrate failed, and the policy for that decides; of a control
// call nobody will find out that it did not run. What runs goes on. A callback that relied on
// the journal is told so.
func (l *loop) unbegun(e core.Effect) bool {
	reply, returned := e.Unstored()
	switch {
	case reply != nil:
		l.reply(*reply)
	case returned != nil:
		l.execute(func() core.Input { return core.Input{Returned: returned} })
	}
	return reply != nil || returned != nil
}

// carryOut hands an effect to its edge. Only a journal with a barrier is waited for.
func (l *loop) carryOut(ctx context.Context, e core.Effect) error {
	switch {
	case e.Put != nil:
		l.spawn(func() { l.kube.PutLease(ctx, *e.Put) })
	case e.Create != nil:
		l.spawn(func() { l.kube.CreateLease(ctx, *e.Create) })
	case e.Get != nil:
		l.spawn(func() { l.kube.GetLease(ctx, *e.Get) })
	case e.Journal != nil:
		return l.journal(*e.Journal)
	case e.Guard != nil:
		l.send(e.Guard.Container, guardv1.Message{
			Type: guardv1.Guard, Epoch: e.Guard.Epoch, G1: e.Guard.G1, G2: e.Guard.G2,
		})
	case e.Kill != nil:
		l.send(e.Kill.Container, guardv1.Message{Type: guardv1.Kill, Reason: e.Kill.Reason, AfterDump: e.Kill.AfterDump})
	case e.Dump != nil:
		l.dump(*e.Dump)
	case e.Exit != nil:
		l.send(e.Exit.Container, guardv1.Message{Type: guardv1.Exit})
	case e.Stuck != nil:
		l.mark(*e.Stuck)
	case e.Expect != nil:
		if p := l.providers[e.Expect.Container]; p != nil {
			p.Expect(e.Expect.Nonce)
		}
	case e.Call != nil:
		l.execute(func() core.Input { return l.call(*e.Call) })
	case e.Tick != nil:
		// Through the same executor and queue as a call: that is its point.
		l.execute(func() core.Input { return core.Input{Tick: e.Tick} })
	case e.Reply != nil:
		l.reply(*e.Reply)
	case e.FetchPlan != nil:
		l.fetchPlan(ctx, e.FetchPlan.Revision)
	case e.Write != nil:
		l.spawn(func() { l.kube.Write(ctx, *e.Write) })
	case e.Log != nil:
		now := clock.Now()
		l.log.write(now, *e.Log)
		if e.Log.Event {
			l.kube.Event(now, *e.Log)
		}
	case e.Arm != nil:
		if err := l.alarm.Set(e.Arm.At); err != nil {
			return fmt.Errorf("setting the alarm: %w", err)
		}
	}
	return nil
}

// execute runs what may take long. Core bounds how much of it there is.
func (l *loop) execute(f func() core.Input) { l.spawn(func() { l.input(f()) }) }

func (l *loop) call(c engine.Call) core.Input {
	p := l.providers[c.Container]
	if p == nil {
		return core.Input{Returned: &engine.Returned{Call: c.ID, Outcome: engine.Unavailable}}
	}
	r := p.Call(c)
	return core.Input{Returned: &r}
}

func (l *loop) send(container string, m guardv1.Message) {
	if g := l.guards[container]; g != nil {
		g.Send(m)
	}
}

// dump has an init collect a dump, or answers in its place why it cannot.
func (l *loop) dump(d engine.Dump) {
	order := &guardv1.DumpOrder{Resource: d.Name, More: d.More, Core: d.Core}
	for _, p := range d.Processes {
		order.Processes = append(order.Processes, guardv1.Process{Name: p.Name, PID: p.PID})
	}
	refusal := "container " + d.Container + " is not supervised"
	if g := l.guards[d.Container]; g != nil {
		refusal = g.Dump(guardv1.Message{Type: guardv1.Dump, ID: d.Resource, Reason: string(d.Reason), Dump: order})
	}
	if refusal != "" {
		answer := &engine.Dumped{Container: d.Container, Resource: d.Resource, Message: refusal}
		l.execute(func() core.Input { return core.Input{Dumped: answer} })
	}
}

func (l *loop) mark(s core.Stuck) {
	f := l.stuck[s.Container]
	if f == nil {
		return
	}
	f.wanted.Store(s.Stuck)
	l.spawn(func() {
		if err := f.apply(); err != nil {
			l.warn("NotMarked", err.Error())
		}
	})
}

func (l *loop) reply(r engine.Reply) {
	if a := l.asking; a.callback != nil && a.callback.ID == r.ID {
		l.asking = asked{}
		a.reply <- r // has room for it
	}
}

func (l *loop) fetchPlan(ctx context.Context, revision string) {
	if l.cancelPlan != nil {
		l.cancelPlan()
	}
	if revision == "" {
		return
	}
	ctx, l.cancelPlan = context.WithCancel(ctx)
	l.spawn(func() { l.kube.FetchPlan(ctx, revision) })
}

func (l *loop) journal(j core.Journal) error {
	if l.unstored = j.ID == 0 && !j.Barrier && !l.store.takes(); l.unstored {
		return nil // the next state has it, too
	}
	data, err := json.Marshal(l.core.State(clock.Now()))
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if j.Barrier {
		// A disk that fails now costs availability, not the exclusion: without this
		// barrier nothing that depends on it is done.
		return l.store.now(data)
	}
	l.store.later(data, j.ID)
	return nil
}

// storeMore stores what the store had no time for, now that it has.
func (l *loop) storeMore() {
	if !l.unstored {
		return
	}
	if err := l.journal(core.Journal{}); err != nil {
		l.warn("JournalFailed", err.Error())
	}
}

// storeLast stores what the store had no time for, at the end of this life.
func (l *loop) storeLast() error {
	if !l.unstored {
		return nil
	}
	return l.journal(core.Journal{Barrier: true})
}

func guardInput(e guard.Event) core.Input {
	m := e.Message
	switch {
	case e.Gone:
		return core.Input{InitGone: &core.InitGone{Container: e.Container, Cut: e.Cut}}
	case m.Type == guardv1.Hello:
		return core.Input{Hello: &core.Hello{
			Container: e.Container, Nonce: m.Nonce, Fresh: e.Fresh, Epoch: m.Epoch, G1: m.G1, G2: m.G2,
		}}
	case m.Type == guardv1.Guarded:
		return core.Input{Guarded: &core.Guarded{Container: e.Container, Nonce: m.Nonce, Epoch: m.Epoch, G2: m.G2}}
	case m.Type == guardv1.Empty:
		return core.Input{Emptied: &core.Emptied{Container: e.Container, Nonce: m.Nonce}}
	case m.Type == guardv1.Dumped:
		return core.Input{Dumped: &engine.Dumped{
			Container: e.Container, Resource: m.ID, File: m.File, Bytes: m.Bytes, Message: m.Reason,
		}}
	case m.Type == guardv1.Stopping:
		return core.Input{Stopping: &core.Stopping{Container: e.Container, Reason: m.Reason}}
	}
	return core.Input{}
}

func providerInput(e providers.Event) core.Input {
	in := core.Input{ProviderUp: e.Up, ProviderDown: e.Down}
	if a := e.Absent; a != nil {
		in.ProviderAbsent = &core.ProviderAbsent{Container: a.Container, Reason: a.Reason}
	}
	return in
}
