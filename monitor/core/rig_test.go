// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor"
	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
	"github.com/understudy-dev/understudy/monitor/instant"
	"github.com/understudy-dev/understudy/monitor/ownership"
)

// rig is a group of hosts whose edges answer at once, unless they are told not
// to. Every life of every monitor is recorded and replayed at the end.
type rig struct {
	t       testing.TB
	now     instant.Instant
	lease   *leasev1.Lease
	version int
	plan    planv1.Plan
	status  v1alpha1.ResourceGroupStatus
	calls   map[string]*core.ControlCall
	finish  map[string]*core.CallFinish
	queued  map[string]string // for whom a call waits
	hosts   []*host
	// deleting: the group is being deleted.
	deleting bool
	// slices counts the stored endpoints, by epoch.
	endpoint *core.EndpointDocument
	// arbiter is the host that holds what only one can have.
	arbiter string
	docs    map[string]core.ResourceDocument
}

func newRig(t testing.TB, names ...string) *rig {
	t.Helper()
	r := &rig{
		t: t, now: instant.Instant{Boot: 1e12, Raw: 1e12, Wall: 1.9e18},
		calls: map[string]*core.ControlCall{}, finish: map[string]*core.CallFinish{}, docs: map[string]core.ResourceDocument{},
		queued: map[string]string{},
	}
	object := json.RawMessage(`{"type":"object","required":["to"],"properties":{"to":{"type":"string","maxLength":5}}}`)
	r.plan = planv1.Plan{
		Version: 1, Namespace: "ns", Group: "db", GroupUID: "group-uid", Online: true, LeaseDurationSeconds: 6,
		FailoverThreshold: 2, FailoverPeriodSeconds: 3600, Containers: []string{"main"},
		Service: &planv1.Service{Name: "db", Ports: []planv1.Port{{Port: 80}}},
		Resources: []planv1.Resource{{
			UID: "u1", Name: "store", Generation: 1, Type: "test", Container: "main", Online: true,
			LooksAlivePollInterval: 5000, IsAlivePollInterval: 3600000, PendingTimeout: 10000, DeadlockTimeout: 10000,
			TerminateTimeout: 1000, RestartAction: "RestartNotify", RestartThreshold: 1, RestartPeriod: 900000,
			Controls: []planv1.Control{
				{Name: "BACKUP", Code: 7, Write: true}, {Name: "COPY", Code: 0x0180000a, Write: true}, {Name: "PEEK", Code: 0x01800005},
			},
		}},
		Types: []planv1.Type{{
			Name: "test", Class: "Storage", PropertyFormats: map[string]string{"size": "integer", "path": "string"},
			Controls: []planv1.Control{
				{Name: "BACKUP", Code: 7, Write: true}, {Name: "PEEK", Code: 0x01800005},
				{Name: "COPY", Code: 0x0180000a, Write: true, InputSchema: object, OutputSchema: json.RawMessage(
					`{"type":"object","properties":{"to":{"type":"string","enum":["x"]}}}`)},
				{Name: "PREPARE", Code: 0x0280000a, Write: true, Type: true, InputSchema: object},
			},
		}},
	}
	record, _ := leasev1.ReleaseInitial(leasev1.Unheld(0, 6*time.Second))
	r.commit(leasev1.Encode(record, leasev1.Lease{}))
	r.status.PlanRevision = "p1"
	s := &v1alpha1.Succession{}
	for _, n := range names {
		s.Line = append(s.Line, v1alpha1.Successor{PodUID: "uid-" + n, PodName: n, NodeName: "node-" + n})
	}
	r.status.Succession = s
	for _, n := range names {
		h := &host{
			rig: r, name: n, hold: map[string]bool{}, held: map[string][]core.Input{}, flying: map[string]int{},
			alive: true, provider: true, online: map[string]bool{},
		}
		r.hosts = append(r.hosts, h)
	}
	t.Cleanup(func() {
		for _, h := range r.hosts {
			for _, l := range h.lives {
				if _, err := monitor.Replay(bytes.NewReader(l.Bytes()), nil); err != nil {
					t.Errorf("host %s does not replay: %v", h.name, err)
				}
			}
		}
	})
	return r
}

