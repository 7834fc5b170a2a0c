// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"encoding/json"
	"fmt"
	"time"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	"github.com/understudy-dev/understudy/monitor/instant"
	"github.com/understudy-dev/understudy/monitor/ownership"
)

// checker holds what is promised against what happens. The first violation ends
// the schedule.
type checker struct {
	violation string
	epochs    map[int64]string // who was granted it
	largest   int64
	deleted   bool // the Lease was, since the largest epoch was granted
	deletedAt time.Duration
	record    leasev1.Record
	changed   time.Duration // when the record last changed
	// arbitrated is who won in each epoch; lostBy, who lost it since the last win.
	arbitrated map[int64]*host
	lostBy     *host
}

func (k *checker) fail(w *World, format string, args ...any) {
	if k.violation == "" {
		k.violation = fmt.Sprintf(format, args...)
		w.log("VIOLATION: %s", k.violation)
	}
}

// started: a resource came to life. I1: nowhere else does one live. And it must
// be under a guard of its epoch.
func (k *checker) started(w *World, c *container, epoch int64) {
	for _, h := range w.hosts {
		if h != c.host && h.alive() {
			k.fail(w, "I1: %s starts in epoch %d while %s is alive", c.host.name, epoch, h.name)
		}
	}
	if c.guard.G2 == 0 || c.guard.Epoch != epoch {
		k.fail(w, "%s: %s starts in epoch %d under guard %+v", c.host.name, c.name, epoch, c.guard)
	}
	if w.style.quorum && k.arbitrated[epoch] != c.host {
		k.fail(w, "%s: %s starts in epoch %d without arbitration", c.host.name, c.name, epoch)
	}
	k.guarded(w, c)
}

// guarded: nothing lives longer than K beyond its guard.
func (k *checker) guarded(w *World, c *container) {
	if !c.alive || c.guard.G2 == 0 {
		return
	}
	over := c.host.clock.read(w.now).Boot - c.due
	if over > int64(w.timing.K)+int64(5*time.Millisecond) {
		k.fail(w, "%s: %s is alive %v after its guard", c.host.name, c.name, time.Duration(over))
	}
}

// committed: epochs of the record only grow, and a free record means that
// nothing lives.
func (k *checker) committed(w *World, l *leasev1.Lease) {
	if l == nil {
		w.log("store: Lease deleted")
		k.deleted, k.deletedAt = true, w.now
		return
	}
	r, err := leasev1.Decode(*l)
	if err != nil {
		w.log("store: %v", err)
		return
	}
	k.silent(w, r)
	w.log("store: rv %s holder %q epoch %d inc %s seq %d released %d", r.ResourceVersion, r.HolderName, r.Epoch,
		r.Inc, r.Seq, r.ReleasedEpoch)
	for _, h := range w.hosts {
		if r.Free() && h.alive() {
			k.fail(w, "the record of epoch %d is free while %s is alive", r.Epoch, h.name)
		}
	}
}

// silent: nobody takes a record of a silent owner before that one is dead, on
// the slowest clock.
func (k *checker) silent(w *World, r leasev1.Record) {
	old, since := k.record, w.now-k.changed
	k.record, k.changed = r, w.now
	if old.UID != r.UID || old.Free() || old.Fenced() || !r.Held() || r.HolderUID == old.HolderUID {
		return
	}
	if least := time.Duration(float64(w.timing.D) / (1 - A1)); since < least && w.options.Drift <= A1 {
		k.fail(w, "%s takes the record of %s after %v", r.HolderName, old.HolderName, since)
	}
}

