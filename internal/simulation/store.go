// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"maps"
	"slices"
	"strconv"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/ownership"
)

// store is what the API server holds of one group, linearizable. Objects are never
// changed in place.
type store struct {
	group *group
	objects
	older []*leasev1.Lease
	past  []objects
	uids  int
}

type objects struct {
	version   int
	lease     *leasev1.Lease
	status    *v1alpha1.ResourceGroupStatus
	changed   int // the version of the status
	resources map[string]storedResource
	calls     map[string]*core.ControlCall
	endpoint  *core.EndpointDocument
}

type storedResource struct {
	version int
	core.ResourceDocument
}

func newStore(g *group) *store {
	return &store{group: g, objects: objects{
		version: 100, status: &v1alpha1.ResourceGroupStatus{}, resources: map[string]storedResource{},
		calls: map[string]*core.ControlCall{},
	}}
}

// The Lease.

func (s *store) put(r leasev1.Record) (ownership.Outcome, *leasev1.Lease) {
	switch {
	case s.lease == nil:
		return ownership.NotFound, nil
	case s.lease.UID != r.UID || s.lease.ResourceVersion != r.ResourceVersion:
		return ownership.Conflict, nil
	}
	return ownership.Committed, s.commit(leasev1.Encode(r, *s.lease), s.lease.UID)
}

func (s *store) create(r leasev1.Record) (ownership.Outcome, *leasev1.Lease) {
	if s.lease != nil {
		return ownership.Conflict, nil
	}
	s.uids++
	return ownership.Committed, s.commit(leasev1.Encode(r, leasev1.Lease{}), "lease-"+strconv.Itoa(s.uids))
}

func (s *store) commit(l leasev1.Lease, uid string) *leasev1.Lease {
	s.version++
	l.UID, l.ResourceVersion = uid, strconv.Itoa(s.version)
	s.setLease(&l)
	if free(&l) {
		s.remember()
	}
	return &l
}

func (s *store) remove() {
	if s.lease != nil {
		s.version++
		s.setLease(nil)
	}
}

// edit changes the Lease by hand.
func (s *store) edit(change func(*leasev1.Lease)) {
	if s.lease == nil {
		return
	}
	l := *s.lease
	l.Annotations = maps.Clone(s.lease.Annotations)
	change(&l)
	s.commit(l, l.UID)
}

func (s *store) setLease(l *leasev1.Lease) {
	if len(s.older) > 8 {
		s.older = s.older[1:]
	}
	s.older = append(s.older, s.lease)
	s.lease = l
	s.group.check.committed(l)
	for _, h := range s.group.hosts {
		h.leases.changed(core.Input{Observed: &ownership.Observed{Lease: l}})
	}
}

func (s *store) listLease(stale bool) []core.Input {
	l := s.lease
	if n := len(s.older); stale && n > 0 {
		l = s.older[s.group.world.rng.IntN(n)]
	}
	return []core.Input{{Observed: &ownership.Observed{Lease: l}}}
}

// The group, its resources, calls and endpoint.

// setStatus replaces the status of the group by what change makes of it.
func (s *store) setStatus(change func(*v1alpha1.ResourceGroupStatus)) {
	next := *s.status
	next.Hosts = maps.Clone(s.status.Hosts)
	change(&next)
	s.version++
	s.status, s.changed = &next, s.version
	in := s.groupInput()
	for _, h := range s.group.hosts {
		h.kinds.changed(in)
	}
}

func (s *store) groupInput() core.Input {
	return core.Input{Group: &core.Group{
		UID: s.group.uid(), ResourceVersion: strconv.Itoa(s.changed), Status: *s.status,
	}}
}

// listKinds is what a list brings, which is a quorum read as the monitor does it: it is never
// older than what a watch brought before.
func (s *store) listKinds(bool) []core.Input {
	in := []core.Input{s.groupInput()}
	for _, name := range slices.Sorted(maps.Keys(s.calls)) {
		in = append(in, core.Input{ControlCall: s.calls[name]})
	}
	if s.endpoint != nil {
		in = append(in, core.Input{Endpoint: s.endpoint})
	}
	return in
}

func (s *store) setCall(k *core.ControlCall) {
	s.version++
	s.calls[k.Name] = k
	for _, h := range s.group.hosts {
		h.kinds.changed(core.Input{ControlCall: k})
	}
}

// removeCall is the deletion of a call by a person.
func (s *store) removeCall(name string) {
	k := *s.calls[name]
	s.version++
	delete(s.calls, name)
	k.Gone = true
	for _, h := range s.group.hosts {
		h.kinds.changed(core.Input{ControlCall: &k})
	}
}