// host is one host pod with one container.
type host struct {
	rig   *rig
	name  string
	core  *core.Core
	state []byte // the journal
	lives []*bytes.Buffer
	inbox []core.Input
	arm   int64

	// hold keeps back what an edge would answer; held is what was kept.
	hold map[string]bool
	held map[string][]core.Input
	// cut: the API server cannot be reached. loseAnswers: so many writes of the
	// lease are stored, and nobody hears of it.
	cut         bool
	loseAnswers int
	// loseWrites: so many writes of the group are stored, and said to have failed.
	loseWrites int
	// writes and effects since the beginning; flying counts writes by key.
	effects []core.Effect
	flying  map[string]int
	outcome func(core.Write) core.WriteOutcome

	// init and provider.
	nonce       int
	connected   bool
	known       bool
	guard       core.Guard
	kills       int
	provider    bool
	alive       bool
	grace       int64
	dumb        bool // says at Open nothing of what runs
	async       bool
	takes       engine.Code // what control calls are answered with
	pending     bool
	online      map[string]bool
	lastContext int64
	cancels     int
	callbacks   uint64
	done        bool
	loses       bool // arbitrations, to somebody outside
	plain       bool // its provider does not arbitrate
}

func (r *rig) host(name string) *host {
	i := slices.IndexFunc(r.hosts, func(h *host) bool { return h.name == name })
	return r.hosts[i]
}

// start begins a life of the host's monitor; init connects unless it is gone.
func (h *host) start() {
	h.rig.t.Helper()
	config := core.Config{
		Namespace: "ns", Group: "db", PodName: h.name, PodUID: "uid-" + h.name, PodIP: "10.0.0.1", NodeName: "node-" + h.name,
		Inc: h.name + "-" + strconv.Itoa(len(h.lives)), BootID: "boot", Containers: []string{"main"},
		GraceMilliseconds: h.grace,
	}
	var state *core.State
	if h.state != nil {
		state = &core.State{}
		must(h.rig.t, json.Unmarshal(h.state, state))
	}
	h.core = core.New(config, state)
	h.inbox, h.arm, h.done = nil, 0, false
	h.held, h.flying = map[string][]core.Input{}, map[string]int{}
	h.lives = append(h.lives, &bytes.Buffer{})
	h.record(core.Line{Config: &config, State: state})
	h.post(core.Input{Started: &core.Started{}})
	h.connect()
	h.seeAll()
	h.rig.run()
}

// stop ends the monitor as kill -9 does.
func (h *host) stop() { h.core, h.connected, h.inbox = nil, false, nil }

func (h *host) record(l core.Line) {
	must(h.rig.t, json.NewEncoder(h.lives[len(h.lives)-1]).Encode(l))
}

func (h *host) post(in core.Input) {
	if h.core != nil {
		h.inbox = append(h.inbox, in)
	}
}

// answer posts what an edge says, unless that edge is held.
func (h *host) answer(edge string, in core.Input) {
	if h.hold[edge] {
		h.held[edge] = append(h.held[edge], in)
		return
	}
	h.post(in)
}

// release lets an edge answer again, with what it kept.
func (h *host) release(edge string) {
	h.hold[edge] = false
	for _, in := range h.held[edge] {
		h.post(in)
	}
	h.held[edge] = nil
	h.rig.run()
}

// seeAll is what watches bring when they begin.
func (h *host) seeAll() {
	h.post(core.Input{Observed: &ownership.Observed{Lease: h.rig.lease}})
	h.seeGroup()
	for _, id := range slices.Sorted(maps.Keys(h.rig.calls)) {
		k := *h.rig.calls[id]
		h.post(core.Input{ControlCall: &k})
	}
}

// heal ends a cut: the watches bring what is new.
func (h *host) heal() {
	h.cut = false
	h.seeAll()
	h.rig.run()
}

// initDies ends the container, with all that runs in it.
func (h *host) initDies() {
	gone := h.connected
	h.connected, h.known, h.guard = false, false, core.Guard{}
	h.nonce++
	h.letGo()
	clear(h.online)
	if gone {
		h.post(core.Input{InitGone: &core.InitGone{Container: "main"}})
	}
	h.rig.run()
}

func (h *host) seeGroup() {
	if !h.cut && !h.hold["group"] {
		h.post(core.Input{Group: &core.Group{
			UID: "group-uid", Deleting: h.rig.deleting, Status: *h.rig.status.DeepCopy(),
		}})
	}
}

