// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
)

// statusTruth is what happened, against which statuses are held.
type statusTruth struct {
	// runs counts how often a resource came to life.
	runs map[run]int
	// restarts in a row, by resource and life of the monitor.
	restarts map[run]int
}

// run is one resource on one host in one epoch.
type run struct {
	name, host string
	epoch      int64
}

// restored: what was durable of the failures is not forgotten by the next life.
func (k *checker) restored(m *monitor, was *core.State) {
	if was == nil || was.BootID != m.host.node.bootID() {
		return
	}
	if now := m.core.State(m.host.node.read()).PlanRevision; now != was.PlanRevision {
		k.fail("restored", "%s ran plan %q before the monitor's restart, and runs %q", m.host.name, was.PlanRevision, now)
	}
	m.series = was.Engine.Epoch
	is := map[string]engine.ResourceSnapshot{}
	for _, r := range m.core.State(m.host.node.read()).Engine.Resources {
		is[r.Spec.UID] = r
	}
	for _, r := range was.Engine.Resources {
		now := is[r.Spec.UID]
		if len(now.Failures) != len(r.Failures) || now.TotalFailures != r.TotalFailures ||
			(now.LastFailure == nil) != (r.LastFailure == nil) {
			k.fail("restored", "%s on %s had %d failures before the monitor's restart, and has %d", r.Spec.Name, m.host.name,
				len(r.Failures), len(now.Failures))
		}
		if n := len(r.Failures); n <= int(k.group.policy.threshold) {
			k.restarts[run{name: r.Spec.Name, host: m.inc}] = n
		}
	}
}

// emptied: what init has killed is not taken for online any more.
func (k *checker) emptied(m *monitor, container string) {
	for _, r := range m.core.State(m.host.node.read()).Engine.Resources {
		if r.Spec.Container == container && r.State == engine.Online {
			k.fail("status", "%s on %s is online although its container is empty", r.Spec.Name, m.host.name)
		}
	}
}

// sent is a call that leaves the monitor: what must not be forgotten is in the journal.
func (k *checker) sent(m *monitor, c engine.Call) {
	begun := func(r engine.ResourceSnapshot) bool { return r.Spec.UID == c.Resource && r.StartedEpoch >= c.Epoch }
	asked := func(s engine.ControlSnapshot) bool { return s.Context == c.Control.Context }
	known := true
	switch j := m.host.journal; {
	case c.Op == engine.OpOnline:
		known = j != nil && slices.ContainsFunc(j.state.Engine.Resources, begun)
	case c.Control != nil && c.Control.Name != setProperties:
		known = j != nil && slices.ContainsFunc(j.state.Engine.Controls, asked)
	}
	if c.Op == engine.OpOnline {
		m.witness.starting(c)
	}
	if !known {
		k.fail("journal", "%s of %s is called on %s, and its journal does not know", c.Op, c.Resource, m.host.name)
	}
}

// beginning is an Online that reaches a provider.
func (k *checker) beginning(h *host, i *instance, c engine.Call) {
	switch {
	case i.alive && i.refused:
		k.fail("stop", "%s is started on %s although it could not be stopped and lives", i.uid, h.name)
	case i.alive && i.state == online && i.epoch == c.Epoch:
		// A repetition: nothing is started.
	case i.uid == "uid-"+db:
		// One that does not stop holds it back for its PendingTimeout at most.
		bound, now := k.group.policy.pendingAfter*9/10, k.group.world.now
		a, c := h.instance("uid-"+app), h.container("c1")
		p := c.provider
		if a == nil || !a.alive || a.state != online {
			break
		}
		tried := a.asked != 0 && now-a.asked > bound || max(p.hung, p.stubborn, c.stopped)+bound > now
		if now-i.lost < bound && !tried {
			k.fail("order", "%s is started on %s while %s, which needs it, is online", i.uid, h.name, a.uid)
		}
	case i.uid == "uid-"+app:
		if k.runs[run{"uid-" + db, h.uid, c.Epoch}] == 0 {
			k.fail("order", "%s is started on %s although %s, which it needs, never was in epoch %d", i.uid, h.name, db, c.Epoch)
		}
	}
}

// stopping is an Offline or Terminate that reaches a provider.
func (k *checker) stopping(h *host, i *instance, op engine.Op) {
	if op != engine.OpOffline || i.uid != "uid-"+db || !i.alive {
		return
	}
	// One that was asked to stop, or cannot be talked to, and lives is not waited for without end.
	a, c := h.instance("uid-"+app), h.container("c1")
	reached := h.monitor != nil && h.monitor.talks["c1"] == c.provider && !c.killing && !c.stuck &&
		k.group.world.now >= c.stopped
	if a != nil && a.alive && a.state == online && a.asked == 0 && reached {
		k.fail("order", "%s goes offline on %s before %s, which needs it", i.uid, h.name, a.uid)
	}
}

// spokenUnder is the epoch under which an owner speaks; 0 if it is no status of an owner.
func spokenUnder(w *core.Write) int64 {
	switch {
	case w.Group != nil:
		return w.Group.Owner.Epoch
	case w.Resource != nil:
		return w.Resource.Owner.Epoch
	}
	return 0
}

// written is a document that reaches the API server, whatever it makes of it.
func (k *checker) written(h *host, w core.Write) {
	epoch, speaks := spokenUnder(&w), w.Group != nil || w.Resource != nil
	if e := w.Endpoint; e != nil && e.Address != "" {
		epoch, speaks = e.Epoch, true
		for _, name := range []string{db, app} {
			if k.runs[run{"uid-" + name, h.uid, epoch}] == 0 {
				k.fail("status", "the Service points to %s in epoch %d, where %s never was online", h.name, epoch, name)
			}
		}
	}
	if speaks && k.epochs[epoch] != h.uid && k.rewinds == 0 {
		k.fail("status", "%s writes %s under epoch %d, which never was its own", h.name, w.Key, epoch)
	}
}

