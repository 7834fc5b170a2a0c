//go:build e2e

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	"github.com/understudy-dev/understudy/test/scene"
)

// monitorContainer and the programs in it.
const monitorContainer = "understudy-monitor"

var (
	monitorProgram = scene.Program{Command: "monitor"}
	initProgram    = scene.Program{Command: "init"}
)

// TestMonitorKilled kills the owner's monitor five times: nobody notices.
func TestMonitorKilled(t *testing.T) {
	namespace := stage(t)
	neighbour := standNeighbour(t, namespace)
	q := quickstart(t, namespace)
	must(t, q.Settled(t.Context()))
	owner := ok(q.Owner(t.Context()))(t)
	redis := ok(q.OwnerContainer(t.Context(), scene.RedisContainer))(t)
	pid := ok(redis.One(scene.Redis))(t)
	monitor := ok(q.OwnerContainer(t.Context(), monitorContainer))(t)
	mark := ok(q.Mark(t.Context()))(t)
	log := ok(q.FollowLease(t.Context()))(t)
	defer log.Stop()
	began := time.Now()
	for i := range 5 {
		last := ok(log.Last(nil))(t)
		old := ok(monitor.One(monitorProgram))(t)
		must(t, scene.Signal(old, syscall.SIGKILL))
		// The next one shows that it has the group by a renewal under its own name.
		must(t, cluster.Wait(t.Context(), fmt.Sprintf("renewal after kill %d", i+1), 10*time.Second,
			func(context.Context) (bool, string, error) {
				now, err := log.Last(nil)
				return now.Record.Inc != last.Record.Inc && now.Record.HolderUID == owner.PodUID,
					fmt.Sprintf("%+v", now.Record), err
			}))
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("five kills took %s, more than 20 s: none of them was hard to bear", took)
	}
	must(t, q.Client.WaitUp(t.Context(), time.Now(), 30*time.Second))
	if err := q.Client.MissedNothing(began); err != nil {
		t.Error(err)
	}
	if now := ok(redis.One(scene.Redis))(t); now != pid {
		t.Errorf("redis is process %d, it was %d", now, pid)
	}
	after := ok(q.Owner(t.Context()))(t)
	if after.Epoch != owner.Epoch || after.PodUID != owner.PodUID {
		t.Errorf("the owner is %s, epoch %d; it was %s, %d", after.PodName, after.Epoch, owner.PodName, owner.Epoch)
	}
	if news := mark.News(after.Timeline); len(news) > 0 {
		t.Errorf("the timeline tells of %+v", news)
	}
	t.Run("NeighbourUntouched", neighbour.untouched)
}

// heldBack is an owner whose monitor is dead and does not come back until it is let.
type heldBack struct {
	scene.Group
	owner  string
	epoch  int64
	init   int
	log    *scene.LeaseLog
	rivals *scene.Sightings
	old    scene.Container
}

// holdBack kills the owner's monitor and stops its init, so that it is not started
// again.
func holdBack(t *testing.T, name string) *heldBack {
	t.Helper()
	g, err := cluster.Play(t.Context(), stage(t), name, 2, scene.Run("hello", "/hello"))
	must(t, err)
	must(t, g.WaitReady(t.Context(), 3*time.Minute))
	owner := ok(g.Owner(t.Context()))(t)
	h := &heldBack{Group: g, owner: owner.PodName, epoch: owner.Epoch}
	h.log = ok(g.FollowLease(t.Context()))(t)
	t.Cleanup(h.log.Stop)
	h.rivals = scene.Rivals{
		Program: hello, Containers: ok(g.Containers(t.Context(), scene.ActorContainer))(t),
	}.Watch(t.Context())
	h.old = ok(g.OwnerContainer(t.Context(), scene.ActorContainer))(t)
	monitor := ok(g.OwnerContainer(t.Context(), monitorContainer))(t)
	h.init = ok(monitor.One(initProgram))(t)
	must(t, scene.Signal(h.init, syscall.SIGSTOP))
	t.Cleanup(func() { _ = scene.Signal(h.init, syscall.SIGCONT) })
	must(t, scene.Signal(ok(monitor.One(monitorProgram))(t), syscall.SIGKILL))
	return h
}

