// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
)

const groupDoc = "group"

func (h *host) raise(payload string) engine.Code {
	h.rig.t.Helper()
	return h.callback(engine.Callback{TypeName: "test", RaiseNotification: &engine.RaiseNotification{Payload: []byte(payload)}})
}

// stored is what a person sees of the notifications: number, host and payload.
func (r *rig) stored() string {
	var out []string
	for _, t := range r.status.Types {
		for _, n := range t.Notifications {
			out = append(out, fmt.Sprintf("%d %s %s", n.Sequence, n.PodName, n.Payload))
		}
		out = append(out, fmt.Sprint("last ", t.LastSequence))
	}
	return strings.Join(out, ", ")
}

func (r *rig) storedIs(want string) {
	r.t.Helper()
	if got := r.stored(); got != want {
		r.t.Errorf("stored: %s; want %s", got, want)
	}
}

func told(effects []core.Effect) int {
	return count(effects, func(e core.Effect) bool { return e.Log != nil && e.Log.Reason == "Notification" && e.Log.Event })
}

// Shows: RaiseResTypeNotification.
func TestNotificationsAreStored(t *testing.T) {
	r, a := up(t, "a", "b")
	r.pass(2 * time.Second)
	mark := a.mark()
	if code := a.raise("one"); code != 0 {
		t.Fatal(code)
	}
	r.storedIs("1 a one, last 1") // at once
	if n := r.status.Types[0]; n.Name != "test" || n.Notifications[0].Time.IsZero() || told(a.since(mark)) != 1 {
		t.Errorf("%+v, told %d times", n, told(a.since(mark)))
	}
	// Then at the pace of documents, and without a write more than that.
	a.raise("two")
	a.raise("three")
	r.storedIs("1 a one, last 1")
	r.pass(time.Second)
	r.storedIs("1 a one, 2 a two, 3 a three, last 3")
	r.pass(10 * time.Second)
	if n := count(a.since(mark), isWrite(groupDoc)); n != 2 || told(a.since(mark)) != 3 {
		t.Errorf("%d writes, told %d times", n, told(a.since(mark)))
	}

	// Across owners the numbers grow.
	fail(a)
	r.pass(5 * time.Second)
	b := r.host("b")
	if code := a.raise("late"); code != engine.CodeInvalidState {
		t.Errorf("the old owner is answered %d", code)
	}
	if code := b.raise("four"); code != 0 {
		t.Error(code)
	}
	r.pass(time.Second)
	r.storedIs("1 a one, 2 a two, 3 a three, 4 b four, last 4")
	// And across restarts of the monitor, without its journal, too.
	b.stop()
	b.start()
	r.pass(time.Second)
	b.raise("five")
	r.pass(time.Second)
	r.storedIs("1 a one, 2 a two, 3 a three, 4 b four, 5 b five, last 5")
}

// While sixteen wait to be stored the next has to; nothing is lost, and the ring holds sixteen.
// Shows: RaiseResTypeNotification.
func TestNotificationsWaitForTheStore(t *testing.T) {
	r, a := up(t, "a")
	r.pass(2 * time.Second)
	a.raise("0")
	a.outcome = func(w core.Write) core.WriteOutcome {
		if w.Group != nil {
			return core.WriteFailed
		}
		return ""
	}
	for i := range 16 {
		if code := a.raise(fmt.Sprint(i + 1)); code != 0 {
			t.Fatalf("number %d: %d", i, code)
		}
	}
	for range 3 {
		if code := a.raise("too many"); code != engine.CodeTypeBusy {
			t.Fatalf("answered %d", code)
		}
		r.pass(time.Second)
	}
	r.storedIs("1 a 0, last 1")
	a.outcome = nil
	r.pass(3 * time.Second)
	if code := a.raise("17"); code != 0 {
		t.Error(code)
	}
	r.pass(time.Second)
	n := r.status.Types[0].Notifications
	if len(n) != 16 || n[0].Sequence != 3 || n[15].Sequence != 18 || string(n[15].Payload) != "17" {
		t.Errorf("%s", r.stored())
	}

	// A flood costs a write a second, and each number is seen by who watches.
	mark := a.mark()
	raised := 0
	for range 300 {
		if a.raise("x") == engine.CodeSuccess {
			raised++
		}
		r.pass(10 * time.Millisecond)
	}
	r.pass(2 * time.Second)
	seen := int64(18)
	for _, e := range a.since(mark) {
		if !isWrite(groupDoc)(e) {
			continue
		}
		for _, n := range e.Write.Group.Types[0].Notifications {
			if n.Sequence > seen+1 {
				t.Fatalf("%d was never seen", seen+1)
			}
			seen = max(seen, n.Sequence)
		}
	}
	if seen != int64(18+raised) || raised < 48 || raised > 80 || count(a.since(mark), isWrite(groupDoc)) > 5 {
		t.Errorf("%d raised, %d seen, %d writes", raised, seen-18, count(a.since(mark), isWrite(groupDoc)))
	}
}

