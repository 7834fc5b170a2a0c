// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"time"

	"github.com/understudy-dev/understudy/monitor/instant"
)

// past reports whether d has gone by since t as a holder counts it; if not, the
// machine will look again then.
func (m *Machine) past(t instant.Instant, d time.Duration) bool {
	return m.due(m.now.HolderElapsed(t), d)
}

// waited is past as an observer counts it.
func (m *Machine) waited(t instant.Instant, d time.Duration) bool {
	return m.due(m.now.ObserverElapsed(t), d)
}

func (m *Machine) due(elapsed, d time.Duration) bool {
	if elapsed >= d {
		return true
	}
	// If the clock that counts lags behind the one that the timer runs on, this
	// comes too early, and again: each time with a hundredth of the rest.
	m.lookAt(m.now.Boot + int64(max(d-elapsed, time.Microsecond)))
	return false
}

// lookAt makes the machine look again at that CLOCK_BOOTTIME, if not before.
func (m *Machine) lookAt(at int64) {
	if m.wake == 0 || at < m.wake {
		m.wake = at
	}
}

// arm orders the timer if the next deadline is not the one it is set to.
func (m *Machine) arm() {
	if m.wake != 0 && m.wake != m.armed {
		m.armed = m.wake
		m.do(Action{Arm: &Arm{At: m.wake}})
	}
}

// onTimer: the timer is not set any more, also if it came too early. What is due
// is for drive to see.
func (m *Machine) onTimer(Event) { m.armed = 0 }
