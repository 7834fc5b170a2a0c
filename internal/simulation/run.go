// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	"github.com/understudy-dev/understudy/monitor/instant"
	"github.com/understudy-dev/understudy/monitor/ownership"
)

// Options says how to run schedules.
type Options struct {
	// New makes the node of one host.
	New func(ownership.Config, ownership.Disk) Node
	// Drift is the largest drift of clock rates.
	Drift float64
	// Durations is how many lease durations a schedule lasts before it gets quiet.
	Durations int
	// Trace keeps a timeline.
	Trace bool
	// Record, if set, gets every step of every machine.
	Record func(Step)
}

// Step is one step of one machine, as recorded.
type Step struct {
	Host    string             `json:"host"`
	Inc     string             `json:"inc"`
	Now     instant.Instant    `json:"now"`
	Event   ownership.Event    `json:"event"`
	Actions []ownership.Action `json:"actions,omitempty"`
}

// Default runs the real machine within the assumptions.
func Default() Options {
	return Options{
		New:       func(c ownership.Config, d ownership.Disk) Node { return ownership.New(c, d) },
		Drift:     A1,
		Durations: 50,
	}
}

// Result is what became of a schedule.
type Result struct {
	Seed      uint64
	Violation string // empty: all promises were kept
	Coverage  Coverage
	Timeline  string // with Options.Trace
}

// random is the same for the same seed: that is its point.
func random(seed uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed, 17)) //nolint:gosec // a schedule that replays needs no secrecy
}

// Run runs the schedule of a seed.
func Run(seed uint64, o Options) Result {
	w := &World{options: o, rng: random(seed), wantOnline: true}
	w.check.epochs, w.check.arbitrated = map[int64]string{}, map[int64]*host{}
	w.begin()
	end := time.Duration(o.Durations) * w.timing.D
	w.runUntil(end)
	w.calm()
	w.runUntil(end + w.patience())
	owner := w.online()
	if owner == nil {
		w.check.fail(w, "progress: the group is not online %v after the last fault", w.patience())
	} else {
		grants := w.Coverage.Grants
		w.runUntil(w.now + 5*w.timing.D)
		if w.online() != owner || w.Coverage.Grants != grants {
			w.check.fail(w, "stability: %s lost the group although nothing happened", owner.name)
		}
	}
	return Result{Seed: seed, Violation: w.check.violation, Coverage: w.Coverage, Timeline: strings.Join(w.trace, "\n")}
}

// patience bounds how long the group may take to come online once a host is
// healthy and connected: the record of an owner that did not survive is watched
// for W, after a host's own restart was, and after a release that nobody took.
func (w *World) patience() time.Duration {
	return 3*leasev1.W(w.timing.D) + 2*w.timing.D + time.Duration(8*len(w.hosts))*leasev1.Stagger
}

func (w *World) begin() {
	d := []time.Duration{6, 6, 2, 15}[w.rng.IntN(4)] * time.Second
	w.timing, _ = leasev1.TimingFor(d)
	const us, ms = time.Microsecond, time.Millisecond
	ranges := [][2]time.Duration{{50 * us, 500 * us}, {ms, 10 * ms}, {5 * ms, 80 * ms}}
	w.style = style{
		latency: ranges[w.rng.IntN(3)],
		local:   [2]time.Duration{50 * us, 2 * ms},
		start:   [][2]time.Duration{{0, ms}, {0, 300 * ms}}[w.rng.IntN(2)],
		stop:    [][2]time.Duration{{0, 50 * ms}, {0, w.timing.G2 - w.timing.N}, {w.timing.D, 2 * w.timing.D}}[w.rng.IntN(3)],
		extreme: w.chance(0.6),
		quorum:  w.chance(0.5),
		faults:  time.Duration(0.3 * (1 + 5*w.rng.Float64()) * float64(w.timing.D)),
	}
	w.store = &store{world: w, version: 100}
	w.manager = &manager{world: w}
	for i := range 1 + w.rng.IntN(3) + w.rng.IntN(2) {
		h := w.addHost(string(rune('A' + i)))
		w.after(w.upTo(time.Second), h.startMonitor)
	}
	w.manager.run()
	w.after(2*w.timing.D, w.trouble)
	w.log("D %v, %d hosts, style %+v", d, len(w.hosts), w.style)
}

func (w *World) runUntil(end time.Duration) {
	for w.check.violation == "" && len(w.queue.heap) > 0 && w.queue.heap[0].at <= end {
		i := w.queue.pop()
		w.now = i.at
		i.f()
	}
	w.now = max(w.now, end)
}

// calm ends all faults.
func (w *World) calm() {
	w.log("calm from here on")
	w.quiet = true
	ends := func(until ...*time.Duration) {
		for _, t := range until {
			*t = min(*t, w.now)
		}
	}
	ends(&w.manager.down, &w.manager.apiDown, &w.outside)
	w.wantOnline = true
	w.mend()
	for _, h := range w.hosts {
		ends(&h.link.cutIn, &h.link.cutOut, &h.link.slow, &h.diskFull, &h.arbitrateAt)
		h.link.loseAnswer, h.link.strike, h.barred, h.release = 0, nil, false, nil
		for _, c := range h.containers {
			ends(&c.hang, &c.broken)
			if h.up && !c.up {
				c.begin()
			}
			c.connect()
		}
		h.boot()
		h.startMonitor()
		if m := h.monitor; m != nil {
			ends(&m.paused, &m.engine.hung)
			m.pauseAt = 0
			m.run()
			m.postWish()
		}
	}
}

// String is the result in one line, with its timeline if there is one.
func (r Result) String() string {
	return fmt.Sprintf("seed %d: %s\n%s", r.Seed, r.Violation, r.Timeline)
}