// write stores what a monitor says, made from version base of the object, by the rules
// of the kinds and policies: the API server is the fence.
func (s *store) write(h *host, w core.Write, base int) core.WriteOutcome {
	s.group.check.written(h, w)
	switch {
	case w.Host != nil:
		s.setStatus(func(g *v1alpha1.ResourceGroupStatus) {
			if g.Hosts == nil {
				g.Hosts = map[string]v1alpha1.HostStatus{}
			}
			g.Hosts[w.Host.Name] = w.Host.Host
		})
	case w.Group != nil:
		if o := s.status.Owner; o != nil && o.Epoch > w.Group.Owner.Epoch {
			return core.WriteSuperseded
		}
		if base != s.changed || !core.Continues(s.status.Types, w.Group.Types) {
			return core.WriteStale
		}
		s.group.check.owner(h, w.Group)
		s.setStatus(func(g *v1alpha1.ResourceGroupStatus) { g.Owner, g.Types = w.Group.Owner.DeepCopy(), w.Group.Types })
		h.seen, h.seenOwner = s.changed, s.status.Owner // its answer, if that arrives; else a conflict follows
	case w.Resource != nil:
		old := s.resources[w.Resource.Name]
		if old.Owner.Epoch > w.Resource.Owner.Epoch {
			return core.WriteSuperseded
		}
		if base != old.version {
			return core.WriteStale
		}
		s.group.check.resource(h, *w.Resource)
		s.version++
		s.resources[w.Resource.Name] = storedResource{s.version, *w.Resource}
	case w.Endpoint != nil:
		if s.endpoint != nil && s.endpoint.Epoch > w.Endpoint.Epoch {
			return core.WriteSuperseded
		}
		s.version++
		s.endpoint = w.Endpoint
		for _, h := range s.group.hosts {
			h.kinds.changed(core.Input{Endpoint: w.Endpoint})
		}
	case w.Call != nil:
		return s.writeCall(h, *w.Call)
	}
	return core.WriteDone
}

// base is the version of the object that a write will replace: of the group the last that
// the host has seen.
func (s *store) base(h *host, w core.Write) int {
	switch {
	case w.Group != nil:
		if o := h.seenOwner; o != nil && o.Epoch != w.Group.Owner.Epoch && w.Group.Seen != strconv.Itoa(h.seen) {
			return -1 // the monitor is being told what it does not know
		}
		return h.seen
	case w.Resource != nil:
		return s.resources[w.Resource.Name].version
	}
	return 0
}

func (s *store) writeCall(h *host, d core.CallDocument) core.WriteOutcome {
	old := s.calls[d.Name]
	if old == nil || old.Finished {
		return core.WriteSuperseded
	}
	mine := old.Owner != nil && old.Owner.PodUID == d.Owner.PodUID && old.Owner.Epoch == d.Owner.Epoch
	if old.Owner != nil && ((d.Finish == nil || d.Unclaimed) && !mine || old.Owner.Epoch > d.Owner.Epoch) {
		return core.WriteSuperseded
	}
	if old.Owner != nil && old.Owner.PodUID != d.Owner.PodUID && d.Finish != nil && old.Code != "MOVE" &&
		d.Finish.Reason != v1alpha1.ReasonOutcomeUnknown {
		return core.WriteFailed // the policy refuses it
	}
	k := *old
	if k.Owner == nil && (d.Finish == nil || d.Finish.Reason != v1alpha1.ReasonNotStarted) {
		k.Owner, k.Start = &d.Owner, d.Start
	}
	if d.Finish != nil {
		k.Finished = true
		s.group.check.finished(h.name, &k, d.Finish.Reason, d.Finish.StatusName+" "+d.Finish.Message)
	}
	s.setCall(&k)
	return core.WriteDone
}

// remember keeps what is stored now for a restore.
func (s *store) remember() {
	if !s.group.world.options.Outside {
		return // there is none
	}
	o := s.objects
	o.resources, o.calls = maps.Clone(s.resources), maps.Clone(s.calls)
	if s.past = append(s.past, o); len(s.past) > 32 {
		s.past = s.past[1:]
	}
}

// free reports whether a Lease says that nobody owns the group.
func free(l *leasev1.Lease) bool {
	if l == nil {
		return false
	}
	r, err := leasev1.Decode(*l)
	return err == nil && released(r)
}

// rewind puts back what was stored some time ago, as a restored etcd does: versions that
// were used are used again. Released: it was a record that anybody might take. Outside of A3.
func (s *store) rewind(released bool) {
	past := slices.DeleteFunc(slices.Clone(s.past), func(o objects) bool { return released && !free(o.lease) })
	if len(past) == 0 {
		return
	}
	o := past[s.group.world.rng.IntN(len(past))]
	o.resources, o.calls = maps.Clone(o.resources), maps.Clone(o.calls)
	s.objects, s.past, s.older = o, nil, nil
	s.group.check.rewound()
	s.group.world.api.restores++
	for _, h := range s.group.hosts {
		h.leases.lose()
		h.kinds.lose()
	}
}
