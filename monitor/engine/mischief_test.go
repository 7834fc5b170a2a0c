// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"time"
)

// mischief is one thing that goes wrong, or is asked for.
func (w *world) mischief() {
	c := w.conts[w.rnd.IntN(len(w.conts))]
	switch w.rnd.IntN(17) {
	case 0, 1:
		w.grant(w.epoch + int64(w.rnd.IntN(2)))
	case 2:
		w.revoke([]RevokeMode{Ordered, Emergency, Kill}[w.rnd.IntN(3)])
	case 3:
		w.revoke(Ordered)
		w.in(time.Duration(w.rnd.IntN(5000))*ms, func() { w.grant(w.epoch) })
	case 4: // the provider crashes; init notices
		if c.up && !c.killing {
			c.up = false
			if w.rnd.IntN(2) == 0 {
				w.send(Event{ProviderDown: &ProviderDown{Container: c.name}})
			}
			if !c.killing {
				w.kill(c)
			}
		}
	case 5: // the connection is lost, though the process lives
		if c.up {
			w.send(Event{ProviderDown: &ProviderDown{Container: c.name}})
		}
	case 6: // the container dies
		if !c.gone {
			w.emptied(c)
			c.gone = true
			w.send(Event{InitGone: &InitGone{Container: c.name}})
			w.in(time.Duration(w.rnd.IntN(20_000))*ms, func() { w.boot(c) })
		}
	case 7, 8, 9:
		w.replan()
	case 10, 11:
		w.killMonitor()
	case 12, 13:
		id := fmt.Sprint("k", w.rnd.IntN(1_000_000))
		ask := Control{ID: id, Resource: fmt.Sprint("r", w.rnd.IntN(6)),
			Name: []string{"SAVE", "PEEK", "NOPE", "FAIL", "RESET-FAILURES", "GET_FLAGS"}[w.rnd.IntN(6)]}
		if w.rnd.IntN(4) == 0 {
			ask.Resource, ask.TypeName, ask.Name = "", "test", []string{"PREPARE", "UNKNOWN"}[w.rnd.IntN(2)]
		}
		w.send(Event{Control: &ask})
		if w.chance(10) {
			w.in(w.soon(), func() { w.send(Event{Withdrawn: &Withdrawn{ID: id}}) })
		}
	case 14:
		w.callback(Callback{Container: c.name, Handle: fmt.Sprint("r", w.rnd.IntN(7)), QuorumResourceLost: &QuorumResourceLost{}})
	default: // a provider that says what comes to its mind
		cb := Callback{Container: c.name, Handle: fmt.Sprint("r", w.rnd.IntN(7))}
		switch w.rnd.IntN(3) {
		case 0:
			cb.SetResourceStatus = &SetResourceStatus{State: int32(w.rnd.IntN(140)) - 2, CheckPoint: w.rnd.Uint32()}
			// It may have said that something is stopped which is not.
			w.confuse(c, cb.Handle)
		case 1:
			cb.SignalFailure = &SignalFailure{Type: FailureType(w.rnd.IntN(4)), Exited: w.rnd.IntN(2) == 0}
			if w.rnd.IntN(2) == 0 {
				cb.SignalFailure, cb.SetLockedMode = nil, &SetLockedMode{Enabled: w.rnd.IntN(2) == 0, Flags: w.rnd.Uint32()}
			}
		default:
			cb.EndControlCall = &EndControlCall{Context: w.rnd.Int64()}
		}
		w.callback(cb)
	}
}

// confuse: after a random report nobody knows what runs but the world.
func (w *world) confuse(c *wContainer, u string) {
	if c.running[u] {
		w.naughty[u] = true
	}
}

func (w *world) replan() {
	var rs []Resource
	gone := map[string]bool{}
	for _, r := range w.pool {
		if w.chance(10) {
			gone[r.UID] = true
			continue
		}
		if w.benign { // a long time without polls
			r.LooksAliveInterval, r.IsAliveInterval = 600*sec, 600*sec
		}
		if w.chance(20) {
			r.DesiredState = DesiredOffline
		}
		if w.chance(30) {
			w.beta[r.UID] = w.rnd.IntN(100)
		}
		r.Live = []string{"alpha"}
		r.Properties = fmt.Appendf(nil, `{"alpha":%d,"beta":%d}`, w.rnd.IntN(4), w.beta[r.UID])
		if w.chance(10) {
			r.Generation += int64(w.rnd.IntN(3))
		}
		if w.chance(5) {
			r.Container = w.conts[w.rnd.IntN(len(w.conts))].name
		}
		var deps [][]string
		for _, term := range r.Dependencies {
			var kept []string
			for _, u := range term {
				if !gone[u] {
					kept = append(kept, u)
				}
			}
			if kept != nil {
				deps = append(deps, kept)
			}
		}
		r.Dependencies = deps
		rs = append(rs, r)
	}
	w.send(Event{PlanChanged: &PlanChanged{Plan: Plan{Revision: fmt.Sprint(w.seq), Resources: rs, Types: []Type{{
		Name: "test", Controls: []ControlSpec{{Name: "PREPARE", Code: 0x0280000a, Access: AccessWrite}},
	}}}}})
}

// killMonitor: what was journalled is what the next life knows.
func (w *world) killMonitor() {
	w.life++
	w.armed = 0
	w.flight = map[uint64]Call{}
	s := roundTrip(w.t, w.journal)
	w.e, w.replay = Restore(Config{}, s), Restore(Config{}, s)
	w.log = append(w.log, "--- the monitor was killed")
	for _, c := range w.conts {
		c.guard = min(c.guard, w.epoch)
		switch {
		case c.gone || c.killing:
		case c.up:
			w.in(w.soon(), func() {
				if c.up && !c.gone && !c.killing {
					w.send(Event{ProviderUp: &ProviderUp{Container: c.name, Nonce: c.nonce(), Types: []string{"test"}, Capabilities: []string{CapabilityQuorum}}})
					w.guards(c)
				}
			})
		default:
			w.send(Event{Emptied: &Emptied{Container: c.name, Nonce: c.nonce()}})
		}
	}
	was := w.granted
	w.granted = false
	w.in(w.soon(), func() {
		switch {
		case was && w.rnd.IntN(4) > 0:
			w.grant(w.epoch)
		case was && w.rnd.IntN(2) > 0:
			w.grant(w.epoch + 1)
		default:
			w.revoke([]RevokeMode{Ordered, Emergency, Kill}[w.rnd.IntN(3)])
		}
	})
}