// run gives every host what is in its inbox until nothing is left.
func (r *rig) run() {
	r.t.Helper()
	for range 20000 {
		i := slices.IndexFunc(r.hosts, func(h *host) bool { return h.core != nil && len(h.inbox) > 0 })
		if i < 0 {
			return
		}
		r.hosts[i].step()
	}
	r.t.Fatal("the hosts never come to rest")
}

func (h *host) step() {
	in := h.inbox[0]
	h.inbox = h.inbox[1:]
	r := h.rig
	r.now = r.now.Add(time.Microsecond)
	effects := h.core.Step(r.now, in)
	if untold := core.Untold(h.core); len(untold) > 0 {
		r.t.Errorf("host %s: %s changed with %s, and was not told", h.name, untold, asJSON(r.t, in))
	}
	h.record(core.Line{At: &r.now, Input: &in, Effects: effects})
	h.effects = append(h.effects, effects...)
	if slices.ContainsFunc(effects, func(e core.Effect) bool { return e.Journal != nil }) {
		// The journal holds the state after the whole step.
		state, err := json.Marshal(h.core.State(r.now))
		must(r.t, err)
		h.state = state
	}
	for _, e := range effects {
		h.carryOut(e)
	}
}

// input gives one input and everything that follows from it.
func (h *host) input(in core.Input) {
	h.rig.t.Helper()
	h.post(in)
	h.rig.run()
}

// pass lets time go by, timers and guards fire.
func (r *rig) pass(d time.Duration) {
	r.t.Helper()
	end := r.now.Boot + int64(d)
	for {
		next, who := end, -1
		for i, h := range r.hosts {
			for _, at := range []int64{h.arm, h.guard.G2} {
				if at != 0 && at < next && (at != h.arm || h.core != nil) {
					next, who = at, i
				}
			}
		}
		if next > r.now.Boot {
			r.now = r.now.Add(time.Duration(next - r.now.Boot))
		}
		if who < 0 {
			return
		}
		h := r.hosts[who]
		if h.guard.G2 != 0 && h.guard.G2 <= r.now.Boot {
			h.kill()
		}
		if h.arm != 0 && h.arm <= r.now.Boot {
			h.arm = 0
			h.post(core.Input{Timer: &core.Timer{}})
		}
		r.run()
	}
}

// ask makes a ControlCall.
func (r *rig) ask(k core.ControlCall) {
	r.t.Helper()
	k.UID = "uid-" + k.Name
	if k.TimeoutMilliseconds == 0 {
		k.TimeoutMilliseconds = 60000
	}
	r.calls[k.Name] = &k
	r.tellCall(k.Name)
	r.run()
}

func (r *rig) finished(name, reason string) *core.CallFinish {
	r.t.Helper()
	f := r.finish[name]
	if f == nil || f.Reason != reason {
		r.t.Fatalf("call %s: %+v, want %s", name, f, reason)
	}
	return f
}

// since returns the effects of a host since a mark, which is how many there were.
func (h *host) since(mark int) []core.Effect { return h.effects[mark:] }

func (h *host) mark() int { return len(h.effects) }

func count(effects []core.Effect, is func(core.Effect) bool) int {
	n := 0
	for _, e := range effects {
		if is(e) {
			n++
		}
	}
	return n
}

func calls(op engine.Op) func(core.Effect) bool {
	return func(e core.Effect) bool { return e.Call != nil && e.Call.Op == op }
}

func (h *host) isOnline() bool { return len(h.online) > 0 }

// up brings up all hosts; the first of the line owns the group.
func up(t *testing.T, names ...string) (*rig, *host) {
	t.Helper()
	r := newRig(t, names...)
	for _, h := range r.hosts {
		h.start()
	}
	r.pass(time.Second)
	h := r.hosts[0]
	if !h.isOnline() || r.status.Owner == nil || r.status.Owner.PodName != h.name ||
		r.status.Owner.State != v1alpha1.GroupOnline {
		t.Fatalf("%s is not the owner: %+v", h.name, r.status.Owner)
	}
	return r, h
}

func (h *host) signalFailure() {
	h.rig.t.Helper()
	h.input(core.Input{Callback: &engine.Callback{
		ID: 1, Container: "main", Handle: "u1", SignalFailure: &engine.SignalFailure{Exited: true, Message: "exit status 1"},
	}})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func asJSON(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	must(t, err)
	return string(b)
}
