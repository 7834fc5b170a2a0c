// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"time"
)

// call is the provider's side of a call: what it does and what it answers.
func (w *world) call(c Call) {
	k, life, nonce := w.cont(c.Container), w.life, w.cont(c.Container).nonce()
	w.flight[c.ID] = c
	alive := func() bool { return k.up && !k.gone && k.nonce() == nonce && nonce == c.Nonce }
	answered := false
	answer := func(a Returned) {
		if answered {
			return
		}
		answered = true
		delete(w.flight, c.ID)
		if w.life != life {
			return // the monitor that asked is dead
		}
		a.Call = c.ID
		if !alive() {
			a = Returned{Call: c.ID, Outcome: Unavailable}
		}
		w.send(Event{Returned: &a})
	}
	if !w.chance(30) { // else the edge is late, and the engine's own timer counts
		w.in(time.Duration(c.Deadline-w.now.Boot), func() {
			if !answered && alive() {
				answer(Returned{Outcome: DeadlineExceeded})
			}
		})
	}
	w.in(w.soon(), func() {
		if !alive() || w.life != life {
			answer(Returned{}) // it never arrived: the connection is gone
			return
		}
		if w.chance(2) {
			return // hangs for ever
		}
		if w.chance(2) {
			answer(Returned{Outcome: Broken})
			return
		}
		w.serve(k, c, alive, answer)
	})
}

func (w *world) serve(k *wContainer, c Call, alive func() bool, answer func(Returned)) {
	u := c.Resource
	switch c.Op {
	case OpOpen:
		switch {
		case w.chance(3):
			answer(Returned{Status: 87})
		case c.Flags&OpenRecoverMonitorState != 0 && k.pend[u] != 0:
			answer(Returned{State: k.pend[u]})
		case !k.running[u] && k.pend[u] == 0:
			answer(Returned{State: ReportedOffline})
		case c.Flags&OpenRecoverMonitorState != 0 || w.chance(20):
			answer(Returned{State: ReportedOnline})
		default:
			k.ops[u]++
			delete(k.running, u)
			delete(k.pend, u)
			answer(Returned{State: ReportedOffline})
		}
	case OpOnline:
		w.serveOnline(k, c, alive, answer)
	case OpOffline:
		w.serveOffline(k, c, alive, answer)
	case OpTerminate:
		k.ops[u]++
		delete(k.pend, u)
		switch {
		case w.chance(5):
			answer(Returned{Status: 5})
		default:
			w.halt(k, u)
			answer(Returned{})
		}
	case OpArbitrate:
		w.serveArbitrate(k, c, alive, answer)
	case OpRelease:
		delete(k.won, u)
		answer(Returned{Status: []Code{0, 0, 5}[w.rnd.IntN(3)]})
	case OpClose:
		delete(k.running, u)
		answer(Returned{})
	case OpLooksAlive, OpIsAlive:
		answer(Returned{Alive: k.running[u] && !w.chance(3)})
	case OpBeginResourceControl:
		if sets(c) {
			w.serveProperties(k, c, alive, answer)
			return
		}
		w.serveControl(k, c, alive, answer)
	case OpBeginResourceTypeControl:
		w.serveControl(k, c, alive, answer)
	case OpCancel:
		answer(Returned{Status: Code(w.rnd.IntN(2))})
	}
}

// halt stops it; a liar leaves it running.
func (w *world) halt(k *wContainer, u string) {
	if k.running[u] && w.lying && w.chance(20) {
		k.left[u] = true
	}
	delete(k.running, u)
}

