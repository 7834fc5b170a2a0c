// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"time"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/instant"
	"github.com/understudy-dev/understudy/monitor/ownership"
)

// checker holds what is promised of a group against what happens.
type checker struct {
	group *group

	epochs  map[int64]string // who was granted it
	largest int64
	deleted bool          // the Lease was, since the largest epoch was granted
	torn    time.Duration // when
	// rewinds counts how often the store went back: what it knew is not what happened.
	rewinds int
	record  leasev1.Record
	changed time.Duration // when the record last changed

	// announced is the largest epoch that a store which compares them has seen.
	announced int64
	// arbitrated is who won in each epoch; lostBy, who lost it since the last win.
	arbitrated map[int64]*host
	lostBy     *host

	statusTruth
	calls map[string]*callTruth
}

func newChecker(g *group) *checker {
	return &checker{
		group: g, epochs: map[int64]string{}, arbitrated: map[int64]*host{}, calls: map[string]*callTruth{},
		statusTruth: statusTruth{runs: map[run]int{}, restarts: map[run]int{}},
	}
}

func (k *checker) fail(promise, format string, args ...any) {
	k.group.world.fail(promise, format, args...)
}

// outside reports whether an assumption may be broken, so that I1 need not hold.
func (k *checker) outside() bool { return k.group.world.options.Outside }

// strict reports whether the drift is that of A1.
func (k *checker) strict() bool { return k.group.world.options.Drift <= A1 && !k.outside() }

func (k *checker) rewound() {
	k.rewinds++
	k.deleted, k.torn = true, k.group.world.now
	k.record = leasev1.Record{}
	if l := k.group.store.lease; l != nil {
		if r, err := leasev1.Decode(*l); err == nil {
			k.record = r
		}
	}
}

// started: a resource came to life. I1: nowhere else does one live. I2: a store that compares
// epochs takes its writes. And it must be under a guard of its epoch.
func (k *checker) started(h *host, p *provider, i *instance) {
	for _, other := range k.group.hosts {
		if other == h || !other.alive() {
			continue
		}
		if k.outside() {
			k.group.world.Coverage.TwoOwners++
			continue
		}
		k.fail("I1", "%s of %s starts in epoch %d while %s is alive", i.uid, h.name, i.epoch, other.name)
	}
	k.announce(h, i.epoch)
	k.runs[run{i.uid, h.uid, i.epoch}]++
	if p.c.guard.G2 == 0 || p.c.guard.Epoch != i.epoch {
		k.fail("guard", "%s of %s starts in epoch %d under the guard of epoch %d until %d", i.uid, h.name, i.epoch,
			p.c.guard.Epoch, p.c.guard.G2)
	}
	if k.group.policy.quorum && k.arbitrated[i.epoch] != h {
		k.fail("arbitration", "%s of %s starts in epoch %d without arbitration", i.uid, h.name, i.epoch)
	}
	k.guarded(p.c)
}

// announce is what a program does first, with a store that compares epochs. The store
// refuses a smaller one; an epoch that two hosts have is the end of that.
func (k *checker) announce(h *host, epoch int64) {
	switch by := k.epochs[epoch]; {
	case by != h.uid:
		k.fail("I2", "%s announces epoch %d, which is that of %q", h.name, epoch, by)
	case epoch < k.announced && !k.outside() && k.group.world.Coverage.EpochLost == 0:
		k.fail("I2", "%s announces epoch %d, and %d was announced before", h.name, epoch, k.announced)
	}
	k.announced = max(k.announced, epoch)
}

// guarded: nothing lives longer than K beyond its guard.
func (k *checker) guarded(c *container) {
	if c.provider == nil || !c.provider.alive() || c.guard.G2 == 0 || k.outside() {
		return
	}
	over := c.boot() - c.guard.G2
	if over > int64(k.group.timing.K)+int64(5*time.Millisecond) {
		k.fail("guard", "%s of %s is alive %v after its guard", c.name, c.host.name, time.Duration(over))
	}
}

