// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"time"

	"github.com/understudy-dev/understudy/monitor/instant"
)

// The bound on changes of one kind of one resource, each of which is made durable before
// it is answered. It is ours.
const (
	maxChanges   = 8
	changesEvery = time.Second
)

// changes counts them since a time.
type changes struct {
	since int64
	n     int
}

// admit says whether there may be one more.
func (c *changes) admit(now int64) bool {
	if c.since == 0 || add(c.since, changesEvery) <= now {
		*c = changes{since: now}
	}
	c.n++
	return c.n <= maxChanges
}

// ApplicationReport is what the provider said last of one application state, since when.
type ApplicationReport struct {
	State  ApplicationState `json:"state"`
	Active bool             `json:"active,omitempty"`
	Time   instant.Instant  `json:"time"`
}

// applicationStates is what a provider said of the application inside a resource.
type applicationStates struct {
	// reports, sorted by state; nothing was said of a state that is not there.
	reports []ApplicationReport
	// saidStates bounds how often they change.
	saidStates changes
}

// applicationBits are the StatusInformation bits of the states.
var applicationBits = map[ApplicationState]uint64{
	ApplicationOSHeartBeat: StatusOSHeartBeat, ApplicationReady: StatusApplicationReady,
}

// StatusApplication are all bits of StatusInformation that application states set.
const StatusApplication = StatusOSHeartBeat | StatusApplicationReady

// setInternalState is RA section 1.12. It says something of what runs, so it is taken of
// a resource that is online or coming online (5023 else), and kept until it leaves
// Online. It changes no state. Unknown, active, forgets what was said: our reading. The
// provider may forget it once it is answered, so the answer waits for the journal; more
// than maxChanges a second are answered with 5909: try again.
func (e *Engine) setInternalState(r *resource, s SetInternalState) Code {
	if s.State != ApplicationUnknown && applicationBits[s.State] == 0 {
		return CodeInvalidParameter
	}
	if !r.up() || r.terminating || r.kill {
		return CodeInvalidState
	}
	reports := slices.Clone(r.reports)
	i := slices.IndexFunc(reports, func(x ApplicationReport) bool { return x.State == s.State })
	said := ApplicationReport{State: s.State, Active: s.Active, Time: e.now}
	switch {
	case s.State == ApplicationUnknown && s.Active && len(reports) > 0:
		reports = nil
	case s.State == ApplicationUnknown || i >= 0 && reports[i].Active == s.Active:
		return CodeSuccess // nothing new
	case i >= 0:
		reports[i] = said
	default:
		reports = append(reports, said)
		slices.SortFunc(reports, func(x, y ApplicationReport) int { return int(x.State) - int(y.State) })
	}
	if !r.saidStates.admit(e.now.Boot) {
		return CodeTypeBusy
	}
	r.reports = reports
	e.touch(r, true)
	e.barrier = true
	return CodeSuccess
}

// ready: the application inside said so.
func (r *resource) ready() bool { return r.informed()&StatusApplicationReady != 0 }

// informed is StatusInformation (RA section 3.5).
func (r *resource) informed() uint64 {
	bits := r.information
	if r.mode != nil && r.mode.Locked {
		bits |= StatusLockedMode
	}
	for _, x := range r.reports {
		if x.Active {
			bits |= applicationBits[x.State]
		}
	}
	return bits
}

// restoreApplication takes it from a snapshot. It is the word of a provider process
// that may live: if it does not, or Open finds it stopped, the resource leaves Online.
func (r *resource) restoreApplication(s ResourceSnapshot) {
	r.information = s.StatusInformation &^ (StatusApplication | StatusLockedMode)
	r.reports = nil
	for _, x := range s.ApplicationStates {
		known := slices.ContainsFunc(r.reports, func(y ApplicationReport) bool { return y.State == x.State })
		if applicationBits[x.State] != 0 && !known && r.up() {
			r.reports = append(r.reports, x)
		}
	}
}
