// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
)

var _ = everySame("Callback/RaiseNotification",
	Event{Callback: &Callback{ID: 1, Container: "c", TypeName: "test", RaiseNotification: &RaiseNotification{Payload: []byte("x")}}},
	"Reply(0,0)")

var _ = everywhere("Stored", Event{Stored: &Stored{Types: []StoredNotifications{{TypeName: "test", LastSequence: 7}}}},
	"Initializing:", "Offline:", "OnlinePending:", "Online:", "OfflinePending:", "Failed:")

func (g *rig) raise(typeName string, size int) Code {
	g.t.Helper()
	return g.cb(Callback{Container: "c", TypeName: typeName, RaiseNotification: &RaiseNotification{Payload: make([]byte, size)}}).Code
}

// board is what is known of the notifications of a type.
func (g *rig) board(typeName string) NotificationsSnapshot {
	for _, n := range g.e.Snapshot(g.now).Notifications {
		if n.TypeName == typeName {
			return n
		}
	}
	return NotificationsSnapshot{}
}

func (n NotificationsSnapshot) sequences() (out []int64) {
	for _, p := range n.Pending {
		out = append(out, p.Sequence)
	}
	return out
}

// store tells the engine that these of its own are stored now, and what the last one is.
func (g *rig) store(typeName string, last int64, pending ...Notification) []Action {
	g.t.Helper()
	s := StoredNotifications{TypeName: typeName, LastSequence: last}
	for _, p := range pending {
		s.Mine = append(s.Mine, StoredNotification{p.Sequence, p.Time.Wall / 1000})
	}
	return g.send(Event{Stored: &Stored{Types: []StoredNotifications{s}}})
}

func (g *rig) pending(typeName string, want ...int64) {
	g.t.Helper()
	got := g.board(typeName)
	g.want(slices.Equal(got.sequences(), want), "%v are pending, want %v", got.sequences(), want)
}

// Shows: RaiseResTypeNotification.
func TestNotificationsAreNumberedAndStored(t *testing.T) {
	b := res("b")
	b.TypeName = "other"
	g := online(t, res("a"), b)
	g.want(g.raise("TEST", 3) == CodeSuccess, "raise")
	g.barrierBefore(func(a Action) bool { return a.Reply != nil })
	g.want(slices.ContainsFunc(g.last, func(a Action) bool { return a.Status != nil && a.Status.Group }), "no status")
	g.want(!g.noted(ReasonNotification), "told before anybody can see it")
	g.pass(sec)
	g.raise("test", 0)
	g.raise("other", 1)
	g.pending("test", 1, 2)
	g.pending("other", 1)
	list := g.board("test").Pending
	g.want(list[0].Time.Boot+int64(sec) == list[1].Time.Boot && len(list[0].Payload) == 3, "%+v", list)

	// The first is stored; told once.
	g.store("test", 1, list[0])
	g.want(g.noted(ReasonNotification), "not told")
	g.pending("test", 2)
	g.store("test", 1, list[0])
	g.want(!g.noted(ReasonNotification) && journals(g.last) == 0, "told twice: %+v", g.last)
	g.raise("test", 1)
	g.pending("test", 2, 3)
	g.pending("other", 1)
}

// Shows: RaiseResTypeNotification.
func TestNotificationsAreNotDroppedUnseen(t *testing.T) {
	g := online(t, res("a"))
	for i := range 16 {
		g.want(g.raise("test", 1) == CodeSuccess, "number %d", i)
	}
	for range 3 {
		g.want(g.raise("test", 1) == CodeTypeBusy && journals(g.last) == 0, "the seventeenth")
	}
	list := g.board("test").Pending
	g.want(len(list) == 16 && list[15].Sequence == 16, "%+v", list)
	g.store("test", 16, list...)
	g.pending("test")
	g.want(g.raise("test", 1) == CodeSuccess, "after they were stored")
	g.pending("test", 17)
}

