// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core

import (
	"cmp"
	"slices"

	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/engine"
)

// maxTypes bounds status.types.
const maxTypes = 32

// seenTypes takes what a group's status says of types. Only owners write it and numbers only
// grow, so the larger number is the newer word: a watch may be behind our own writes.
func (c *Core) seenTypes(seen []v1alpha1.GroupTypeStatus) {
	changed := false
	for _, t := range seen {
		i := slices.IndexFunc(c.types, func(x v1alpha1.GroupTypeStatus) bool { return x.Name == t.Name })
		switch {
		case i < 0:
			c.types = append(c.types, *t.DeepCopy())
		case t.LastSequence > c.types[i].LastSequence:
			c.types[i] = *t.DeepCopy()
		default:
			continue
		}
		changed = true
	}
	if changed {
		c.tellTypes()
	}
}

// storedTypes takes what we wrote ourselves.
func (c *Core) storedTypes(written []v1alpha1.GroupTypeStatus) {
	if asJSON(c.types) == asJSON(written) {
		return
	}
	c.types = written
	c.tellTypes()
}

// shownTypes is what status.types shall be. It may be large, and every step asks: it is
// made anew only when that which it is made of changes.
type shownTypes struct {
	of   string
	list []v1alpha1.GroupTypeStatus
}

// showTypes describes them, if anything changed.
func (c *Core) showTypes() []v1alpha1.GroupTypeStatus {
	type pending struct {
		Type        string
		First, Last int64
	}
	list := make([]pending, 0, len(c.snapshot.Notifications))
	for _, n := range c.snapshot.Notifications {
		if k := len(n.Pending); k > 0 {
			list = append(list, pending{n.TypeName, n.Pending[0].Sequence, n.Pending[k-1].Sequence})
		}
	}
	if of := asJSON([]any{c.typesVersion, list, c.snapshot.Types}); of != c.shown.of {
		c.shown = shownTypes{of: of, list: c.describeTypes()}
	}
	return c.shown.list
}

// tellTypes tells the engine which notifications can be seen by now.
func (c *Core) tellTypes() {
	c.typesVersion++
	c.news = true
	var told engine.Stored
	for _, t := range c.types {
		s := engine.StoredNotifications{TypeName: t.Name, LastSequence: t.LastSequence}
		for _, n := range t.Notifications {
			if n.PodName == c.config.PodName {
				s.Mine = append(s.Mine, engine.StoredNotification{Sequence: n.Sequence, Micros: n.Time.UnixMicro()})
			}
		}
		told.Types = append(told.Types, s)
	}
	c.toEngine(engine.Event{Stored: &told})
}

// describeTypes is what is stored and what is not yet: of each type the latest.
func (c *Core) describeTypes() []v1alpha1.GroupTypeStatus {
	types := make([]v1alpha1.GroupTypeStatus, 0, len(c.types))
	for _, t := range c.types {
		// What else is known of a type is of this owner, below.
		types = append(types, v1alpha1.GroupTypeStatus{
			Name: t.Name, LastSequence: t.LastSequence, Notifications: slices.Clone(t.Notifications),
		})
	}
	at := func(name string) *v1alpha1.GroupTypeStatus {
		i := slices.IndexFunc(types, func(x v1alpha1.GroupTypeStatus) bool { return x.Name == name })
		if i < 0 {
			i = len(types)
			types = append(types, v1alpha1.GroupTypeStatus{Name: name})
		}
		return &types[i]
	}
	pending := map[string]int{}
	for _, n := range c.snapshot.Notifications {
		if len(n.Pending) == 0 {
			continue
		}
		t := at(n.TypeName)
		for _, p := range n.Pending {
			t.LastSequence = p.Sequence
			t.Notifications = append(t.Notifications, v1alpha1.TypeNotification{
				Sequence: p.Sequence, Time: micro(p.Time), PodName: c.config.PodName, Payload: p.Payload,
			})
		}
		t.Notifications = t.Notifications[max(0, len(t.Notifications)-engine.MaxNotifications):]
		pending[t.Name] = len(n.Pending)
	}
	types = slices.DeleteFunc(types, func(t v1alpha1.GroupTypeStatus) bool { return t.LastSequence == 0 })
	for _, t := range c.snapshot.Types {
		known := slices.ContainsFunc(types, func(x v1alpha1.GroupTypeStatus) bool { return x.Name == t.Name })
		if len(t.DumpProcesses) == 0 && t.LastDump == nil && len(t.ControlResults) == 0 ||
			!known && len(types) >= maxTypes {
			continue
		}
		registered := make([]engine.DumpProcess, 0, len(t.DumpProcesses))
		for _, p := range t.DumpProcesses {
			registered = append(registered, p.DumpProcess)
		}
		shown := at(t.Name)
		shown.DumpProcesses, shown.LastDump = dumpsOf(registered, t.LastDump)
		shown.ControlResults = controlResults(t.ControlResults)
	}
	slices.SortFunc(types, func(x, y v1alpha1.GroupTypeStatus) int { return cmp.Compare(x.Name, y.Name) })
	shorten(types, pending)
	return types
}

// shorten leaves out the oldest of those that were stored before, until all types
// together have no more than engine.MaxNotificationBytes. What nobody could see stays,
// and so does the latest of each type, by which a late writer is told apart.
func shorten(types []v1alpha1.GroupTypeStatus, pending map[string]int) {
	total := 0
	for _, t := range types {
		for _, n := range t.Notifications {
			total += len(n.Payload)
		}
	}
	for total > engine.MaxNotificationBytes {
		oldest := -1
		for i, t := range types {
			if len(t.Notifications) > max(1, pending[t.Name]) &&
				(oldest < 0 || t.Notifications[0].Time.Before(&types[oldest].Notifications[0].Time)) {
				oldest = i
			}
		}
		if oldest < 0 {
			return
		}
		t := &types[oldest]
		total -= len(t.Notifications[0].Payload)
		t.Notifications = t.Notifications[1:]
	}
}

// Continues tells whether a document knows all notifications that are stored. One that was
// made before its writer saw the last ones of another owner would hide them, and give their
// numbers to others: it must be made anew.
func Continues(stored, wanted []v1alpha1.GroupTypeStatus) bool {
	for _, s := range stored {
		if s.LastSequence == 0 {
			continue // nothing was raised
		}
		i := slices.IndexFunc(wanted, func(x v1alpha1.GroupTypeStatus) bool { return x.Name == s.Name })
		if i < 0 || wanted[i].LastSequence < s.LastSequence {
			return false
		}
		if len(s.Notifications) == 0 {
			continue
		}
		last := s.Notifications[len(s.Notifications)-1]
		for _, n := range wanted[i].Notifications {
			if n.Sequence == last.Sequence && (n.PodName != last.PodName || !n.Time.Equal(&last.Time)) {
				return false
			}
		}
	}
	return true
}
