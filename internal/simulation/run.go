// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
)

// Options says how to run schedules.
type Options struct {
	// Drift is the largest drift of clock rates.
	Drift float64
	// Durations is how many lease durations a schedule lasts before it gets quiet.
	Durations int
	// Outside has faults break the assumptions: I2 is checked then, and not I1.
	Outside bool
	// Trace keeps a timeline.
	Trace bool
	// Record keeps what every monitor was given and did.
	Record bool
	// Promises are those whose violations count; nil: all.
	Promises []string
	// Only are the faults that strike, by their numbers; nil: all.
	Only []int
}

func (o Options) spares(n int) bool { return o.Only != nil && !slices.Contains(o.Only, n) }

// LeastFaults is what every schedule has, unless it ends early.
const LeastFaults = 20

// Default is a schedule within the assumptions.
func Default() Options { return Options{Drift: A1, Durations: 50} }

// Class returns the options of a seed: one schedule in five is outside of the assumptions.
func Class(seed uint64) Options {
	o := Default()
	o.Outside = seed%5 == 4
	return o
}

// Violation is a promise that was broken.
type Violation struct {
	// Promise is which, in a word: I1, I2, guard, lease, status, calls, order, progress ...
	Promise string `json:"promise"`
	Message string `json:"message"`
}

// Result is what became of a schedule.
type Result struct {
	Seed      uint64
	Violation *Violation // nil: all promises were kept
	Coverage  Coverage
	Tries     int    // faults, by their numbers; a few found nothing to strike
	Timeline  string // with Options.Trace
	lives     []*life
}

// random is the same for the same seed and purpose: that is its point.
func random(seed, purpose uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed, purpose)) //nolint:gosec // a schedule that replays needs no secrecy
}

// Run runs the schedule of a seed.
func Run(seed uint64, o Options) Result {
	w := &World{seed: seed, options: o, rng: random(seed, 0)}
	w.begin()
	end := time.Duration(o.Durations) * w.longest()
	for w.runUntil(end); w.struck < LeastFaults && w.violation == nil; w.runUntil(end) {
		end += w.longest()
	}
	if w.style.lone >= 0 {
		end = w.alone(end)
	}
	w.calm()
	w.runUntil(end + w.aftermath())
	w.settle(end + w.patience())
	return Result{
		Seed: seed, Violation: w.violation, Coverage: w.Coverage, Tries: w.tries,
		Timeline: strings.Join(w.trace, "\n"), lives: w.lives,
	}
}

// longest is the longest lease duration of the groups.
func (w *World) longest() time.Duration {
	d := time.Duration(0)
	for _, g := range w.groups {
		d = max(d, g.timing.D)
	}
	return d
}

// aftermath is how long what faults began goes on.
func (w *World) aftermath() time.Duration { return max(3*w.longest(), grace) }

// patience bounds how long a group may take to come online once a host is healthy and
// connected: the record of an owner that did not survive is watched for W, after a host's
// own restart was, and after a release that nobody took; before that a container may be
// ended by kubelet, because its init did not answer, or a pod replaced; after it a resource
// may wait for its retry period and start slowly.
func (w *World) patience() time.Duration {
	d := w.longest()
	return 3*leasev1.W(d) + 2*d + time.Duration(8*len(w.nodes))*leasev1.Stagger + grace + 40*time.Second
}

func (w *World) begin() {
	const us, ms = time.Microsecond, time.Millisecond
	ranges := [][2]time.Duration{{50 * us, 500 * us}, {ms, 10 * ms}, {5 * ms, 80 * ms}}
	w.style = style{
		latency: ranges[w.rng.IntN(3)],
		local:   [2]time.Duration{50 * us, 2 * ms},
		start:   [][2]time.Duration{{0, ms}, {0, 300 * ms}}[w.rng.IntN(2)],
		stop:    [][2]time.Duration{{0, 50 * ms}, {0, 500 * ms}, {6 * time.Second, 12 * time.Second}}[w.rng.IntN(3)],
		extreme: w.chance(0.6),
		pending: w.chance(0.5),
	}
	for i := range 1 + w.rng.IntN(3) + w.rng.IntN(2) {
		w.addNode("node-" + string(rune('a'+i)))
	}
	w.addGroup("g")
	if w.chance(0.1) { // they share nodes and links, and nothing else
		w.addGroup("h")
	}
	// One in less than two lease durations, on average many more.
	w.style.faults = time.Duration((0.4 + 1.2*w.rng.Float64()) * float64(w.longest()))
	for _, g := range w.groups {
		for _, n := range w.nodes {
			g.addHost(n)
		}
		g.manager.run()
		w.log(g.name, "D %v, %d hosts, %+v", g.timing.D, len(g.hosts), g.policy)
	}
	w.style.lone = -1
	if n := w.rng.IntN(len(w.nodes)); len(w.nodes) > 1 && w.chance(0.4) {
		w.style.lone, w.style.lame = n, w.rng.IntN(4)
	}
	w.after(2*w.longest(), w.trouble)
	w.log("", "style %+v", w.style)
}

