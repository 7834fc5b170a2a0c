// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"slices"
	"strings"
	"time"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
	"github.com/understudy-dev/understudy/monitor/ownership"
)

// left: who was asked to leave hands over before kubelet's patience ends, if nothing is in its way.
func (k *checker) left(h *host, asked time.Duration) {
	m := h.monitor
	if m == nil || m.started > asked || !k.strict() {
		return
	}
	last := m.obstacle()
	for _, c := range h.containers {
		last = max(last, c.broken)
	}
	if last < asked && m.owner.Role == ownership.Owner && m.owner.Granted {
		k.fail("drain", "%s: still owns the group when its pod is killed, %v after it was asked to leave", h.name, grace)
	}
}

// stray: an init that comes with a guard to a monitor that owns nothing is emptied.
func (k *checker) stray(m *monitor, before ownership.Snapshot, container string, effects []core.Effect) {
	kills := func(e core.Effect) bool { return e.Kill != nil && e.Kill.Container == container }
	if idle(before.Role) && idle(m.owner.Role) && !slices.ContainsFunc(effects, kills) {
		k.fail("stray", "%s: %s comes with a guard, nothing is owned here, and it is not emptied", m.host.name, container)
	}
}

// idle: nothing may be online.
func idle(r ownership.Role) bool {
	return r == ownership.Clearing || r == ownership.Observer || r == ownership.Acquiring || r == ownership.Releasing
}

// durable: what a holder writes, its volume knows first.
func (k *checker) durable(m *monitor, r leasev1.Record) {
	if j := m.host.journal; j == nil || j.state.Disk.Epoch < r.Epoch {
		k.fail("disk", "%s: writes a record of epoch %d, and its volume does not know", m.host.name, r.Epoch)
	}
}

// uncounted: what fails while the group is being stopped is no failure for any policy.
func (k *checker) uncounted(m *monitor, before ownership.Snapshot, e *core.Log) {
	stopping := func(s ownership.Snapshot) bool {
		return s.Role == ownership.SelfStopping || s.Role == ownership.Offlining || s.Role == ownership.Clearing
	}
	if e.Component == "RCM" && strings.HasPrefix(e.Text, e.Resource+" failed: ") && stopping(before) && stopping(m.owner) {
		k.fail("policy", "%s on %s: a failure counts although the group is being stopped: %s", e.Resource, m.host.name,
			e.Text)
	}
}

// needed: a failover that the policy wants begins at once, or there is a reason why not.
func (k *checker) needed(m *monitor, e *core.Log) {
	s := m.owner
	if strings.Contains(e.Text, "a failover is needed") && s.Role == ownership.Owner && s.Granted && s.NotReleased == "" {
		k.fail("policy", "%s: neither fails over nor says why not: %s", m.host.name, e.Text)
	}
}

// unstopped: that a container of a group that is being stopped is not proven empty, ownership
// hears at once: the lease depends on it.
func (k *checker) unstopped(m *monitor, e *core.Log) {
	s := m.owner
	stopping := s.Role == ownership.Offlining || s.Role == ownership.SelfStopping
	if e.Reason == string(engine.ReasonStopFailed) && stopping && !s.StopFailed {
		k.fail("stop", "%s: a stop failed, and ownership does not know: %s", m.host.name, e.Text)
	}
}