// Killed after the answer and before the write, or after the write and before its answer.
// Shows: RaiseResTypeNotification.
func TestNotificationsSurviveTheMonitor(t *testing.T) {
	r, a := up(t, "a")
	r.pass(2 * time.Second)
	a.outcome = func(core.Write) core.WriteOutcome { return core.WriteFailed }
	a.raise("one")
	a.raise("two")
	r.storedIs("")
	a.stop()
	a.outcome = nil
	mark := a.mark()
	a.start()
	r.pass(time.Second)
	r.storedIs("1 a one, 2 a two, last 2")
	if told(a.since(mark)) != 2 {
		t.Errorf("told %d times", told(a.since(mark)))
	}

	r.pass(time.Second)
	a.hold["write"] = true
	a.raise("three")
	r.storedIs("1 a one, 2 a two, 3 a three, last 3")
	a.stop()
	a.hold["write"] = false
	a.start()
	r.pass(2 * time.Second)
	a.raise("four")
	r.pass(2 * time.Second)
	r.storedIs("1 a one, 2 a two, 3 a three, 4 a four, last 4")

	// Stored, and said to have failed.
	r.pass(time.Second)
	a.loseWrites = 2
	mark = a.mark()
	a.raise("five")
	r.pass(5 * time.Second)
	r.storedIs("1 a one, 2 a two, 3 a three, 4 a four, 5 a five, last 5")
	if told(a.since(mark)) != 1 {
		t.Errorf("told %d times", told(a.since(mark)))
	}
}

// Dumps of a type stand beside its notifications, and are the owner's alone.
// Shows: ChangeResTypeProcessForDumps.
func TestDumpsOfATypeAreTold(t *testing.T) {
	r, a := up(t, "a", "b")
	r.pass(2 * time.Second)
	register := func(add bool) {
		t.Helper()
		if code := a.callback(engine.Callback{
			TypeName: "test", ChangeProcessForDumps: &engine.ChangeProcessForDumps{Name: "db", PID: 7, Add: add},
		}); code != 0 {
			t.Fatal(code)
		}
		r.pass(2 * time.Second)
	}
	register(true)
	if n := r.status.Types; len(n) != 1 || n[0].Name != "test" || len(n[0].DumpProcesses) != 1 || *n[0].DumpProcesses[0].ProcessID != 7 {
		t.Errorf("%+v", n)
	}
	register(false)
	if n := r.status.Types; len(n) != 0 {
		t.Errorf("%+v", n)
	}
	register(true)
	a.raise("one")
	r.pass(time.Second)
	if n := r.status.Types; len(n) != 1 || len(n[0].DumpProcesses) != 1 || n[0].LastSequence != 1 {
		t.Errorf("%+v", n)
	}
	fail(a)
	r.pass(5 * time.Second)
	if n := r.status.Types; r.status.Owner.PodName != "b" || len(n) != 1 || n[0].DumpProcesses != nil || n[0].LastSequence != 1 {
		t.Errorf("%+v", n)
	}
}

// The watch of the group may be behind what was written.
func TestNotificationsBeforeTheWatch(t *testing.T) {
	r, a := up(t, "a")
	r.pass(2 * time.Second)
	mark := a.mark()
	a.hold["group"] = true
	for i := range 40 {
		if code := a.raise(fmt.Sprint(i)); code != 0 {
			t.Fatalf("number %d: %d", i, code)
		}
		r.pass(time.Second)
	}
	if l := r.status.Types[0]; l.LastSequence != 40 || len(l.Notifications) != 16 || l.Notifications[0].Sequence != 25 ||
		told(a.since(mark)) != 40 {
		t.Errorf("%s, told %d times", r.stored(), told(a.since(mark)))
	}
}

// The owner before had one more stored, and the new one does not know yet.
// Shows: RaiseResTypeNotification.
func TestNotificationsOfTwoOwners(t *testing.T) {
	r, a := up(t, "a", "b")
	r.pass(2 * time.Second)
	a.raise("one")
	fail(a)
	r.pass(5 * time.Second)
	b := r.host("b")
	late := *r.status.Types[0].DeepCopy()
	late.LastSequence = 2
	late.Notifications = append(late.Notifications, v1alpha1.TypeNotification{
		Sequence: 2, Time: metav1.NowMicro(), PodName: "a", Payload: []byte("two"),
	})
	r.status.Types = []v1alpha1.GroupTypeStatus{late} // b has not heard of it
	if code := b.raise("three"); code != 0 {
		t.Fatal(code)
	}
	r.pass(2 * time.Second)
	r.storedIs("1 a one, 2 a two, 3 b three, last 3")
	if code := b.raise("four"); code != 0 {
		t.Fatal(code)
	}
	r.pass(2 * time.Second)
	r.storedIs("1 a one, 2 a two, 3 b three, 4 b four, last 4")
}

