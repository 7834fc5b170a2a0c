// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"bytes"
	"encoding/json"
	"time"
)

// The bounds of node-local properties, ours: bytes of JSON, names at the top, and how
// deep values nest. nodeLocalPace is how often changes reach the journal at most: what is
// said within it before a kill of the monitor is lost until it is said again.
const (
	maxNodeLocal      = 16 << 10
	maxNodeLocalNames = 64
	maxNodeLocalDepth = 16
	nodeLocalPace     = 100 * time.Millisecond
)

// nodeLocal are the properties that a resource published on its owner. They live in
// memory, and in the journal for a restart of the monitor alone.
type nodeLocal struct {
	local json.RawMessage // an object, sorted; nil: none
	// localSaved is when the journal was last asked for, and localDue when it is to be
	// asked next; 0: nothing is to be saved.
	localSaved, localDue int64
}

// setNodeLocalProperties is SetResourceInMemoryNodeLocalProperties (RA section 1.11). What
// is given is merged by name into what is there, null removes a name. Beyond the bounds
// nothing changes (87). Only the owner keeps them (5023 else), in any state of a resource
// that is opened; a stop in order may tell how far it is.
func (e *Engine) setNodeLocalProperties(r *resource, s SetNodeLocalProperties) Code {
	if e.phase == Observer || !r.opened && !r.recoverable() {
		return CodeInvalidState
	}
	merged, ok := merge(r.local, s.Properties)
	switch {
	case !ok:
		return CodeInvalidParameter
	case bytes.Equal(merged, r.local):
		return CodeSuccess
	}
	r.local = merged
	e.touch(r, false)
	if r.localDue == 0 {
		r.localDue = max(add(r.localSaved, nodeLocalPace), e.now.Boot)
	}
	return CodeSuccess
}

// merge is the sum of two objects; false if it is none, or beyond the bounds. nil is empty.
func merge(old, with json.RawMessage) (json.RawMessage, bool) {
	sum, more := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	if len(old) > 0 && json.Unmarshal(old, &sum) != nil {
		return nil, false
	}
	if len(with) > 0 && json.Unmarshal(with, &more) != nil {
		return nil, false
	}
	for name, value := range more {
		switch {
		case name == "" || depth(value) > maxNodeLocalDepth:
			return nil, false
		case string(value) == "null":
			delete(sum, name)
		default:
			sum[name] = value
		}
	}
	if len(sum) == 0 {
		return nil, true
	}
	text, err := json.Marshal(sum)
	return text, err == nil && len(text) <= maxNodeLocal && len(sum) <= maxNodeLocalNames
}

// depth is how deep lists and objects nest in a JSON text.
func depth(text []byte) int {
	now, deepest, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			now++
			deepest = max(deepest, now)
		case c == ']' || c == '}':
			now--
		}
	}
	return deepest
}

// forgetNodeLocal: the owner, or the provider process, is another, or it is closed.
func (e *Engine) forgetNodeLocal(r *resource) {
	if r.local != nil {
		e.touch(r, true)
	}
	r.nodeLocal = nodeLocal{}
}

// saveNodeLocal has the journal told, when that is due.
func (e *Engine) saveNodeLocal(r *resource) {
	if r.localDue != 0 && r.localDue <= e.now.Boot {
		r.localSaved, r.localDue, e.journal = e.now.Boot, 0, true
	}
}

// restoreNodeLocal takes them from a snapshot.
func (r *resource) restoreNodeLocal(text json.RawMessage) {
	if merged, ok := merge(nil, text); ok {
		r.local = merged
	}
}
