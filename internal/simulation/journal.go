// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"encoding/json"
	"time"

	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/ownership"
)

// journal is what a monitor has yet to make durable, as the store of monitor.Run does it:
// the newest state counts; one that nobody waits for is taken every 20 ms.
type journal struct {
	data    *saved
	ids     []int64
	version int
	busy    bool
	unsaid  bool // the core has changed since the last state
}

const (
	journalPace  = 20 * time.Millisecond
	journalAgain = time.Second
)

// saved is a state as it is on the volume. It becomes JSON when it is read, which is rare.
type saved struct{ state core.State }

func (m *monitor) state() *saved {
	m.world().Coverage.Journals++
	return &saved{m.core.State(m.host.node.read())}
}

// load reads it back.
func (s *saved) load() *core.State {
	state := &core.State{}
	decode(encode(s.state), state)
	return state
}

// encode and decode are for plain data, which has no errors.
func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

func decode(data []byte, into any) {
	if err := json.Unmarshal(data, into); err != nil {
		panic(err)
	}
}

// store makes the state durable; with a barrier, before anything else is done.
func (m *monitor) store(e core.Journal) {
	h, w, j := m.host, m.world(), &m.journal
	if j.unsaid = e.ID == 0 && !e.Barrier && j.busy; j.unsaid {
		return
	}
	data := m.state()
	j.version++
	if !e.Barrier {
		j.data = data
		if e.ID != 0 {
			j.ids = append(j.ids, e.ID)
		}
		m.flush()
		return
	}
	m.blocked = true
	h.node.after(w.pick(w.style.local), func() {
		if m.dead {
			return
		}
		m.blocked = false
		if w.now < h.diskFull {
			w.Coverage.DiskFailed++
			m.unstored = true
			if !core.Answerable(m.effects) {
				h.restartMonitor(10 * time.Millisecond) // the loop ends with the error
				return
			}
		} else {
			h.journal, j.data = data, nil
		}
		m.run()
	})
}

// flush stores what is newest, soon.
func (m *monitor) flush() {
	h, w, j := m.host, m.world(), &m.journal
	if j.busy {
		return
	}
	j.busy = true
	h.node.after(w.pick(w.style.local), func() {
		if m.dead {
			return
		}
		full := w.now < h.diskFull
		if j.data != nil && !full {
			h.journal, j.data = j.data, nil
		}
		ids := j.ids
		j.ids = nil // an answer may bring new ones
		for _, id := range ids {
			p := &ownership.Persisted{ID: id}
			if full {
				p.Error = "no space left on device"
			}
			m.post(core.Input{Persisted: p})
		}
		pause := journalPace
		if full {
			pause = journalAgain
		}
		h.node.after(pause, func() {
			if m.dead {
				return
			}
			j.busy = false
			switch {
			case j.unsaid:
				m.store(core.Journal{})
			case j.data != nil || len(j.ids) > 0:
				m.flush()
			}
		})
	})
}

// unbegun answers what was to wait for a journal that cannot be stored.
func (m *monitor) unbegun(e core.Effect) bool {
	reply, returned := e.Unstored()
	switch {
	case reply != nil:
		m.reply(*reply)
	case returned != nil:
		m.execute(core.Input{Returned: returned})
	}
	return reply != nil || returned != nil
}
