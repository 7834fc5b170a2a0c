// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"

	"github.com/understudy-dev/understudy/monitor/instant"
)

// Snapshot is a copy of all that the engine knows; now is needed for what is
// being waited for.
func (e *Engine) Snapshot(now instant.Instant) Snapshot {
	now.Boot = max(now.Boot, e.now.Boot)
	was := e.now
	e.now = now
	defer func() { e.now = was }()

	s := Snapshot{
		Epoch: e.epoch, Phase: e.phase, PlanRevision: e.revision, Group: e.groupState(), LastContext: e.lastContext,
		Halted:     e.halted,
		Containers: make([]ContainerSnapshot, 0, len(e.containers)), Resources: make([]ResourceSnapshot, 0, len(e.resources)),
	}
	s.Types = e.typeSnapshots()
	if n := e.need; n.Failover {
		s.Need = &n
	}
	s.IgnoreLockedMode = e.ignoreLocked
	if g := e.grant; g.Context != ContextNone || g.Flags != 0 {
		s.Grant = &g
	}
	for _, c := range e.containers {
		s.Containers = append(s.Containers, ContainerSnapshot{
			Name: c.name, Nonce: c.nonce, Up: c.up, GuardEpoch: c.guard, Empty: !c.dirty && !e.runsIn(c),
			Gone: c.gone, KillReason: c.killing, StopFailed: c.stopFailed,
		})
	}
	s.Notifications = e.notificationsSnapshot()
	for _, r := range e.resources {
		s.Resources = append(s.Resources, e.resourceSnapshot(r))
	}
	for _, k := range e.controls {
		ks := ControlSnapshot{
			Control: k.ask, Spec: k.spec, Phase: k.phase, Context: k.context, Deadline: k.deadline, Nonce: k.nonce,
			Extended: k.extended, Withdrawn: k.withdrawn, Unheard: k.call != nil || k.unheard,
		}
		if k.c != nil {
			ks.Container = k.c.name
		}
		if k.finish != nil {
			f := *k.finish
			ks.Finish = &f
		}
		s.Controls = append(s.Controls, ks)
	}
	return s
}

func (e *Engine) resourceSnapshot(r *resource) ResourceSnapshot {
	spec := r.spec
	if r.next != nil {
		spec = *r.next
	}
	s := ResourceSnapshot{
		Spec: spec.normalise(), Removed: r.removed, State: r.state, Since: r.since, Opened: r.opened,
		StopProven: r.down(), StartedEpoch: r.startedEpoch, RunningGeneration: r.runningGeneration,
		EventHandle: r.eventHandle, CheckPoint: r.checkPoint, ApplicationErrorCode: r.appCode,
		StatusFlags: r.statusFlags, LastOperationStatusCode: r.lastStatus, StatusInformation: r.informed(),
		ApplicationStates: slices.Clone(r.reports), NodeLocalProperties: r.local,
		UnexpectedlyActive: r.unexpected, TotalFailures: r.totalFailures, TotalRestarts: r.totalRestarts,
		Verdict: r.verdict, Failover: r.failover, Immediate: r.immediate,
		Transitions: slices.Clone(r.transitions), ControlResults: slices.Clone(r.results),
	}
	if m := r.mode; m != nil {
		c := *m
		s.LockedMode = &c
	}
	s.Held, s.Recovering = r.refused && r.state == Online, r.recovering
	s.Properties, s.Arbitration = r.propertiesSnapshot(), r.arbitrationSnapshot(&spec)
	r.dumps.snapshot(&s)
	s.Waiting, s.WaitingFor = e.waitingFor(r)
	if r.next != nil {
		s.Was = &Where{Container: r.spec.Container, TypeName: r.spec.TypeName}
	}
	for _, f := range r.failures {
		if add(f.Boot, r.spec.RestartPeriod) > e.now.Boot {
			s.Failures = append(s.Failures, f)
		}
	}
	if f := r.lastFailure; f != nil {
		c := *f
		s.LastFailure = &c
	}
	if t := r.nextTry; t.Boot != 0 {
		s.NextTry = &t
	}
	return s
}

