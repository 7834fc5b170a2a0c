// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"slices"
	"time"
)

// killRetry is how often Restart is repeated while no proof comes.
const killRetry = time.Second

// container is one supervised container: an init, and a provider under it.
type container struct {
	name  string
	nonce string
	// up: the provider accepts calls.
	up    bool
	types []string
	// capabilities of the provider, by name.
	capabilities []string
	// guard is the epoch for which a guard is in force.
	guard int64
	// dirty: something was started, or found running, since it was last empty.
	dirty bool
	// killing is why all in it is to be killed, until the proof; the next
	// Restart is due at killBy.
	killing    Reason
	killBy     int64
	stopFailed bool
	// gone: the init's socket closed; it is proven empty at proofAt.
	gone    bool
	proofAt int64
}

func (c *container) callable() bool { return c.up && c.killing == "" }

// can: the provider serves an optional part of the protocol.
func (c *container) can(capability string) bool { return slices.Contains(c.capabilities, capability) }

// container returns the container of that name; it makes one if there is none.
func (e *Engine) container(name string) *container {
	i, ok := slices.BinarySearchFunc(e.containers, name, func(c *container, n string) int {
		switch {
		case c.name < n:
			return -1
		case c.name > n:
			return 1
		}
		return 0
	})
	if !ok {
		e.containers = slices.Insert(e.containers, i, &container{name: name})
	}
	return e.containers[i]
}

func (e *Engine) providerUp(p ProviderUp) {
	c := e.container(p.Container)
	if c.killing != "" && p.Nonce == c.nonce {
		return // the process that is being killed: its end is what we wait for
	}
	if c.nonce != "" && p.Nonce != c.nonce {
		e.emptied(c, p.Nonce)
	}
	c.nonce, c.types, c.capabilities = p.Nonce, p.Types, p.Capabilities
	c.gone, c.proofAt = false, 0
	if c.up {
		return
	}
	c.up = true
	e.journal, e.again = true, true
	for _, r := range e.resources {
		if r.c == c {
			r.openAt, r.openBackoff = 0, 0
		}
	}
}

func (e *Engine) providerDown(p ProviderDown) {
	c := e.container(p.Container)
	if c.killing != "" || c.gone || (!c.up && !e.runsIn(c)) {
		return // being dealt with, or not begun yet
	}
	e.note(LevelWarning, nil, ReasonProviderLost,
		fmt.Sprintf("the provider of container %s is lost: %s", c.name, p.Reason), true)
	// The process may hang rather than be dead; init knows by the nonce.
	e.restart(c, ReasonProviderLost, nil)
}

// restart has init kill all in the container. Its resources are lost at once;
// that they are gone is proven by Emptied.
func (e *Engine) restart(c *container, why Reason, culprit *resource) {
	if c.killing != "" || c.gone {
		return
	}
	wait, bound := e.phase != Stopping && e.dumpingIn(c), e.cfg.KillBound
	if wait {
		bound += dumpWait
	}
	c.killing, c.killBy = why, e.after(bound)
	e.out = append(e.out, Action{Restart: &Restart{Container: c.name, Nonce: c.nonce, Reason: why, AfterDump: wait}})
	e.lose(c, why, culprit)
}

// lose: nothing in the container can be called any more. What was up failed;
// what was being stopped waits for the proof.
func (e *Engine) lose(c *container, why Reason, culprit *resource) {
	c.up = false
	e.dropAll(c)
	e.loseControls(c, "the provider was lost while it ran")
	e.journal, e.again = true, true
	for _, r := range slices.Clone(e.resources) {
		if r.c != c {
			continue
		}
		r.opened, r.confirm, r.reported, r.dumps.asked = false, false, nil, nil
		r.defended, r.lostEarly = false, false
		r.op, r.term, r.setting = nil, nil, nil
		r.terminating, r.overlap, r.stopBy, r.kill, r.pendingBy = false, false, 0, false, 0
		r.resetHealth()
		e.forgetNodeLocal(r)
		e.touch(r, false)
		f := failure{reason: ReasonProviderLost, code: CodeProviderFailed, verified: true,
			message: "the provider process was lost"}
		switch {
		case r == culprit:
			f = failure{reason: why, code: CodeCallTimedOut, verified: true, message: "a call did not return in time"}
		case why == ReasonContainerLost:
			f.reason, f.message = why, "the container was lost"
		}
		switch {
		case r.up():
			e.fail(r, f)
		case r.state == OfflinePending && r == culprit:
			f.reason = ReasonForcedOffline
			e.forced(r, f)
		}
	}
}

// runsIn: something may be running in the container.
func (e *Engine) runsIn(c *container) bool {
	return slices.ContainsFunc(e.resources, func(r *resource) bool { return r.c == c && r.run })
}

func (e *Engine) emptiedEvent(p Emptied) {
	c := e.container(p.Container)
	if p.Nonce != "" && p.Nonce == c.nonce {
		return // a repetition
	}
	e.emptied(c, p.Nonce)
}

// emptied: init has proven that nothing but itself is left in the container.
func (e *Engine) emptied(c *container, nonce string) {
	e.lose(c, ReasonProviderLost, nil)
	e.forgetDumpProcesses(c)
	c.nonce, c.guard, c.dirty = nonce, 0, false
	c.killing, c.killBy, c.stopFailed = "", 0, false
	c.gone, c.proofAt = false, 0
	e.group = true
	for _, r := range e.resources {
		if r.c == c {
			// What was found running without being brought online may not be of this container:
			// it is for the next Open to say.
			found := r.unexpected && !r.removed
			e.stopped(r)
			r.unexpected = found
		}
	}
}

// initGone: PID 1 of the container's PID namespace ended, and the kernel kills
// the rest of the namespace with it. Kubelet restarts the container, which may
// take its back-off of up to minutes: a reason to fail over at once.
func (e *Engine) initGone(name string) {
	c := e.container(name)
	if c.gone {
		return
	}
	e.note(LevelError, nil, ReasonContainerLost, "container "+name+" is lost", true)
	c.gone, c.proofAt, c.guard = true, e.after(e.cfg.KillBound), 0
	c.killing, c.killBy, c.stopFailed = "", 0, false
	e.lose(c, ReasonContainerLost, nil)
}

func (e *Engine) guarded(g Guarded) {
	c := e.container(g.Container)
	if c.guard != g.Epoch {
		c.guard = g.Epoch
		e.journal, e.again = true, true
	}
}

// dueContainers: proofs by time, and kills that nobody answered.
func (e *Engine) dueContainers() {
	for _, c := range e.containers {
		if c.proofAt < 0 {
			c.proofAt = e.after(e.cfg.KillBound) // restored
		}
		if c.gone && c.proofAt != 0 && c.proofAt <= e.now.Boot {
			e.emptied(c, c.nonce)
			c.gone = true // still: it is for ProviderUp to say that it is back
		}
		if c.killing != "" && c.killBy <= e.now.Boot {
			if !c.stopFailed && c.killBy != 0 { // 0: restored, so this is the first time
				c.stopFailed, e.group, e.journal, e.again = true, true, true, true
				e.note(LevelSevere, nil, ReasonStopFailed, fmt.Sprintf(
					"container %s was to be emptied (%s), and init has not proven it within %s: nothing may start elsewhere",
					c.name, c.killing, e.cfg.KillBound), true)
			}
			if c.killBy == 0 {
				c.killBy = e.after(e.cfg.KillBound)
			} else {
				c.killBy = e.after(killRetry)
			}
			e.out = append(e.out, Action{Restart: &Restart{Container: c.name, Nonce: c.nonce, Reason: c.killing}})
		}
	}
}
