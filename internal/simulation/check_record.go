// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"slices"
	"time"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
)

// released and declared are what a record means, asked of the law and not of the code: that may
// be what is wrong.
func released(r leasev1.Record) bool { return r.HolderUID == "" && r.ReleasedEpoch == r.Epoch }
func declared(r leasev1.Record) bool { return r.FencedEpoch == r.Epoch }

// committed: a free record means that nothing lives.
func (k *checker) committed(l *leasev1.Lease) {
	w := k.group.world
	if l == nil {
		w.log(k.group.name, "store: Lease deleted")
		k.deleted, k.torn = true, w.now
		return
	}
	r, err := leasev1.Decode(*l)
	if err != nil {
		w.log(k.group.name, "store: %v", err)
		return
	}
	old := k.record
	if old.HolderUID != r.HolderUID || old.Epoch != r.Epoch || old.Inc != r.Inc || old.ReleasedEpoch != r.ReleasedEpoch {
		w.log(k.group.name, "store: rv %s holder %q epoch %d inc %s seq %d released %d", r.ResourceVersion, r.HolderName,
			r.Epoch, r.Inc, r.Seq, r.ReleasedEpoch)
	}
	k.replaced(old, r)
	k.failedOver(old, r)
	k.taken(r)
	for _, h := range k.group.hosts {
		if released(r) && h.draining && !h.gone && h.monitor != nil && h.monitor.owner.Epoch == r.Epoch {
			w.Coverage.Drain++
		}
		if released(r) && h.alive() && !k.outside() {
			k.fail("release", "the record of epoch %d is free while %s is alive", r.Epoch, h.name)
		}
	}
}

// taken: nobody takes a record of a silent owner before that one is dead, on
// the slowest clock; and nobody takes one that was not given up at all.
func (k *checker) taken(r leasev1.Record) {
	w := k.group.world
	old, since := k.record, w.now-k.changed
	k.record, k.changed = r, w.now
	if old.UID != r.UID || !r.Held() || r.Epoch == old.Epoch {
		return
	}
	k.forgotten(old, r)
	if r.HolderUID == old.HolderUID {
		return
	}
	switch {
	case released(old):
		w.Coverage.Released++
		return
	case declared(old):
		w.Coverage.Fenced++
		return
	}
	w.Coverage.Silent++
	k.kept(old)
	if since < k.silence() && k.strict() {
		k.fail("silence", "%s takes the record of %q after %v", r.HolderName, old.HolderName, since)
	}
}

// replaced: within one history of a Lease epochs do not fall, a record changes hands under a
// larger one only, and what a person declared stopped is over.
func (k *checker) replaced(old, r leasev1.Record) {
	switch {
	case old.UID != r.UID || k.rewinds > 0: // versions that were used are used again
	case r.Epoch < old.Epoch:
		k.fail("epoch", "the record of epoch %d is replaced by one of epoch %d", old.Epoch, r.Epoch)
	case r.Epoch > old.Epoch || !r.Held():
	case r.HolderUID != old.HolderUID:
		k.fail("epoch", "%s takes the record of %q in epoch %d, which is not its own", r.HolderName, old.HolderName, r.Epoch)
	case declared(old) && !declared(r):
		k.fail("fence", "%s goes on in epoch %d, under which it was declared stopped", r.HolderName, r.Epoch)
	}
}

// failedOver: a group that failed over as often as it may is not given up for a failure. (All
// of a schedule is within the period, unless a wall clock jumps.)
func (k *checker) failedOver(old, r leasev1.Record) {
	jumped := func(n *node) bool { return time.Duration(max(n.clock.wall, -n.clock.wall)) > 10*time.Second }
	if n := len(r.Failovers); !released(r) || released(old) || n == 0 || r.Failovers[n-1].Cause != leasev1.CauseFailover ||
		k.rewinds > 0 || slices.ContainsFunc(k.group.world.nodes, jumped) {
		return
	}
	if before := old.FailoversSince(time.Time{}, ""); before >= int(k.group.policy.failovers) {
		k.fail("policy", "epoch %d is given up for a failure after %d failovers, %d are allowed", r.Epoch, before,
			k.group.policy.failovers)
	}
}

// forgotten: who saw a newer history than that of the record takes it by silence only.
func (k *checker) forgotten(old, r leasev1.Record) {
	m := k.holder(r)
	if m == nil || old.Epoch >= m.witness.epoch {
		return
	}
	if since := k.group.world.now - m.witness.brokenAt; since < k.silence() {
		k.fail("rewind", "%s takes a record of epoch %d after %v although it had seen epoch %d", r.HolderName, old.Epoch,
			since, m.witness.epoch)
	}
}

// kept: the lease of an owner whose stop failed does not run out while it can be renewed.
func (k *checker) kept(old leasev1.Record) {
	m := k.holder(old)
	if m != nil && m.owner.StopFailed && !m.excused() && k.strict() {
		k.fail("stop", "the record of %s is taken although its stop failed, and nothing was in its way", old.HolderName)
	}
}

// silence is how long an owner may live that is not heard of any more, on the slowest clock.
func (k *checker) silence() time.Duration { return time.Duration(float64(k.group.timing.D) / (1 - A1)) }

// holder is the monitor that wrote the record, nil if it does not run any more.
func (k *checker) holder(r leasev1.Record) *monitor {
	for _, h := range k.group.hosts {
		if m := h.monitor; m != nil && h.uid == r.HolderUID && m.inc == r.Inc {
			return m
		}
	}
	return nil
}