// disarmed: no guard is taken away from what lives.
func (k *checker) disarmed(c *container) {
	if c.guard.G2 == 0 && c.provider != nil && c.provider.alive() && !k.outside() {
		k.fail("guard", "the guard of %s of %s is taken away while it is alive", c.name, c.host.name)
	}
}

// stepped looks at what a core made of an input.
func (k *checker) stepped(
	m *monitor, now instant.Instant, in core.Input, before ownership.Snapshot, effects []core.Effect,
) {
	after, timing := m.owner, k.group.timing
	k.witnessed(m, in)
	if h := in.Hello; h != nil && !h.Fresh && h.G2 != 0 {
		k.stray(m, before, h.Container, effects)
	}
	// ValidUntil is an estimate on one of two clocks that need not agree, so that
	// it wanders a little.
	wander := int64(timing.D) / 20
	if before.Epoch == after.Epoch && before.ValidUntil != 0 && before.ValidUntil < now.Boot &&
		after.ValidUntil > before.ValidUntil+wander && k.strict() {
		k.fail("no revival", "%s: epoch %d is revived after it had run out", m.host.name, after.Epoch)
	}
	stop := after.ValidUntil - int64(timing.D-timing.N)
	if after.Granted && after.ValidUntil != 0 && now.Boot > stop+wander {
		k.fail("self-stop", "%s: still granted %v after its stop was due", m.host.name, time.Duration(now.Boot-stop))
	}
	if after.Granted && (!before.Granted || before.Epoch != after.Epoch) {
		k.grant(m, effects)
	}
	for _, e := range effects {
		switch {
		case e.Put != nil:
			k.put(m, now, before, e.Put)
			m.witness.sending(e.Put.Seq, now)
		case e.Create != nil:
			m.witness.sending(e.Create.Seq, now)
		case e.Guard != nil:
			m.witness.ordered = e.Guard.G2
		case e.Write != nil:
			k.speaks(m, e.Write)
		case e.Log != nil && e.Log.Component == "OWN":
			k.fact(m, now, before, ownership.FactKind(e.Log.Reason), effects)
		case e.Log != nil:
			k.uncounted(m, before, e.Log)
			k.unstopped(m, e.Log)
			k.needed(m, e.Log)
		}
	}
	if in.Returned != nil {
		k.late(m, now, in.Returned, effects)
	}
	k.follows(m, now, in)
	for _, c := range m.host.containers {
		k.guarded(c)
	}
}

func (k *checker) fact(
	m *monitor, now instant.Instant, before ownership.Snapshot, f ownership.FactKind, effects []core.Effect,
) {
	switch f {
	case ownership.FactSelfStop:
		if !m.excused() && k.strict() {
			k.fail("self-stop", "%s: stops itself although nothing was in its way", m.host.name)
		}
	case ownership.FactLost:
		k.lost(m, before)
		if before.Granted {
			k.killed(m, now, effects)
		}
	}
}

// killed: who has lost kills at once what it can reach, and takes the guard back.
func (k *checker) killed(m *monitor, now instant.Instant, effects []core.Effect) {
	for _, c := range m.host.containers {
		if _, met := m.witness.guards[c.name]; !met || c.session != m || !c.accepted {
			continue
		}
		kill, guard := false, false
		for _, e := range effects {
			kill = kill || e.Kill != nil && e.Kill.Container == c.name
			guard = guard || e.Guard != nil && e.Guard.Container == c.name && e.Guard.G2 <= now.Boot
		}
		if !kill || !guard {
			k.fail("lost", "%s: has lost, and does not kill %s (%v) and end its guard (%v)", m.host.name, c.name, kill, guard)
		}
	}
}