// Shows: RaiseResTypeNotification.
func TestNotificationsAreBounded(t *testing.T) {
	g := online(t, res("a"))
	g.want(g.raise("test", 4096) == CodeSuccess && g.raise("test", 4097) == CodeInvalidParameter, "the payload")
	g.want(g.raise("none", 1) == CodeTypeNotFound && g.cb(Callback{Container: "d", TypeName: "test",
		RaiseNotification: &RaiseNotification{}}).Code == CodeTypeNotFound, "another container's type")

	// 256 KiB of all types together: five of them, 16 each.
	rs := []Resource{}
	for i := range 5 {
		r := res(fmt.Sprint("r", i))
		r.TypeName = fmt.Sprint("t", i)
		rs = append(rs, r)
	}
	g = online(t, rs...)
	for i := range 64 {
		g.want(g.raise(fmt.Sprint("t", i%4), 4096) == CodeSuccess, "number %d", i)
	}
	g.want(g.raise("t4", 0) == CodeSuccess && g.raise("t4", 1) == CodeResourcesLacking, "the bytes")
	g.pending("t4", 1)
	list := g.board("t0").Pending
	g.store("t0", 1, list[0])
	g.want(g.raise("t4", 4096) == CodeSuccess, "there is room again")

	// So many types, and no more.
	g = online(t, res("a"))
	for i := range 32 {
		g.store(fmt.Sprint("t", i), 1)
	}
	g.want(g.raise("test", 1) == CodeResourcesLacking, "the types")
}

// Shows: RaiseResTypeNotification.
func TestNotificationsAreTheOwners(t *testing.T) {
	g := newRig(t)
	g.plan(res("a"))
	g.up("c", "c1")
	g.openAll()
	g.want(g.raise("test", 1) == CodeInvalidState && g.raise("test", 4097) == CodeInvalidParameter, "a standby raises")
	g.grant(1)
	g.want(g.raise("test", 1) == CodeSuccess, "the owner")
	g.revoke(Ordered)
	g.want(g.raise("test", 1) == CodeInvalidState, "one that stops raises")
	g.pending("test", 1)

	// Another owner comes and counts on; when this one is the owner again, it has still to tell.
	g.store("test", 5)
	g.pending("test", 6)
	g.grant(3)
	g.want(g.raise("test", 1) == CodeSuccess, "again the owner")
	g.pending("test", 6, 7)
}

// The numbers that a new owner gave before it knew those of the one before.
// Shows: RaiseResTypeNotification.
func TestNotificationsCollide(t *testing.T) {
	g := online(t, res("a"))
	g.store("test", 16)
	g.raise("test", 1)
	g.raise("test", 2)
	g.pending("test", 17, 18)
	mine := g.board("test").Pending
	g.store("test", 17) // another's
	g.want(journals(g.last) == 1, "the new numbers are not in the journal")
	g.pending("test", 18, 19)
	g.want(len(g.board("test").Pending[0].Payload) == 1, "the order changed")
	// One with the old number, at the time of the own: it is not the own any more.
	g.store("test", 17, mine[0])
	g.pending("test", 18, 19)
	g.store("test", 18, g.board("test").Pending[0])
	g.pending("test", 19)
	g.store("test", 3) // what is seen late
	g.pending("test", 19)
	g.want(g.board("test").LastSequence == 19, "%+v", g.board("test"))
}

// Killed at any moment after the answer, the next life has it stored; once.
// Shows: RaiseResTypeNotification.
func TestNotificationsAreRestored(t *testing.T) {
	old := online(t, res("a"))
	old.cb(Callback{Container: "c", TypeName: "test", RaiseNotification: &RaiseNotification{Payload: []byte("p")}})
	old.raise("test", 2)
	list := old.board("test").Pending
	g := restored(t, old)
	g.want(g.raise("test", 1) == CodeTypeBusy, "while nobody knows who owns it: try again")
	g.pending("test", 1, 2)
	g.want(bytes.Equal(g.board("test").Pending[0].Payload, []byte("p")), "%+v", g.board("test"))
	g.store("test", 1, list[0]) // the old life had it stored and never knew
	g.want(g.noted(ReasonNotification), "not told")
	g.pending("test", 2)
	g.grant(1)
	g.want(g.raise("test", 1) == CodeSuccess, "raise")
	g.pending("test", 2, 3)
}
