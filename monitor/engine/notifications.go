// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/understudy-dev/understudy/monitor/instant"
)

// The bounds of notifications, ours. What is stored is kept elsewhere: the engine has
// only what nobody could see yet.
const (
	// MaxNotificationPayload bounds one, in bytes.
	MaxNotificationPayload = 4 << 10
	// MaxNotifications bounds those of a type, here and where they are stored.
	MaxNotifications = 16
	// MaxNotificationBytes bounds the payloads of all types together.
	MaxNotificationBytes = 256 << 10
	// MaxNotificationTypes bounds the types that ever raised any.
	MaxNotificationTypes = 32
)

// Notification is one that was raised here and is not known to be stored.
type Notification struct {
	// Sequence counts the notifications of the group and type from 1, across owners.
	Sequence int64           `json:"sequence"`
	Time     instant.Instant `json:"time"`
	Payload  []byte          `json:"payload,omitempty"`
}

// NotificationsSnapshot is what is known of the notifications of one type.
type NotificationsSnapshot struct {
	TypeName string `json:"typeName"`
	// LastSequence is the largest number that was given, here or by an earlier owner.
	LastSequence int64 `json:"lastSequence"`
	// Pending are not known to be stored, oldest first.
	Pending []Notification `json:"pending,omitempty"`
}

// Stored tells what is stored of notifications, where watchers see it. It is fed whenever
// that changes, whoever wrote it, in any phase: a new owner counts on from it.
type Stored struct {
	Types []StoredNotifications `json:"types,omitempty"`
}

// StoredNotifications are those of one type.
type StoredNotifications struct {
	TypeName     string `json:"typeName"`
	LastSequence int64  `json:"lastSequence"`
	// Mine are those that this host raised.
	Mine []StoredNotification `json:"mine,omitempty"`
}

// StoredNotification names one: by its number, which another owner may have given to
// another one, and its time.
type StoredNotification struct {
	Sequence int64 `json:"sequence"`
	// Micros is the wall-clock time in microseconds since 1970.
	Micros int64 `json:"micros"`
}

// notifications are those of one type.
type notifications struct {
	name    string
	last    int64
	pending []Notification
}

// notificationsOf finds those of a type; nil if it never raised any.
func (e *Engine) notificationsOf(name string) *notifications {
	i := slices.IndexFunc(e.notifications, func(n *notifications) bool { return n.name == name })
	if i < 0 {
		return nil
	}
	return e.notifications[i]
}

// addNotifications makes room for those of a type, in the order of names.
func (e *Engine) addNotifications(name string) *notifications {
	n := &notifications{name: name}
	e.notifications = append(e.notifications, n)
	slices.SortFunc(e.notifications, func(x, y *notifications) int { return cmp.Compare(x.name, y.name) })
	return n
}

// maxSequence is the largest number that every reader of JSON reads as it is.
const maxSequence = 1<<53 - 1

// raiseNotification is RaiseResTypeNotification (RA section 1.13). The answer 0 waits for
// the journal: from then on it is the monitor's to have it stored. One that finds the ones
// before it not stored yet is answered with 5909, and 5956 beyond the bounds of all types
// together: nothing is dropped that nobody could see. 5909 also while it is being found out
// whether this host is still the owner; 5023 on any other.
func (e *Engine) raiseNotification(name string, a RaiseNotification) Code {
	switch {
	case len(a.Payload) > MaxNotificationPayload:
		return CodeInvalidParameter
	case e.phase == Undecided:
		return CodeTypeBusy
	case e.phase != Owner:
		return CodeInvalidState
	}
	size := len(a.Payload)
	for _, n := range e.notifications {
		for _, p := range n.pending {
			size += len(p.Payload)
		}
	}
	n := e.notificationsOf(name)
	switch {
	case n != nil && len(n.pending) >= MaxNotifications:
		return CodeTypeBusy
	case n != nil && n.last >= maxSequence:
		return CodeResourcesLacking
	case size > MaxNotificationBytes || n == nil && len(e.notifications) >= MaxNotificationTypes:
		return CodeResourcesLacking
	case n == nil:
		n = e.addNotifications(name)
	}
	n.last++
	n.pending = append(n.pending, Notification{Sequence: n.last, Time: e.now, Payload: bytes.Clone(a.Payload)})
	e.barrier, e.group = true, true
	return CodeSuccess
}

// stored: what is seen by watchers now is pending no more. What is still pending gets new
// numbers if another owner has used up its own.
func (e *Engine) stored(a Stored) {
	for _, t := range a.Types {
		if t.TypeName == "" || t.LastSequence < 0 {
			continue
		}
		n := e.notificationsOf(t.TypeName)
		if n == nil {
			n = e.addNotifications(t.TypeName)
		}
		before := len(n.pending)
		n.pending = slices.DeleteFunc(n.pending, func(p Notification) bool {
			told := slices.Contains(t.Mine, StoredNotification{p.Sequence, p.Time.Wall / 1000})
			if told {
				e.note(LevelInformation, nil, ReasonNotification, fmt.Sprintf(
					"the type %s raised notification %d, of %d bytes", n.name, p.Sequence, len(p.Payload)), true)
			}
			return told
		})
		collides := len(n.pending) > 0 && n.pending[0].Sequence <= t.LastSequence
		if before != len(n.pending) || collides {
			e.journal, e.group = true, true
		}
		if collides {
			n.last = t.LastSequence
			for i := range n.pending {
				n.last++
				n.pending[i].Sequence = n.last
			}
		}
		n.last = max(n.last, t.LastSequence)
	}
}

// notificationsSnapshot is a copy of all of them.
func (e *Engine) notificationsSnapshot() []NotificationsSnapshot {
	out := make([]NotificationsSnapshot, 0, len(e.notifications))
	for _, n := range e.notifications {
		out = append(out, NotificationsSnapshot{TypeName: n.name, LastSequence: n.last, Pending: slices.Clone(n.pending)})
	}
	return out
}

// restoreNotifications takes them from a snapshot.
func (e *Engine) restoreNotifications(list []NotificationsSnapshot) {
	for _, s := range list {
		if s.TypeName == "" || e.notificationsOf(s.TypeName) != nil {
			continue
		}
		n := e.addNotifications(s.TypeName)
		n.last = max(s.LastSequence, 0)
		n.pending = slices.Clone(s.Pending[max(0, len(s.Pending)-MaxNotifications):])
	}
}
