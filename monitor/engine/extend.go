// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import "time"

const (
	// defaultControlMaximum is ControlTimeoutMaximum of a type that has none.
	defaultControlMaximum = time.Hour
	// extensionPace is the shortest time between two journals of one deadline: a
	// provider may extend as often as it likes.
	extensionPace = time.Second
)

// extension is how the deadline of a control call was moved.
type extension struct {
	// extended: by the provider, once at least.
	extended bool
	// unsaved: since the journal was told last. Not before savedAt again.
	unsaved bool
	savedAt int64
}

// extendControlCall is ExtendControlCall and ExtendResTypeControlCall (RA sections 1.7,
// 1.8): the new time-out counts from now, and is bounded by the type. A call that does
// not run any more is answered as its end is. What was granted survives the monitor, but
// for the last second of a provider that extends more often than that.
func (e *Engine) extendControlCall(cb Callback) {
	a := cb.ExtendControlCall
	k := e.running(a.Type, a.Context, cb.Container)
	r := e.settingOf(a.Context, cb.Container)
	switch {
	case k == nil && (r == nil || a.Type):
		e.reply(cb, e.late(a.Type, a.Context), ExitContinue)
		return
	case a.Timeout <= 0:
		e.reply(cb, CodeInvalidParameter, ExitContinue)
		return
	case k == nil: // SET_PRIVATE_PROPERTIES, which no journal needs to know of
		r.setting.deadline = e.after(min(a.Timeout, e.controlMaximum(r.spec.TypeName)))
		e.reply(cb, CodeSuccess, ExitContinue)
		return
	}
	name := k.ask.TypeName
	if k.r != nil {
		name = k.r.spec.TypeName
	}
	k.deadline = e.after(min(a.Timeout, e.controlMaximum(name)))
	k.extended, k.unsaved = true, true
	if k.savedAt > e.now.Boot {
		e.reply(cb, CodeSuccess, ExitContinue)
		return
	}
	e.saveExtension(k)
	e.barrier = true
	e.reply(cb, CodeSuccess, ExitContinue)
}

// saveExtension has the deadline journaled, and shown.
func (e *Engine) saveExtension(k *control) {
	k.unsaved, k.savedAt = false, e.after(extensionPace)
	e.journal, e.group = true, true
}

// controlMaximum is how far from now a call of a type, or its resources, can be extended.
func (e *Engine) controlMaximum(typeName string) time.Duration {
	if t := e.typeOf(typeName); t.ControlTimeoutMaximum > 0 {
		return t.ControlTimeoutMaximum
	}
	return defaultControlMaximum
}
