// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core

import (
	"cmp"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/engine"
	"github.com/understudy-dev/understudy/monitor/instant"
	"github.com/understudy-dev/understudy/monitor/ownership"
)

// maxEntries bounds the timeline and the history of owners.
const maxEntries = 16

// Kinds of interruptions.
const (
	kindStart    = "Start"
	kindRestart  = "Restart"
	kindFailover = "Failover"
	kindMove     = "Move"

	// ownerLost is how an ownership ends that nobody let go.
	ownerLost = "OwnerLost"
)

// story is what this host has to tell of its ownership: it decides nothing.
type story struct {
	// Epoch is the newest that was granted to this host; 0: none.
	Epoch int64 `json:"epoch,omitempty"`
	// Owning: granted and not revoked.
	Owning bool `json:"owning,omitempty"`
	// Online: all that is wanted online is. Since when it is as it is.
	Online bool `json:"online,omitempty"`
	// OnlineTime is when it last became so.
	OnlineTime instant.Instant `json:"onlineTime,omitzero"`
	// Published: the Service points here, or shall.
	Published bool `json:"published,omitempty"`
	// Released: the lease was let go under Epoch.
	Released bool `json:"released,omitempty"`
	// Group and GroupTime are the group's state and when it was entered.
	Group     engine.GroupState `json:"group,omitempty"`
	GroupTime instant.Instant   `json:"groupTime,omitzero"`
	// Prior is what the owner before left in the group's status.
	Prior *v1alpha1.GroupOwnerStatus `json:"prior,omitempty"`
	// PriorEnd is why the ownership before this one ended, if nobody said so himself.
	PriorEnd string `json:"priorEnd,omitempty"`
	// Unseen are chapters of this host that are over, and not older than Prior.
	Unseen []chapter `json:"unseen,omitempty"`
	// Entries of this epoch, oldest first; Open is an interruption that goes on.
	Entries []v1alpha1.TimelineEntry `json:"entries,omitempty"`
	Open    *v1alpha1.TimelineEntry  `json:"open,omitempty"`
	// Mine is this ownership.
	Mine v1alpha1.OwnershipEntry `json:"mine,omitzero"`
	// Results are what control calls of the group came to in this epoch, oldest first.
	Results []v1alpha1.ControlResult `json:"results,omitempty"`
}

// chapter is what is to be told of an ownership of this host that is over. It may be stored,
// and not have been seen yet when this host owns the group again.
type chapter struct {
	Mine    v1alpha1.OwnershipEntry  `json:"mine,omitzero"`
	Entries []v1alpha1.TimelineEntry `json:"entries,omitempty"`
	Results []v1alpha1.ControlResult `json:"results,omitempty"`
}

// maxUnseen bounds them.
const maxUnseen = 4

// clone shares nothing that changes.
func (s story) clone() story {
	s.Entries, s.Results = slices.Clone(s.Entries), slices.Clone(s.Results)
	if s.Open != nil {
		open := *s.Open
		s.Open = &open
	}
	return s
}

// granted begins the chapter of a new epoch, or goes on with the one before.
func (s *story) granted(now instant.Instant, g ownership.Grant, config Config, group *Group) {
	s.Owning = true
	if g.Epoch == s.Epoch {
		return
	}
	prior, unseen := s.Prior, slices.Clone(s.Unseen)
	if s.Epoch != 0 {
		unseen = append(unseen, chapter{s.Mine, s.Entries, s.Results})
	}
	*s = story{
		Epoch: g.Epoch, Owning: true, GroupTime: now, Prior: prior, PriorEnd: ownerLost,
		Unseen: unseen[max(0, len(unseen)-maxUnseen):],
	}
	if g.Cause.Reason == ownership.GrantReleased {
		// The record says what its status could not any more: it may be gone by now.
		s.PriorEnd = string(g.Cause.Cause)
	}
	if group != nil {
		s.heard(group.Status.Owner)
	}
	s.Mine = v1alpha1.OwnershipEntry{
		Epoch: g.Epoch, PodUID: config.PodUID, PodName: config.PodName, SinceTime: micro(now),
	}
	kind, cause := kindOf(g.Cause)
	s.Open = &v1alpha1.TimelineEntry{
		Kind: kind, Cause: cause, ResourceName: g.Cause.Release.Resource, Epoch: g.Epoch,
		FromPodName: g.Cause.PreviousHolder, ToPodName: config.PodName,
		DetectedTime: microPointer(g.Cause.Release.DetectedTime), OfflineTime: microPointer(g.Cause.Release.OfflineTime),
		LeaseTakenTime: microPointer(now.WallTime()),
	}
	if s.Prior != nil && s.Prior.PodUID == g.Cause.PreviousUID {
		s.Open.FromPodName = s.Prior.PodName // a released record names nobody
	}
	if g.Cause.Reason != ownership.GrantReleased {
		s.Open.DetectedTime = microPointer(g.ValidFrom.WallTime())
		s.Open.LastHeardTime = microPointer(g.Cause.LastHeard)
	}
}