// Restore makes an engine of a journaled snapshot. If ownership was held, it is
// Undecided: feed ProviderUp for each container, and Granted or Revoked when
// ownership knows. Outcomes of control calls that are not Recorded are repeated
// by the first Step. A snapshot of another boot of the node is of no use, since
// its times are: use New then.
func Restore(cfg Config, s Snapshot) *Engine {
	e := New(cfg)
	e.epoch, e.revision, e.lastContext, e.fresh = max(s.Epoch, 0), s.PlanRevision, max(s.LastContext, 0), false
	e.ignoreLocked = s.IgnoreLockedMode
	if s.Grant != nil {
		e.grant = *s.Grant
	}
	held := s.Phase != Observer && e.epoch > 0
	if held {
		e.phase = Undecided
	}
	if held && s.Halted {
		// Whoever owns the group now: this stop is carried through.
		e.phase, e.mode, e.halted = Stopping, Emergency, true
		e.cause = Revoked{Mode: Emergency, Reason: string(ReasonQuorumLost), Cause: StateChangeRundown}
	}
	for _, c := range s.Containers {
		x := e.container(c.Name)
		x.nonce, x.dirty, x.killing, x.stopFailed = c.Nonce, !c.Empty, c.KillReason, c.StopFailed
		// A kill that was asked for is asked for again; a loss is proven
		// anew, K from the first Step on.
		x.killBy = 0
		if c.Gone {
			x.gone, x.proofAt, x.killing = true, -1, ""
		}
	}
	for _, rs := range s.Resources {
		if rs.Spec.UID == "" || e.find(rs.Spec.UID) != nil {
			continue
		}
		e.resources = append(e.resources, e.restoreResource(rs, held))
	}
	e.restoreTypes(s.Types)
	e.link()
	for _, k := range s.Controls {
		e.restoreControl(k)
	}
	e.restoreNotifications(s.Notifications)
	if s.Need != nil {
		e.need = *s.Need
	}
	return e
}

func (e *Engine) restoreResource(s ResourceSnapshot, held bool) *resource {
	spec := s.Spec.normalise()
	r := &resource{
		spec: spec, removed: s.Removed, since: s.Since, state: s.State,
		transitions:       slices.Clone(s.Transitions[max(0, len(s.Transitions)-maxTransitions):]),
		runningGeneration: s.RunningGeneration, checkPoint: s.CheckPoint, appCode: s.ApplicationErrorCode,
		statusFlags: s.StatusFlags, lastStatus: s.LastOperationStatusCode,
		recovering: s.Recovering, unexpected: s.UnexpectedlyActive,
		results: slices.Clone(s.ControlResults[max(0, len(s.ControlResults)-maxResults):]), touched: true,
	}
	if w := s.Was; w != nil {
		r.next = &spec
		r.spec.Container, r.spec.TypeName = w.Container, w.TypeName
	}
	if !slices.Contains(States, r.state) {
		r.state = Initializing
	}
	if m := s.LockedMode; m != nil && r.state == Online {
		c := *m
		r.mode = &c
	}
	r.refused = s.Held && r.state == Online
	r.restoreProperties(s.Properties)
	r.restoreApplication(s)
	r.dumps.restore(s)
	r.c = e.container(r.spec.Container)
	r.eventHandle = s.EventHandle
	r.failures = slices.Clone(s.Failures[max(0, len(s.Failures)-maxFailures):])
	r.totalFailures, r.totalRestarts, r.verdict = s.TotalFailures, s.TotalRestarts, s.Verdict
	r.failover, r.immediate = s.Failover, s.Immediate
	if s.LastFailure != nil {
		f := *s.LastFailure
		r.lastFailure = &f
	}
	if s.NextTry != nil {
		r.nextTry = *s.NextTry
	}
	// The journal may be a moment behind: only Open or init can say what runs.
	// Whatever it is, it was started under the epoch of the journal: nothing is
	// brought online under an epoch while something of an older one runs.
	r.run = true
	// Until it is known what became of a stop, nothing is brought online under it.
	r.doomed, r.doomedAt = r.state == OfflinePending, -1
	if held {
		r.startedEpoch = e.epoch
		r.confirm = r.up() || r.state == OfflinePending
		r.restoreArbitration(s.Arbitration, e.epoch)
		r.restoreNodeLocal(s.NodeLocalProperties)
	}
	return r
}

func (e *Engine) restoreControl(s ControlSnapshot) {
	k := &control{
		ask: s.Control, spec: s.Spec, phase: s.Phase, context: s.Context, deadline: s.Deadline, nonce: s.Nonce,
		extension: extension{extended: s.Extended}, withdrawn: s.Withdrawn, unheard: s.Unheard,
	}
	switch {
	case s.Phase == ControlFinished && s.Finish != nil:
		f := *s.Finish
		k.finish = &f
		e.unsaid = append(e.unsaid, Action{Finish: &f})
	case s.Phase == ControlRunning && s.Container != "":
		k.r, k.c = e.find(s.Control.Resource), e.container(s.Container)
	default:
		return // not claimed for certain: core asks again, and says if it was
	}
	e.controls = append(e.controls, k)
}