// stepped looks at what a machine made of an event.
func (k *checker) stepped(w *World, m *monitor, now instant.Instant, before ownership.Snapshot, e ownership.Event,
	actions []ownership.Action) {
	after := m.node.Snapshot()
	// ValidUntil is an estimate on one of two clocks that need not agree, so that
	// it wanders a little.
	wander := int64(w.timing.D) / 20
	if before.Epoch == after.Epoch && before.ValidUntil != 0 && before.ValidUntil < now.Boot &&
		after.ValidUntil > before.ValidUntil+wander {
		k.fail(w, "%s: epoch %d is revived after it had run out, by %s: before %+v, after %+v", m.host.name,
			after.Epoch, text(e), text(before), text(after))
	}
	stop := after.ValidUntil - int64(w.timing.D-w.timing.N)
	if after.Granted && after.ValidUntil != 0 && now.Boot > stop+wander {
		k.fail(w, "%s: still granted %v after its stop was due", m.host.name, time.Duration(now.Boot-stop))
	}
	killed, guard := false, ownership.Guard{G2: now.Boot + 1}
	for _, a := range actions {
		switch {
		case a.KillAll != nil:
			killed = true
		case a.Guard != nil:
			guard = *a.Guard
		case a.Grant != nil:
			k.grant(w, m, a.Grant)
		case a.Put != nil:
			k.put(w, m, a.Put)
		case a.Fact != nil && a.Fact.Kind == ownership.FactSelfStop && !m.excused():
			k.fail(w, "%s: stops itself although nothing was in its way", m.host.name)
		case a.Fact != nil && a.Fact.Kind == ownership.FactLost:
			k.lost(w, m, a.Fact)
		case a.Revoke != nil && a.Revoke.Mode == ownership.Kill && a.Revoke.Reason != ownership.RevokeNotOwner:
			if !killed || guard.G2 > now.Boot {
				k.fail(w, "%s: %s without a kill and a guard in the past", m.host.name, a.Revoke.Reason)
			}
		}
	}
	if w.options.Record != nil {
		w.options.Record(Step{Host: m.host.name, Inc: m.inc, Now: now, Event: e, Actions: actions})
	}
	for _, c := range m.host.containers {
		k.guarded(w, c)
	}
}

// grant: an epoch belongs to one host, and new ones only grow.
func (k *checker) grant(w *World, m *monitor, g *ownership.Grant) {
	w.log("%s: granted epoch %d (%s)", m.host.name, g.Epoch, g.Cause.Reason)
	w.Coverage.grant(g)
	if m.host.clock.read(w.now).HolderElapsed(g.ValidFrom) >= w.timing.D {
		k.fail(w, "%s: granted epoch %d after it had run out", m.host.name, g.Epoch)
	}
	switch by := k.epochs[g.Epoch]; {
	case by == m.host.uid && (g.Cause.Reason == ownership.GrantResumed || g.Cause.Reason == ownership.GrantReadopted):
	case k.deleted && g.Epoch <= k.largest:
		// Whoever takes a Lease that was deleted knows the epochs that it saw and
		// those in the group's status; one that was too short to get there can be
		// lost with it.
		w.Coverage.EpochLost++
	case by != "":
		k.fail(w, "%s: granted epoch %d, which %s had", m.host.name, g.Epoch, by)
	case g.Epoch <= k.largest:
		k.fail(w, "%s: granted epoch %d after epoch %d", m.host.name, g.Epoch, k.largest)
	}
	k.epochs[g.Epoch] = m.host.uid
	if g.Epoch > k.largest {
		k.largest, k.deleted = g.Epoch, false
	}
}

// excused reports whether anything was in the way of the last renewals.
func (m *monitor) excused() bool {
	h, w := m.host, m.host.world
	last := max(h.link.cutIn, h.link.cutOut, h.link.slow, h.link.lost, w.manager.apiDown, m.paused, m.engine.hung,
		h.diskFull)
	return w.now-last < w.timing.D
}

// put: nothing is written while an emergency stop is under way. An engine that hangs must not keep a lease alive.
// Its last tick allows one
// more series of writes.
func (k *checker) put(w *World, m *monitor, p *ownership.Put) {
	if s := m.node.Snapshot(); s.Role == ownership.SelfStopping && !s.StopFailed {
		k.fail(w, "%s: writes although its stop is not proven", m.host.name)
	}
	if since := w.now - m.engine.hungSince; p.Record.Held() && p.Record.Epoch == m.node.Snapshot().Epoch &&
		w.now < m.engine.hung && m.node.Snapshot().Granted && since > m.host.clock.stretch(w.timing.N+w.timing.R) {
		k.fail(w, "%s: renews although its engine hangs for %v", m.host.name, since)
	}
}

// lost: whoever says so has seen the proof. (A Lease that was created again by
// an older write of the same owner is another one too.)
func (k *checker) lost(w *World, m *monitor, f *ownership.Fact) {
	l := w.store.lease
	if l == nil || k.deletedAt != 0 && w.now-k.deletedAt < 2*w.timing.D {
		return
	}
	if r, err := leasev1.Decode(*l); err == nil && r.HolderUID == m.host.uid && r.Inc == m.inc &&
		r.Epoch == f.Epoch && !r.Fenced() {
		k.fail(w, "%s: gives epoch %d up for lost although the record is still its own", m.host.name, f.Epoch)
	}
}

// online is the host on which everything is alive under a grant, if there is one.
func (w *World) online() *host {
	for _, h := range w.hosts {
		if h.monitor == nil || !h.monitor.node.Snapshot().Granted {
			continue
		}
		all := true
		for _, c := range h.containers {
			all = all && c.alive
		}
		if all {
			return h
		}
	}
	return nil
}

func text(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}