func kindOf(g ownership.GrantCause) (kind, cause string) {
	word := g.Release.Reason
	switch {
	case g.Reason == ownership.GrantSilent && g.PreviousUID != "":
		return kindFailover, "OwnerSilent"
	case g.Reason == ownership.GrantFenced:
		return kindFailover, "Fenced"
	case g.Cause == leasev1.CauseArbitration:
		return kindFailover, string(g.Cause)
	case g.Cause == leasev1.CauseFailover:
		kind = kindFailover
	case g.Cause == leasev1.CauseMove || g.Cause == leasev1.CauseDrain:
		kind = kindMove
	default:
		kind = kindStart
	}
	if word == "" {
		word = string(g.Reason)
	}
	return kind, word
}

// heard keeps what the last owner before this epoch left, until our own word stands there.
func (s *story) heard(o *v1alpha1.GroupOwnerStatus) (news bool) {
	if o == nil || o.Epoch >= s.Epoch || s.Prior != nil && o.Epoch < s.Prior.Epoch {
		return false
	}
	s.Prior = o.DeepCopy()
	// One of the same epoch may have been stored before that one's end.
	s.Unseen = slices.DeleteFunc(slices.Clone(s.Unseen), func(c chapter) bool { return c.Mine.Epoch < o.Epoch })
	return true
}

// untold reports whether a chapter of this host tells of an epoch better than Prior does.
func (s *story) untold(epoch int64) bool {
	return slices.ContainsFunc(s.Unseen, func(c chapter) bool { return c.Mine.Epoch == epoch })
}

func (s *story) revoked(now instant.Instant, r ownership.Revoke) {
	s.Owning = false
	if r.Reason == ownership.RevokeSelfStop && s.Online && s.Open == nil {
		// It ends here only if the stop turns out not to have been needed.
		s.Open = s.restart(string(r.Reason), "", now)
	}
	if r.Reason == ownership.RevokeRelease || r.Reason == ownership.RevokeLost {
		s.Online = false
	}
}

func (s *story) stopped(instant.Instant) { s.Online = false }

func (s *story) fact(now instant.Instant, f ownership.Fact) {
	switch f.Kind {
	case ownership.FactReleased:
		s.Released = true
		s.Mine.UntilTime, s.Mine.Reason = microPointer(now.WallTime()), string(f.Cause)
	case ownership.FactLost, ownership.FactExpired:
		if s.Mine.UntilTime == nil && s.Epoch != 0 {
			s.Mine.UntilTime, s.Mine.Reason = microPointer(now.WallTime()), string(f.Kind)
		}
	case ownership.FactAcquired, ownership.FactReadopted, ownership.FactResumed:
		s.Released = false
	}
}

// seen compares the group as it is with what was told last: an interruption opens
// when something that was online failed, and closes when all is online again.
func (s *story) seen(now instant.Instant, snap engine.Snapshot, nameOf func(string) string) {
	if s.Group != snap.Group {
		s.Group, s.GroupTime = snap.Group, now
	}
	if !s.Owning {
		return
	}
	online, failed, lost := true, (*engine.ResourceSnapshot)(nil), (*engine.ResourceSnapshot)(nil)
	for i := range snap.Resources {
		r := &snap.Resources[i]
		if r.Removed || r.Spec.DesiredState != engine.DesiredOnline {
			continue
		}
		if r.Arbitration != nil && r.Arbitration.Lost != "" {
			lost = r
		}
		if r.State == engine.Online {
			continue
		}
		online = false
		// What failed before it was all online is not why it is no more.
		if f := r.LastFailure; f != nil && f.Time.Boot >= s.OnlineTime.Boot &&
			(failed == nil || f.Time.Boot < failed.LastFailure.Time.Boot) {
			failed = r
		}
	}
	switch {
	case online && len(snap.Resources) > 0:
		s.comeOnline(now)
	case s.Online && lost != nil:
		s.Online = false
		s.Open = s.restart(string(leasev1.CauseArbitration), nameOf(lost.Spec.UID), now)
	case s.Online && failed != nil:
		s.Online = false
		s.Open = s.restart(string(failed.LastFailure.Reason), nameOf(failed.Spec.UID), failed.LastFailure.Time)
	case s.Online:
		s.Online = false
	}
}