// What a host raised and could not have stored before another took over, it tells when it
// is the owner again.
func TestNotificationsOfAnOwnerWhoLost(t *testing.T) {
	r, a := up(t, "a", "b")
	r.pass(2 * time.Second)
	a.outcome = func(w core.Write) core.WriteOutcome {
		if w.Group != nil {
			return core.WriteFailed
		}
		return ""
	}
	a.raise("one")
	fail(a)
	r.pass(5 * time.Second)
	b := r.host("b")
	b.raise("two")
	r.pass(2 * time.Second)
	r.storedIs("1 b two, last 1")
	a.outcome = nil
	fail(b)
	r.pass(5 * time.Second)
	if r.status.Owner.PodName != "a" {
		t.Fatal("no failover back")
	}
	r.storedIs("1 b two, 2 a one, last 2")
}

// types puts resources of so many more types into the plan.
func (r *rig) types(n int) {
	r.plan.Resources = slices.Clone(r.plan.Resources)
	for i := range n {
		one := r.plan.Resources[0]
		one.UID, one.Name, one.Type = fmt.Sprint("x", i), fmt.Sprint("x", i), fmt.Sprint("t", i)
		r.plan.Resources = append(r.plan.Resources, one)
	}
	r.status.PlanRevision = "p2"
	r.tell()
	r.run()
}

// However large they are, all types together stay within what the object may hold, and
// nothing goes that nobody saw.
func TestManyLargeNotifications(t *testing.T) {
	r, a := up(t, "a")
	r.types(5)
	large := strings.Repeat("x", engine.MaxNotificationPayload)
	for range 20 {
		for i := range 5 {
			code := a.callback(engine.Callback{
				TypeName: fmt.Sprint("t", i), RaiseNotification: &engine.RaiseNotification{Payload: []byte(large)},
			})
			if code != 0 {
				t.Fatal(code)
			}
		}
		r.pass(1100 * time.Millisecond)
	}
	total := 0
	for _, one := range r.status.Types {
		if one.LastSequence != 20 || len(one.Notifications) == 0 || one.Notifications[len(one.Notifications)-1].Sequence != 20 {
			t.Errorf("%s: last %d, %d there", one.Name, one.LastSequence, len(one.Notifications))
		}
		for _, n := range one.Notifications {
			total += len(n.Payload)
		}
	}
	if total > engine.MaxNotificationBytes || total < engine.MaxNotificationBytes*3/4 {
		t.Errorf("%d bytes", total)
	}
}

// What waits for the API server is written as a whole, whatever it takes.
func TestLargeNotificationsThatWait(t *testing.T) {
	r, a := up(t, "a")
	r.types(5)
	large := strings.Repeat("x", engine.MaxNotificationPayload)
	raise := func(i int) {
		t.Helper()
		if code := a.callback(engine.Callback{
			TypeName: fmt.Sprint("t", i), RaiseNotification: &engine.RaiseNotification{Payload: []byte(large)},
		}); code != 0 {
			t.Fatal(code)
		}
	}
	for range 16 {
		raise(4)
	}
	r.pass(2 * time.Second)
	a.outcome = func(core.Write) core.WriteOutcome { return core.WriteFailed }
	for i := range 64 {
		raise(i % 4)
	}
	a.outcome = nil
	mark := a.mark()
	r.pass(5 * time.Second)
	for _, e := range a.since(mark) {
		if !isWrite(groupDoc)(e) {
			continue
		}
		for i, want := range []int{16, 16, 16, 16, 1} {
			if got := e.Write.Group.Types[i]; len(got.Notifications) != want || got.LastSequence != 16 {
				t.Errorf("%s: %d", got.Name, len(got.Notifications))
			}
		}
		return // from the next one on the oldest may go
	}
	t.Error("nothing was written")
}

func TestContinues(t *testing.T) {
	at := func(sequence int64, pod string) v1alpha1.TypeNotification {
		return v1alpha1.TypeNotification{Sequence: sequence, PodName: pod, Time: metav1.NewMicroTime(time.UnixMicro(sequence))}
	}
	list := func(name string, last int64, n ...v1alpha1.TypeNotification) []v1alpha1.GroupTypeStatus {
		return []v1alpha1.GroupTypeStatus{{Name: name, LastSequence: last, Notifications: n}}
	}
	stored := list("t", 2, at(1, "a"), at(2, "a"))
	for name, c := range map[string]struct {
		wanted []v1alpha1.GroupTypeStatus
		want   bool
	}{
		"the same":             {stored, true},
		"one more":             {list("t", 3, at(2, "a"), at(3, "b")), true},
		"none of before":       {list("t", 3, at(3, "b")), true},
		"nothing":              {nil, false},
		"another type":         {list("u", 9), false},
		"less":                 {list("t", 1, at(1, "a")), false},
		"the number of others": {list("t", 2, at(1, "a"), at(2, "b")), false},
		"and more":             {list("t", 3, at(2, "b"), at(3, "b")), false},
	} {
		if got := core.Continues(stored, c.wanted); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
	if !core.Continues(nil, stored) || !core.Continues(list("t", 0), nil) {
		t.Error("nothing stored")
	}
}
