//go:build e2e

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/understudy-dev/understudy/test/scene"
)

// TestNodeReboot: a node loses its power and comes back, first that of the standby,
// then that of the owner.
func TestNodeReboot(t *testing.T) {
	g, err := cluster.Play(t.Context(), stage(t), "rebooted", 2, scene.Run("hello", "/hello"))
	must(t, err)
	if !t.Run("Standby", func(t *testing.T) {
		l := watched(t, g, hello)
		host := ok(g.Pod(t.Context(), l.standby))(t)
		must(t, cluster.Local.Kill(t.Context(), host.Spec.NodeName))
		must(t, cluster.Local.Start(t.Context(), host.Spec.NodeName))
		restarted(t, g, host)
		l.untouched(t)
		l.sameHosts(t)
	}) {
		return
	}
	t.Run("Owner", func(t *testing.T) {
		l := watched(t, g, hello)
		log := ok(g.FollowLease(t.Context()))(t)
		defer log.Stop()
		host := ok(g.Pod(t.Context(), l.owner.PodName))(t)
		must(t, cluster.Local.Kill(t.Context(), l.owner.NodeName))
		entry := ok(l.WaitEntry(t.Context(), l.mark, time.Minute))(t)
		if now := ok(g.Owner(t.Context()))(t); now.PodName != l.standby {
			t.Errorf("while the node is down, the owner is %s, want %s: %s", now.PodName, l.standby, scene.DescribeEntry(entry))
		}
		must(t, cluster.Local.Start(t.Context(), l.owner.NodeName))
		restarted(t, g, host)
		// The containers of the host that came back are others than those that are watched so far.
		again := scene.Rivals{Program: hello, Containers: ok(g.Containers(t.Context(), scene.ActorContainer))(t)}.Watch(t.Context())
		l.interrupted(t, scene.KindFailover, "OwnerSilent")
		if seen, err := again.Stop(); err != nil || len(seen) != 1 || !strings.HasPrefix(seen[0].Container, l.standby+"/") {
			t.Errorf("processes since the node is back: %+v, %v; want that of %s alone", seen, err, l.standby)
		}
		l.sameHosts(t)
		must(t, scene.NotBefore(log, l.owner.Epoch, entry))
		// What it had written before is no claim: whoever took over keeps it.
		writes := ok(log.All())(t)
		i := slices.IndexFunc(writes, func(w scene.LeaseWrite) bool { return w.Record.Epoch > l.owner.Epoch })
		if i < 0 || slices.ContainsFunc(writes[i:], func(w scene.LeaseWrite) bool { return w.Record.HolderUID == l.owner.PodUID }) {
			t.Errorf("the host that came back held the lease again: %+v", writes[max(0, i):])
		}
	})
}

// sameHosts checks that the group has the hosts that it had: those that come back are
// not replaced.
func (l *lead) sameHosts(t *testing.T) {
	t.Helper()
	for _, p := range ok(l.Pods(t.Context()))(t) {
		if p.Name != l.owner.PodName && p.Name != l.standby {
			t.Errorf("there is a new host %s beside %s and %s", p.Name, l.owner.PodName, l.standby)
		}
	}
}

// TestKubeletRestart: the kubelet of the owner's node is killed and comes back. Nothing
// that runs depends on it.
func TestKubeletRestart(t *testing.T) {
	q := quickstart(t, stage(t))
	must(t, q.WaitRight(t.Context(), time.Minute))
	owner, mark := ok(q.Owner(t.Context()))(t), ok(q.Mark(t.Context()))(t)
	redis := ok(q.OwnerContainer(t.Context(), scene.RedisContainer))(t)
	pid := ok(redis.One(scene.Redis))(t)
	containers := ok(q.Pod(t.Context(), owner.PodName))(t).Status.ContainerStatuses
	kubelet := kubeletOf(t, owner.NodeName)
	began := time.Now()
	must(t, scene.Signal(kubelet, syscall.SIGKILL))
	// It takes its time to die, and what lives is not started.
	must(t, cluster.Wait(t.Context(), "the end of kubelet", 30*time.Second,
		func(context.Context) (bool, string, error) { return !scene.Alive(kubelet), "it lives", nil }))
	must(t, cluster.Local.Start(t.Context(), owner.NodeName))
	if now := kubeletOf(t, owner.NodeName); now == kubelet {
		t.Fatalf("kubelet is process %d still: this proves nothing", now)
	}
	must(t, q.WaitRight(t.Context(), time.Minute))
	must(t, q.Client.WaitUp(t.Context(), time.Now(), 30*time.Second))
	if err := q.Client.MissedNothing(began); err != nil {
		t.Error(err)
	}
	if now := ok(redis.One(scene.Redis))(t); now != pid {
		t.Errorf("redis is process %d, it was %d", now, pid)
	}
	after := ok(q.Owner(t.Context()))(t)
	if news := mark.News(after.Timeline); len(news) > 0 || after.Epoch != owner.Epoch || after.PodUID != owner.PodUID {
		t.Errorf("the owner is %s, epoch %d, it was %s, %d; the timeline tells of %+v",
			after.PodName, after.Epoch, owner.PodName, owner.Epoch, news)
	}
	for i, c := range ok(q.Pod(t.Context(), owner.PodName))(t).Status.ContainerStatuses {
		if c.ContainerID != containers[i].ContainerID || c.RestartCount != 0 {
			t.Errorf("the container %s is another: %+v", c.Name, c)
		}
	}
}

// kubeletOf is the process of a node's kubelet.
func kubeletOf(t *testing.T, node string) int {
	t.Helper()
	list := daemonsOf(t, node)
	return list[slices.IndexFunc(list, func(p scene.Process) bool { return p.Command == "kubelet" })].PID
}