func (w *world) serveOnline(k *wContainer, c Call, alive func() bool, answer func(Returned)) {
	u, life := c.Resource, w.life
	k.ops[u]++
	op := k.ops[u]
	k.props[u] = string(c.Properties)
	delete(w.naughty, u)
	begin := func() {
		switch {
		case k.ops[u] == op:
			k.running[u] = true
		case w.chance(30):
			k.left[u] = true // a worker that did not stop when it was told to
		}
	}
	switch {
	case w.chance(8):
		if w.chance(50) {
			begin()
		}
		answer(Returned{Status: 5006})
	case w.chance(30):
		answer(Returned{Status: CodeIOPending})
		w.work(k, u, op, alive, begin, ReportedOnlinePending, ReportedOnline)
	case w.chance(5):
		// Terminate overtakes it; then it starts something, and returns.
		w.in(time.Duration(w.rnd.IntN(3000))*ms, func() {
			if alive() && w.life == life { // its connection is its context
				begin()
			}
			answer(Returned{})
		})
	default:
		begin()
		answer(Returned{EventHandle: w.rnd.IntN(2) == 0})
	}
	if w.chance(40) { // it will end by itself
		w.in(time.Duration(w.rnd.IntN(30_000))*ms, func() {
			if alive() && k.running[u] && k.ops[u] == op {
				delete(k.running, u)
				w.callback(Callback{Container: k.name, Handle: u, SignalFailure: &SignalFailure{
					Exited: w.rnd.IntN(2) == 0, Type: FailureType(w.rnd.IntN(3)),
				}})
			}
		})
	}
}

// serveArbitrate wins or loses, and may lose later what it won, before or after it says so.
func (w *world) serveArbitrate(k *wContainer, c Call, alive func() bool, answer func(Returned)) {
	u := c.Resource
	lose := func() {
		if !alive() || k.won[u] != c.Epoch {
			return
		}
		delete(k.won, u)
		if rep := w.callback(Callback{Container: k.name, Handle: u, QuorumResourceLost: &QuorumResourceLost{}}); rep.Code == CodeSuccess {
			w.lost = true
		}
	}
	if w.chance(30) {
		answer(Returned{Status: []Code{5006, 5}[w.rnd.IntN(2)]})
		return
	}
	k.won[u] = c.Epoch
	if w.chance(10) {
		lose()
		answer(Returned{})
		return
	}
	answer(Returned{})
	if w.chance(40) {
		w.in(time.Duration(w.rnd.IntN(30_000))*ms, lose)
	}
}

// work is the worker of a pending operation.
func (w *world) work(k *wContainer, u string, op int, alive func() bool, act func(), way, end int32) {
	left := w.rnd.IntN(4)
	k.pend[u] = way
	var step func(n uint32)
	step = func(n uint32) {
		if !alive() || k.ops[u] != op && !w.chance(10) || w.chance(5) {
			return // dead, cancelled, or silent for ever
		}
		state := way
		if int(n) >= left {
			act()
			if k.ops[u] == op {
				delete(k.pend, u)
			}
			if state = end; w.chance(10) {
				state = []int32{ReportedFailed, ReportedOffline, ReportedOnline, ReportedCannotComeOnlineOnThisNode, 99}[w.rnd.IntN(5)]
			}
		}
		rep := w.callback(Callback{Container: k.name, Handle: u, SetResourceStatus: &SetResourceStatus{Ex: true, State: state, CheckPoint: n}})
		if rep.ExitState == ExitContinue && int(n) < left {
			w.in(time.Duration(w.rnd.IntN(9000))*ms, func() { step(n + 1) })
		}
	}
	w.in(w.soon(), func() { step(0) })
}

func (w *world) serveOffline(k *wContainer, c Call, alive func() bool, answer func(Returned)) {
	u := c.Resource
	k.ops[u]++
	op := k.ops[u]
	switch {
	case w.chance(6):
		answer(Returned{Status: 5})
	case w.chance(30):
		answer(Returned{Status: CodeIOPending})
		w.work(k, u, op, alive, func() { w.halt(k, u) }, ReportedOfflinePending, ReportedOffline)
	default:
		w.halt(k, u)
		answer(Returned{})
	}
}

// takesOver says how a resource answers to new properties: always alike, as a provider
// that was written to does.
func takesOver(uid string) Code {
	return []Code{CodeSuccess, CodeSuccess, CodePropertiesStored, CodeInvalidFunction, CodeInvalidData, CodeSuccess}[uid[1]-'0']
}

