// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"slices"
	"time"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
	"github.com/understudy-dev/understudy/monitor/instant"
	"github.com/understudy-dev/understudy/monitor/ownership"
)

// witness is what a monitor was told in this life, so that it must know.
type witness struct {
	// guards is what each init that is connected said that it holds.
	guards map[string]core.Hello
	// epoch is the largest of a record that it believed; brokenAt is when it last came to
	// believe one with a smaller epoch.
	epoch    int64
	view     instant.Instant
	brokenAt time.Duration
	// succession is what it saw last, and before this step; sought, the epoch of its last try
	// to take the group.
	succession [2]*v1alpha1.Succession
	// owner is the epoch of the group's status.
	owner int64
	// strayed is whether another host that may take said then that something runs there which
	// nobody brought online.
	strayed [2]bool
	sought  int64
	ordered int64 // the G2 of its last guard
	// sent is when its last writes of the Lease left, by seq; confirmed, the last of them that
	// is known to be stored.
	sent      map[int64]instant.Instant
	confirmed instant.Instant
	// onlines are the resources of its calls of Online; newest, the last call of each.
	onlines map[uint64]string
	newest  map[string]uint64
}

func (v *witness) sending(seq int64, now instant.Instant) {
	if v.sent == nil {
		v.sent = map[int64]instant.Instant{}
	}
	v.sent[seq] = now
}

func (v *witness) starting(c engine.Call) {
	if v.newest == nil {
		v.onlines, v.newest = map[uint64]string{}, map[string]uint64{}
	}
	v.onlines[c.ID], v.newest[c.Resource] = c.Resource, c.ID
}

// witnessed takes note of what a step brought.
func (k *checker) witnessed(m *monitor, in core.Input) {
	v, s := &m.witness, m.owner
	if h := in.Hello; h != nil {
		if v.guards == nil {
			v.guards = map[string]core.Hello{}
		}
		v.guards[h.Container] = *h
	}
	if w := in.Wrote; w != nil && w.Outcome == ownership.Committed {
		v.confirm(w.Seq)
	}
	if o := in.Observed; o != nil && o.Lease != nil && len(v.sent) > 0 && leasev1.HolderUID(*o.Lease) == m.host.uid {
		if r, err := leasev1.Decode(*o.Lease); err == nil && r.HolderUID == m.host.uid && r.Inc == m.inc {
			v.confirm(r.Seq)
		}
	}
	v.succession[1], v.strayed[1] = v.succession[0], v.strayed[0]
	if g := in.Group; g != nil {
		v.owner = 0
		if o := g.Status.Owner; o != nil {
			v.owner = o.Epoch
		}
		v.succession[0], v.strayed[0] = g.Status.Succession, strayed(g.Status, m.host.uid)
	}
	if g := in.InitGone; g != nil {
		delete(v.guards, g.Container)
	}
	if s.RecordSince != v.view && s.RecordEpoch < v.epoch {
		v.brokenAt = k.group.world.now
	}
	v.view, v.epoch = s.RecordSince, max(v.epoch, s.RecordEpoch)
}

// readopts: who goes on with what the monitor before it had needs an init that still guards it.
func (k *checker) readopts(m *monitor, now instant.Instant) {
	for _, h := range m.witness.guards {
		if h.Epoch == m.owner.Epoch && h.G2 > now.Boot {
			return
		}
	}
	k.fail("re-adopt", "%s: goes on with epoch %d although no init holds a guard of it", m.host.name, m.owner.Epoch)
}

// takes: nobody begins to take the group that does not stand in the succession.
func (k *checker) takes(m *monitor, epoch int64) {
	v := &m.witness
	if v.sought == epoch {
		return // that was begun before
	}
	v.sought = epoch
	if !lists(v.succession[0], m.host.uid) && !lists(v.succession[1], m.host.uid) {
		k.fail("succession", "%s: takes the group, and does not stand in the succession", m.host.name)
	}
	if v.strayed[0] && v.strayed[1] {
		k.fail("unexpected", "%s: takes the group, and knows of something that runs elsewhere", m.host.name)
	}
}

// speaks: who has seen the status of a later owner has nothing to say any more.
func (k *checker) speaks(m *monitor, w *core.Write) {
	if epoch := spokenUnder(w); epoch != 0 && epoch < m.witness.owner {
		k.fail("status", "%s: writes %s under epoch %d, and has seen the status of epoch %d", m.host.name, w.Key, epoch,
			m.witness.owner)
	}
}

func lists(s *v1alpha1.Succession, uid string) bool {
	return s != nil && slices.ContainsFunc(slices.Concat(s.Line, s.Reserve), func(s v1alpha1.Successor) bool {
		return s.PodUID == uid
	})
}

func strayed(s v1alpha1.ResourceGroupStatus, self string) bool {
	for _, h := range s.Hosts {
		if h.Reason == "UnexpectedlyActive" && h.PodUID != self && lists(s.Succession, h.PodUID) {
			return true
		}
	}
	return false
}

// late: the answer to an Online of before means nothing.
func (k *checker) late(m *monitor, now instant.Instant, r *engine.Returned, effects []core.Effect) {
	v := &m.witness
	resource, ok := v.onlines[r.Call]
	due := m.armed != 0 && m.armed <= now.Boot ||
		slices.ContainsFunc(m.inbox, func(in core.Input) bool { return in.Timer != nil })
	if !ok || v.newest[resource] == r.Call || due {
		return
	}
	k.group.world.Coverage.LateAnswers++
	for _, e := range effects {
		if e.Call != nil || e.Journal != nil || e.Write != nil || e.Log != nil && e.Log.Component != "OWN" {
			k.fail("late", "%s: takes the late answer of call %d for that of call %d", m.host.name, r.Call, v.newest[resource])
		}
	}
}

func (v *witness) confirm(seq int64) {
	at, ok := v.sent[seq]
	delete(v.sent, seq)
	if ok && at.Boot > v.confirmed.Boot {
		v.confirmed = at
	}
}

// follows: the guard is as far away as the faster of the holder's clocks says, counted from when
// the last write left that is known to be stored, and moves closer with that.
func (k *checker) follows(m *monitor, now instant.Instant, in core.Input) {
	s, v := m.owner, &m.witness
	drives := in.Wrote != nil || in.Observed != nil || in.Tick != nil
	if !drives || !s.Granted || v.ordered == 0 || v.confirmed.Boot == 0 || k.outside() || len(v.guards) == 0 {
		return // with no init connected there is nobody to tell
	}
	elapsed := max(now.Boot-v.confirmed.Boot, now.Raw-v.confirmed.Raw)
	if over := time.Duration(v.ordered - (now.Boot - elapsed + int64(k.group.timing.G2))); over > 5*time.Millisecond {
		k.fail("guard", "%s: its guard is %v later than its lease allows", m.host.name, over)
	}
}