// runsPlan: a monitor never goes back to an earlier plan. (One that starts again may, if the
// newest was not in the journal, until it has read it again.)
func (k *checker) runsPlan(m *monitor, revision string) {
	_, n, _ := strings.Cut(revision, "-")
	number, err := strconv.Atoi(n)
	if err != nil {
		return
	}
	if number < m.ran && k.rewinds == 0 {
		k.fail("plan", "%s runs plan %d after plan %d", m.host.name, number, m.ran)
	}
	m.ran = max(number, m.ran)
}

// owner is what is stored of a group. It is not online unless all was, and an owner before
// is not forgotten.
func (k *checker) owner(h *host, d *core.GroupDocument) {
	o := d.Owner
	if o.State == v1alpha1.GroupOnline {
		for _, name := range []string{db, app} {
			if k.runs[run{"uid-" + name, h.uid, o.Epoch}] == 0 && k.plan(o.PlanRevision) {
				k.fail("status", "the group is said to be online on %s in epoch %d, where %s never was", h.name, o.Epoch, name)
			}
		}
	}
	last := int64(0)
	for _, e := range o.History {
		if e.Epoch <= last && k.rewinds == 0 && k.group.world.Coverage.EpochLost == 0 {
			k.fail("status", "the history of owners says epoch %d after %d", e.Epoch, last)
		}
		last = e.Epoch
	}
	before := k.group.store.status.Owner
	if before == nil || before.Epoch == o.Epoch || k.rewinds > 0 {
		return
	}
	known := func(e v1alpha1.OwnershipEntry) bool { return e.Epoch == before.Epoch && e.UntilTime != nil }
	if !slices.ContainsFunc(o.History, known) {
		k.fail("history", "%s, the owner in epoch %d, forgets how epoch %d ended", h.name, o.Epoch, before.Epoch)
	}
}

// plan reports whether a plan wants the group online.
func (k *checker) plan(revision string) bool {
	p := k.group.plans[revision]
	return p != nil && p.Online
}

// resource is what is stored of a resource.
func (k *checker) resource(h *host, d core.ResourceDocument) {
	o := d.Owner
	if o.State == v1alpha1.StateOnline && k.runs[run{d.UID, h.uid, o.Epoch}] == 0 {
		k.fail("status", "%s is said to be online on %s in epoch %d, where it never was", d.Name, h.name, o.Epoch)
	}
}

// said holds what a monitor makes of a failure against the restart policy: as many restarts
// in a row as the threshold allows, neither more nor fewer.
func (k *checker) said(m *monitor, l core.Log) {
	restarts := strings.Contains(l.Text, "restarted in") || strings.Contains(l.Text, "restarted here in")
	series := run{name: l.Resource, host: m.inc}
	switch {
	case l.Component != "RCM" || l.Resource == "" || !strings.Contains(l.Text, " failed: "):
	case restarts:
		if k.restarts[series]++; k.restarts[series] > int(k.group.policy.threshold) {
			k.fail("policy", "%s on %s is restarted for the %d. time, %d are allowed", l.Resource, m.host.name,
				k.restarts[series], k.group.policy.threshold)
		}
	case strings.Contains(l.Text, "it is tried again in"):
		if n := k.restarts[series]; n < int(k.group.policy.threshold) && !m.changed {
			k.fail("policy", "%s on %s is given up after %d restarts, %d are allowed", l.Resource, m.host.name, n,
				k.group.policy.threshold)
		}
		k.restarts[series] = 0
	}
}

// replanned: what is wanted in another way may begin a new series.
func (k *checker) replanned(m *monitor) {
	m.changed = true
	for series := range k.restarts {
		if series.host == m.inc {
			delete(k.restarts, series)
		}
	}
}

// told reports whether the statuses are right: called when nothing happens any more.
// A status that a restored store took back is told again with the next change only; one under
// an epoch that was lost stays until epochs are larger again.
func (k *checker) told() bool {
	return k.rewinds > 0 || k.group.world.Coverage.EpochLost > 0 || k.tells() == ""
}

func (k *checker) tells() string {
	g := k.group
	h, o := g.online(), g.store.status.Owner
	revision := g.plan()
	switch {
	case h == nil || o == nil:
		return "there is no owner"
	case o.PodUID != h.uid || o.Epoch != h.monitor.owner.Epoch:
		return fmt.Sprintf("the owner is %s in epoch %d, not %s in epoch %d", h.name, h.monitor.owner.Epoch, o.PodName,
			o.Epoch)
	case o.PlanRevision != revision:
		return fmt.Sprintf("the owner says that it runs %s, not %s", o.PlanRevision, revision)
	case o.State != v1alpha1.GroupOnline && (g.extra || o.State == v1alpha1.GroupPending):
		// What is not wanted may be offline, or have failed.
		return "the group is " + string(o.State)
	case g.store.endpoint == nil || g.store.endpoint.PodUID != h.uid:
		return "the endpoint is another"
	}
	for _, uid := range g.wanted() {
		r := g.store.resources[strings.TrimPrefix(uid, "uid-")]
		if r.Owner.State != v1alpha1.StateOnline || r.Owner.Epoch != o.Epoch {
			return fmt.Sprintf("%s is %s in epoch %d", uid, r.Owner.State, r.Owner.Epoch)
		}
	}
	for _, h := range g.hosts {
		if s := g.store.status.Hosts[h.name]; !h.gone && (!s.Ready || s.PlanRevision != revision) {
			return fmt.Sprintf("host %s: %+v", h.name, s)
		}
	}
	return ""
}