// serveProperties takes properties over, at once, later, or without saying so.
func (w *world) serveProperties(k *wContainer, c Call, alive func() bool, answer func(Returned)) {
	code := takesOver(c.Resource)
	if code == CodeSuccess {
		k.props[c.Resource] = string(c.Control.Input)
	}
	end := func() {
		if alive() {
			w.callback(Callback{Container: k.name, EndControlCall: &EndControlCall{Context: c.Control.Context, Status: code}})
		}
	}
	switch {
	case w.rnd.IntN(3) > 0:
		answer(Returned{Status: code})
	case w.rnd.IntN(2) == 0:
		end()
		answer(Returned{Async: true})
	default:
		answer(Returned{Async: true})
		if !w.chance(20) {
			w.in(w.soon(), end)
		}
	}
}

func (w *world) serveControl(k *wContainer, c Call, alive func() bool, answer func(Returned)) {
	w.begun[fmt.Sprint(c.Control.Context)]++
	typed := c.Op == OpBeginResourceTypeControl
	end := func() {
		if alive() {
			w.callback(Callback{Container: k.name, EndControlCall: &EndControlCall{
				Type: typed, Context: c.Control.Context, Status: []Code{0, 1, 3}[w.rnd.IntN(3)],
			}})
		}
	}
	w.in(w.soon(), func() {
		if alive() && w.chance(30) {
			w.callback(Callback{Container: k.name, ExtendControlCall: &ExtendControlCall{
				Type: typed, Context: c.Control.Context, Timeout: time.Duration(w.rnd.IntN(90)) * sec,
			}})
		}
	})
	switch w.rnd.IntN(4) {
	case 0:
		answer(Returned{Output: []byte("x")})
	case 1:
		answer(Returned{Async: true})
		w.in(w.soon(), end)
		w.in(w.soon(), end) // once too often
	case 2:
		end()
		answer(Returned{Async: true})
	default:
		answer(Returned{Async: true}) // and nothing more
	}
}

// kill has init empty the container, some time soon, and start its child again.
func (w *world) kill(c *wContainer) {
	c.killing = true
	w.in(time.Duration(w.rnd.IntN(600))*ms, func() {
		if c.gone || !c.killing {
			return
		}
		w.emptied(c)
		w.send(Event{Emptied: &Emptied{Container: c.name, Nonce: c.nonce()}})
		w.boot(c)
	})
}

// emptied: nothing is left in the container.
func (w *world) emptied(c *wContainer) {
	c.n++
	c.up, c.killing, c.guard = false, false, 0
	c.running, c.left, c.ops, c.pend = map[string]bool{}, map[string]bool{}, map[string]int{}, map[string]int32{}
	c.props, c.won = map[string]string{}, map[string]int64{}
}

// boot starts the provider.
func (w *world) boot(c *wContainer) {
	n := c.n
	w.in(w.soon(), func() {
		if c.n != n || c.up || c.killing {
			return
		}
		c.up, c.gone = true, false
		w.send(Event{ProviderUp: &ProviderUp{Container: c.name, Nonce: c.nonce(), Types: []string{"test"},
			Capabilities: []string{capabilityControl, capabilityTypeControl, capabilityCancel, CapabilityQuorum}}})
		w.guards(c)
	})
}

// guards puts the guard in force, if the group is owned.
func (w *world) guards(c *wContainer) {
	epoch := w.epoch
	w.in(w.soon(), func() {
		if w.granted && w.epoch == epoch && c.up && !c.killing {
			c.guard = epoch
			w.send(Event{Guarded: &Guarded{Container: c.name, Epoch: epoch}})
		}
	})
}

func (w *world) grant(epoch int64) {
	w.granted, w.epoch = true, epoch
	for _, c := range w.conts {
		if c.guard != epoch {
			w.guards(c)
		}
	}
	w.send(Event{Granted: &Granted{Epoch: epoch}})
}

func (w *world) revoke(m RevokeMode) {
	w.granted = false
	w.send(Event{Revoked: &Revoked{Mode: m}})
	if m == Kill {
		for _, c := range w.conts {
			if !c.gone && !c.killing {
				w.kill(c)
			}
		}
	}
}