func (w *World) runUntil(end time.Duration) {
	for w.violation == nil && len(w.queue.heap) > 0 && w.queue.heap[0].at <= end {
		i := w.queue.pop()
		w.now = i.at
		i.f()
	}
	w.now = max(w.now, end)
}

// alone: every group comes online on the one host that is healthy and connected, whatever the
// others do, and stays there.
func (w *World) alone(end time.Duration) time.Duration {
	n, last := w.nodes[w.style.lone], end+w.patience()
	there := func(g *group) bool { h := g.online(); return h != nil && h.node == n }
	away := slices.DeleteFunc(slices.Clone(w.groups), there)
	w.lone(n)
	w.runUntil(end + w.aftermath())
	for _, g := range w.groups {
		for w.violation == nil && !there(g) {
			if w.now >= last {
				w.fail("alone", "%s is not online on %s, which alone is healthy, %v after its last fault", g.name, n.name,
					w.patience())
				break
			}
			w.runUntil(w.now + time.Second)
		}
	}
	grants := w.Coverage.Grants
	w.runUntil(w.now + 4*w.longest())
	for _, g := range w.groups {
		owner := g.store.status.Owner
		switch {
		case w.violation != nil:
		case !there(g) || !w.options.Outside && w.Coverage.Grants != grants:
			w.fail("alone", "%s does not stay on %s, which alone is healthy", g.name, n.name)
		case !w.options.Outside && (owner == nil || owner.PodUID != g.online().uid ||
			owner.Epoch != g.online().monitor.owner.Epoch):
			w.fail("alone", "%s is online on %s, which alone is healthy, and its status does not say so", g.name, n.name)
		}
	}
	w.Coverage.Alone += len(away)
	return w.now
}

// settle: every group comes online before the end, every call has an outcome, and then
// nothing changes any more.
func (w *World) settle(end time.Duration) {
	for w.violation == nil && !w.settled() {
		if w.now >= end {
			w.unsettled()
			return
		}
		w.runUntil(w.now + time.Second)
	}
	// Whoever meets a store that went back gives up what it has, even if it is right.
	if w.violation != nil || w.options.Outside {
		return
	}
	grants := w.Coverage.Grants
	w.runUntil(w.now + 5*w.longest())
	switch {
	case w.violation != nil:
	case w.Coverage.Grants != grants:
		w.fail("progress", "a group changed its host although nothing happened")
	case !w.settled():
		w.unsettled()
	}
}

func (w *World) settled() bool {
	for _, g := range w.groups {
		if g.online() == nil || !g.check.told() || len(g.check.waiting()) > 0 || g.stray() != "" {
			return false
		}
	}
	return true
}

func (w *World) unsettled() {
	for _, g := range w.groups {
		switch {
		case g.online() == nil:
			w.fail("progress", "%s is not online %v after the last fault", g.name, w.patience())
		case !g.check.told():
			w.fail("progress", "the status of %s is wrong %v after the last fault: %s", g.name, w.patience(), g.check.tells())
		case len(g.check.waiting()) > 0:
			w.fail("progress", "calls of %s have no outcome %v after the last fault: %v", g.name, w.patience(),
				g.check.waiting())
		case g.stray() != "":
			w.fail("unexpected", "%s, which was started by hand and found, still runs %v after the last fault", g.stray(),
				w.patience())
		}
	}
}

func (w *World) fail(promise, format string, args ...any) {
	if counts := w.options.Promises; len(counts) > 0 && !slices.Contains(counts, promise) {
		return
	}
	if w.violation == nil {
		w.violation = &Violation{Promise: promise, Message: fmt.Sprintf(format, args...)}
		w.log("", "VIOLATION of %s: %s", promise, w.violation.Message)
	}
}

// String is the result in one line, with its timeline if there is one.
func (r Result) String() string {
	if r.Violation == nil {
		return fmt.Sprintf("seed %d: all promises were kept", r.Seed)
	}
	return fmt.Sprintf("seed %d: %s: %s\n%s", r.Seed, r.Violation.Promise, r.Violation.Message, r.Timeline)
}