func (s *story) restart(cause, resource string, detected instant.Instant) *v1alpha1.TimelineEntry {
	return &v1alpha1.TimelineEntry{
		Kind: kindRestart, Cause: cause, ResourceName: resource, Epoch: s.Epoch,
		FromPodName: s.Mine.PodName, ToPodName: s.Mine.PodName, DetectedTime: microPointer(detected.WallTime()),
	}
}

func (s *story) comeOnline(now instant.Instant) {
	if !s.Online {
		s.OnlineTime = now
	}
	s.Online, s.Published = true, true
	if s.Open == nil {
		return
	}
	s.Open.OnlineTime = microPointer(now.WallTime())
	s.Entries = append(s.Entries, *s.Open)
	s.Entries = s.Entries[max(0, len(s.Entries)-maxEntries):]
	s.Open = nil
}

// endpointWritten completes the entry of the take-over.
func (s *story) endpointWritten(now instant.Instant, e *EndpointDocument) {
	if e == nil || e.Address == "" {
		return
	}
	for i := range s.Entries {
		if s.Entries[i].Kind != kindRestart && s.Entries[i].EndpointTime == nil && s.Entries[i].Epoch == e.Epoch {
			s.Entries[i].EndpointTime = microPointer(now.WallTime())
		}
	}
}

// called keeps what a control call of the group came to.
func (s *story) called(k *call) {
	name, number := controlCode(k.seen.Code)
	if c := engine.CodeOf(engine.TargetGroup, name, number); c != nil {
		name = c.Name
	}
	s.Results = lastResults(append(s.Results, v1alpha1.ControlResult{
		Name: k.seen.Name, Code: cmp.Or(name, k.seen.Code), StatusCode: k.finish.StatusCode, Time: microTime(k.finish.Time),
	}))
}

// maxResults is how many control calls the group shows, as a resource does.
const maxResults = 4

func lastResults(all []v1alpha1.ControlResult) []v1alpha1.ControlResult {
	return slices.Clone(all[max(0, len(all)-maxResults):])
}

// interruptedAt is when what is going on now began.
func (s *story) interruptedAt(now instant.Instant) time.Time {
	if s.Open != nil && s.Open.DetectedTime != nil && s.Open.Kind == kindRestart {
		return s.Open.DetectedTime.Time
	}
	return now.WallTime()
}

func (s *story) ownerStatus(config Config, state v1alpha1.GroupState, revision string) v1alpha1.GroupOwnerStatus {
	o := v1alpha1.GroupOwnerStatus{
		Epoch: s.Epoch, PodUID: config.PodUID, PodName: config.PodName, NodeName: config.NodeName,
		PlanRevision: revision, State: state, StateTime: micro(s.GroupTime), Released: s.Released,
	}
	if s.Prior != nil {
		o.Timeline = make([]v1alpha1.TimelineEntry, 0, len(s.Prior.Timeline)+len(s.Entries)+1)
		o.History = make([]v1alpha1.OwnershipEntry, 0, len(s.Prior.History)+len(s.Unseen)+1)
		for _, e := range s.Prior.Timeline {
			// An interruption that did not end under its owner is ours to tell.
			if e.OnlineTime != nil && !s.untold(e.Epoch) {
				o.Timeline = append(o.Timeline, e)
			}
		}
		for _, e := range s.Prior.History {
			if !s.untold(e.Epoch) {
				o.History = append(o.History, e)
			}
		}
		o.ControlResults = append(o.ControlResults, s.Prior.ControlResults...)
	}
	for _, c := range s.Unseen {
		o.History = append(o.History, c.Mine)
		o.Timeline = append(o.Timeline, c.Entries...)
		for _, k := range c.Results {
			there := func(r v1alpha1.ControlResult) bool { return r.Name == k.Name && r.Time.Equal(&k.Time) }
			if !slices.ContainsFunc(o.ControlResults, there) {
				o.ControlResults = append(o.ControlResults, k)
			}
		}
	}
	closeAll(o.History, s.Mine.SinceTime, s.PriorEnd)
	o.ControlResults = lastResults(append(o.ControlResults, s.Results...))
	o.Timeline = append(o.Timeline, s.Entries...)
	if s.Open != nil {
		o.Timeline = append(o.Timeline, *s.Open)
	}
	o.History = append(o.History, s.Mine)
	o.Timeline = o.Timeline[max(0, len(o.Timeline)-maxEntries):]
	o.History = o.History[max(0, len(o.History)-maxEntries):]
	return o
}

// closeAll ends the ownerships of a list that were not ended by their owners, the last one at
// a time and for a reason.
func closeAll(list []v1alpha1.OwnershipEntry, at metav1.MicroTime, why string) {
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].UntilTime == nil {
			list[i].UntilTime, list[i].Reason = at.DeepCopy(), why
		}
		at, why = list[i].SinceTime, ownerLost
	}
}
