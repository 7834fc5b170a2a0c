// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package ownership

// row says what one role does with each event. The fields are those of Event.
type row struct {
	Started, Timer, Observed, Wrote, Persisted, Succession, Tick, Wish, Drain, GuardUp, GuardDown, Stopped handler
}

type handler func(*Machine, Event)

// table defines every event in every role; a test fails for one that is not.
// What follows from the changed knowledge is up to drive, which runs after it.
var table map[Role]row

func init() { // here, because the handlers lead back to the table
	var (
		// Every role learns what the manager, the engine and the API server say.
		base = row{
			Started:    ignore, // the first event of all, whatever it is, begins the run
			Timer:      (*Machine).onTimer,
			Observed:   (*Machine).onObserved,
			Wrote:      (*Machine).onWrote,
			Persisted:  (*Machine).onPersisted,
			Succession: func(m *Machine, e Event) { m.succession = e.Succession },
			Tick:       (*Machine).onTick,
			Wish:       (*Machine).onWish,
			Drain:      func(m *Machine, e Event) { m.drain = e.Drain },
			GuardUp:    (*Machine).onGuardUp,
			GuardDown:  (*Machine).onGuardDown,
			Stopped:    (*Machine).onStopped,
		}
		idle = with(base, func(r *row) {
			r.Tick = ignore                     // nothing to renew
			r.GuardUp = (*Machine).onStrayGuard // nothing may be online
		})
	)
	table = map[Role]row{
		Starting: with(base, func(r *row) {
			r.Tick = ignore
			r.Stopped = ignore // nothing was revoked yet
		}),
		Clearing:     idle,
		Observer:     with(idle, func(r *row) { r.Stopped = ignore }),
		Acquiring:    with(idle, func(r *row) { r.Stopped = ignore }),
		Adopting:     with(base, func(r *row) { r.Tick, r.Stopped = ignore, ignore }),
		Owner:        with(base, func(r *row) { r.Stopped = ignore }), // of a stop before the Grant
		Offlining:    base,
		Releasing:    idle,
		SelfStopping: base,
	}
}

func with(r row, change func(*row)) row {
	change(&r)
	return r
}

// ignore: the event says nothing to this role.
func ignore(*Machine, Event) {}

// of is the handler of the event. An Event without a field set, as from a newer
// recording, is like a Timer.
func (r row) of(e Event) handler {
	switch {
	case e.Started != nil:
		return r.Started
	case e.Observed != nil:
		return r.Observed
	case e.Wrote != nil:
		return r.Wrote
	case e.Persisted != nil:
		return r.Persisted
	case e.Succession != nil:
		return r.Succession
	case e.Tick != nil:
		return r.Tick
	case e.Wish != nil:
		return r.Wish
	case e.Drain != nil:
		return r.Drain
	case e.GuardUp != nil:
		return r.GuardUp
	case e.GuardDown != nil:
		return r.GuardDown
	case e.Stopped != nil:
		return r.Stopped
	}
	return r.Timer
}

func (m *Machine) onWish(e Event) {
	m.wish = e.Wish
	if e.Wish.Timing != nil {
		m.config.Timing = *e.Wish.Timing
	}
}