// letGo lets the monitor come back, and checks what became of it all: the program of
// the old owner ended, another epoch began, and never did two run.
func (h *heldBack) letGo(t *testing.T) {
	t.Helper()
	must(t, scene.Signal(h.init, syscall.SIGCONT))
	must(t, h.Wait(t.Context(), "a new epoch", time.Minute, func(ctx context.Context) (bool, string, error) {
		owner, err := h.Owner(ctx)
		return err == nil && owner.Epoch > h.epoch, fmt.Sprintf("epoch %d", owner.Epoch), err
	}))
	must(t, h.WaitReady(t.Context(), time.Minute))
	owner := ok(h.Owner(t.Context()))(t)
	oneRuns(t, h.Group, hello, owner.PodName)
	seen, err := h.rivals.Stop()
	if err != nil {
		t.Error(err)
	}
	if len(seen) != 2 {
		t.Errorf("processes: %+v; want that of the old owner, and one more", seen)
	}
	t.Logf("owner %s, epoch %d, after %s, %d", owner.PodName, owner.Epoch, h.owner, h.epoch)
}

// TestMonitorComesBackToChangedRecord: another host wrote itself into the record.
func TestMonitorComesBackToChangedRecord(t *testing.T) {
	h := holdBack(t, "changed")
	name, standby, err := h.Standby(t.Context())
	must(t, err)
	as := ok(h.AsMonitor(t.Context(), name))(t)
	lease := ok(h.Lease(t.Context()))(t)
	record := ok(scene.Decode(lease))(t)
	record.Epoch, record.Inc, record.Seq = record.Epoch+1, "written-by-a-test", 1
	record.HolderName, record.HolderUID = name, standby.PodUID
	scene.Encode(record, lease)
	must(t, as.Update(t.Context(), lease))
	h.letGo(t)
	writes := ok(h.log.All())(t)
	for _, w := range writes {
		if w.Record.Epoch > record.Epoch && w.Record.Held() {
			return
		}
	}
	t.Errorf("nobody went beyond the epoch %d that the test wrote: whoever has the group took its word for its own", record.Epoch)
}

// TestMonitorComesBackAfterItsGuard: the guard has ended what ran, and another host
// has the group.
func TestMonitorComesBackAfterItsGuard(t *testing.T) {
	h := holdBack(t, "late")
	name, _, err := h.Standby(t.Context())
	must(t, err)
	must(t, h.Wait(t.Context(), "the standby to take over", time.Minute, func(ctx context.Context) (bool, string, error) {
		owner, err := h.Owner(ctx)
		return err == nil && owner.PodName == name && owner.Epoch > h.epoch, owner.PodName, err
	}))
	if left := ok(h.old.Find(hello))(t); len(left) > 0 {
		t.Errorf("the program still runs on the old owner: %v", left)
	}
	h.letGo(t)
	if epochs := ok(h.log.Epochs())(t); len(epochs) != 2 {
		t.Errorf("the lease was held in epochs %v, want two: the old owner came back as an observer", epochs)
	}
}

// TestMonitorComesBackWithoutItsDisk: it cannot know what it promised.
func TestMonitorComesBackWithoutItsDisk(t *testing.T) {
	h := holdBack(t, "erased")
	pod := ok(h.Pod(t.Context(), h.owner))(t)
	must(t, cluster.Local.EraseVolume(pod, "understudy-state"))
	before := ok(h.log.Last(func(r leasev1.Record) bool { return r.Epoch == h.epoch }))(t)
	h.letGo(t)
	after := ok(h.log.Last(func(r leasev1.Record) bool { return r.Epoch == h.epoch }))(t)
	if after.Record.Inc != before.Record.Inc {
		t.Errorf("epoch %d was taken up again by %s, without what its disk held", h.epoch, after.Record.Inc)
	}
}
