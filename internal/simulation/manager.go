// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"maps"
	"slices"
	"time"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	"github.com/understudy-dev/understudy/api/v1alpha1"
)

// manager stands in for the real one: it creates the record, publishes plan and
// succession, late or not at all, and puts new pods in the place of lost ones.
type manager struct {
	group    *group
	down     time.Duration // until when
	seen     string        // the version that it watches before the first release
	seenAt   time.Duration
	released bool
}

// run is one round of the manager, and orders the next.
func (m *manager) run() {
	g, w := m.group, m.group.world
	w.after(300*time.Millisecond+w.upTo(700*time.Millisecond), m.run)
	g.store.remember()
	if w.now < m.down || w.now < w.api.down {
		return
	}
	m.record()
	m.publish()
	m.replace()
	m.expire()
}

// expire ends the calls that nobody has claimed in time.
func (m *manager) expire() {
	g := m.group
	now := epochZero + int64(g.world.now)
	for _, old := range g.store.sortedCalls() {
		late := !old.StartBy.IsZero() && now > old.StartBy.Add(5*time.Second).UnixNano()
		if !late || old.Finished || old.Owner != nil {
			continue
		}
		k := *old
		k.Finished = true
		g.check.finished("the manager", &k, v1alpha1.ReasonNotStarted, "")
		g.store.setCall(&k)
	}
}

// record creates the record at once, and releases it after it was watched for W
// (GROUP CREATED).
func (m *manager) record() {
	s, w := m.group.store, m.group.world
	if m.released {
		return
	}
	if s.lease == nil {
		if m.seen == "" {
			s.create(leasev1.Unheld(0, m.group.timing.D))
		}
		return
	}
	r, err := leasev1.Decode(*s.lease)
	if err != nil || r.Held() {
		m.released = true
		return
	}
	if m.seen != r.ResourceVersion {
		m.seen, m.seenAt = r.ResourceVersion, w.now
		return
	}
	if w.now-m.seenAt >= leasev1.W(m.group.timing.D)+m.group.timing.D/50 {
		if free, ok := leasev1.ReleaseInitial(r); ok {
			s.put(free)
		}
		m.released = true
	}
}

// publish points to the newest plan, and says who may take over.
func (m *manager) publish() {
	g, w := m.group, m.group.world
	revision := g.plan()
	next := &v1alpha1.Succession{}
	for _, h := range g.hosts {
		switch {
		case h.gone:
		case h.barred || h.node.lame != 0 && w.style.lame != 1 && w.now-h.node.lame > 45*time.Second:
			next.Barred = append(next.Barred, v1alpha1.BarredHost{PodUID: h.uid, PodName: h.name, Reason: "NodeNotReady"})
		case !w.quiet && w.chance(0.01):
			next.Reserve = append(next.Reserve, successor(h))
		default:
			next.Line = append(next.Line, successor(h))
		}
	}
	old := g.store.status
	if old.PlanRevision == revision && old.Succession != nil && same(*old.Succession, *next) {
		return
	}
	g.store.setStatus(func(s *v1alpha1.ResourceGroupStatus) { s.PlanRevision, s.Succession = revision, next })
}

func successor(h *host) v1alpha1.Successor {
	return v1alpha1.Successor{PodUID: h.uid, PodName: h.name, NodeName: h.node.name}
}

func same(a, b v1alpha1.Succession) bool {
	return slices.Equal(a.Line, b.Line) && slices.Equal(a.Reserve, b.Reserve) && slices.Equal(a.Barred, b.Barred)
}

// replace makes a new pod for each that is gone, and ends what that had claimed.
func (m *manager) replace() {
	g := m.group
	for _, h := range slices.Clone(g.hosts) {
		if h.gone || !h.deleted() {
			continue
		}
		h.end()
		h.gone = true
		g.world.log(h.name, "pod is gone")
		g.store.setStatus(func(s *v1alpha1.ResourceGroupStatus) { delete(s.Hosts, h.name) })
		for _, name := range slices.Sorted(maps.Keys(g.store.calls)) {
			k := *g.store.calls[name]
			if !k.Finished && k.HostName == h.name {
				k.Finished = true
				g.store.setCall(&k)
			}
		}
		g.addHost(h.node)
	}
}