// grant: an epoch belongs to one host, and new ones only grow.
func (k *checker) grant(m *monitor, effects []core.Effect) {
	w, epoch, uid := k.group.world, m.owner.Epoch, m.host.uid
	again := false
	for _, e := range effects {
		if e.Log != nil && e.Log.Component == "OWN" {
			f := ownership.FactKind(e.Log.Reason)
			again = again || f == ownership.FactResumed || f == ownership.FactReadopted
		}
	}
	w.log(m.host.name, "granted epoch %d", epoch)
	w.Coverage.Grants++
	switch by := k.epochs[epoch]; {
	case by == uid && again:
	case k.deleted && epoch <= k.largest && (k.outside() && (by == "" || by == uid) || !k.outside() && w.wallsDiffer()):
		// Whoever takes a Lease that was deleted knows the epochs that it saw and
		// those in the group's status; one that was too short to get there can be
		// lost with it, if a wall clock is wrong besides.
		w.Coverage.EpochLost++
	case by != "":
		k.fail("I2", "%s: granted epoch %d, which %s had", m.host.name, epoch, by)
	case epoch <= k.largest && !k.outside():
		k.fail("epoch", "%s: granted epoch %d after epoch %d", m.host.name, epoch, k.largest)
	}
	if epoch != m.series {
		m.series = epoch
		k.replanned(m)
		m.changed = false
	}
	k.epochs[epoch] = uid
	if epoch > k.largest {
		k.largest, k.deleted = epoch, false
	}
}

// excused reports whether anything was in the way of the last renewals.
func (m *monitor) excused() bool { return m.world().now-m.obstacle() < m.host.group.timing.D }

// obstacle is when something was last in the way of a write, or will be.
func (m *monitor) obstacle() time.Duration {
	h, l := m.host, m.host.node.link
	return max(l.cutIn, l.cutOut, l.slow, l.lost, m.world().api.down, m.paused, m.hung, h.diskFull, h.node.frozen)
}

// put: nothing is written while an emergency stop is under way. An executor that hangs must
// not keep a lease alive; its last tick allows one more series of writes.
func (k *checker) put(m *monitor, now instant.Instant, before ownership.Snapshot, p *ownership.Put) {
	w, s := k.group.world, m.owner
	if p.Record.Held() {
		k.durable(m, p.Record)
	}
	switch s.Role {
	case ownership.Adopting:
		k.readopts(m, now)
	case ownership.Acquiring:
		k.takes(m, p.Record.Epoch)
	}
	if s.Role == ownership.SelfStopping && before.Role == ownership.SelfStopping && !s.StopFailed && p.Record.Held() {
		k.fail("self-stop", "%s: writes although its stop is not proven", m.host.name)
	}
	bound := m.host.node.clock.stretch(k.group.timing.N + k.group.timing.R)
	since := w.now - m.hungSince
	if p.Record.Held() && p.Record.Epoch == s.Epoch && w.now < m.hung && s.Granted && since > bound && k.strict() {
		k.fail("tick", "%s: renews although its executor hangs for %v", m.host.name, since)
	}
}

// lost: whoever says so has seen the proof. (A Lease that was created again by
// an older write of the same owner is another one too.)
func (k *checker) lost(m *monitor, before ownership.Snapshot) {
	l := k.group.store.lease
	if l == nil || k.torn != 0 && k.group.world.now-k.torn < 2*k.group.timing.D {
		return
	}
	if r, err := leasev1.Decode(*l); err == nil && r.HolderUID == m.host.uid && r.Inc == m.inc &&
		r.Epoch == before.Epoch && !declared(r) && !k.outside() {
		k.fail("lost", "%s: gives epoch %d up for lost although the record is still its own", m.host.name, before.Epoch)
	}
}

// won: nothing is online anywhere after a loss, until somebody has won anew.
func (k *checker) won(h *host, epoch int64) {
	k.group.world.log(h.name, "the arbitration is won in epoch %d", epoch)
	k.arbitrated[epoch] = h
	for _, other := range k.group.hosts {
		if epoch == k.largest && (k.lostBy != nil || other != h) && other.alive() && !k.outside() {
			k.fail("arbitration", "%s wins the arbitration of epoch %d while %s is alive", h.name, epoch, other.name)
		}
	}
	k.lostBy = nil
}
