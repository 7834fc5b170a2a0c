//go:build e2e

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/understudy-dev/understudy/test/scene"
)

// TestUpgradeMovesNothing upgrades the operator under load and takes the upgrade
// back: each monitor is replaced in its pod, and nobody notices.
func TestUpgradeMovesNothing(t *testing.T) {
	must(t, cluster.LoadOther(t.Context(), "next"))
	namespace := stage(t)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
		defer cancel()
		if err := cluster.Upgrade(ctx, "dev"); err != nil {
			t.Error(err)
		}
	})
	quick, err := cluster.Play(t.Context(), namespace, "quick", 2, scene.Run("hello", "/hello"))
	must(t, err)
	must(t, quick.SetLease(t.Context(), 2))
	q := quickstart(t, namespace)
	must(t, quick.WaitReady(t.Context(), 3*time.Minute))
	must(t, q.Settled(t.Context()))
	redis := ok(q.OwnerContainer(t.Context(), scene.RedisContainer))(t)
	pid := ok(redis.One(scene.Redis))(t)
	for _, tag := range []string{"next", "dev"} {
		groups := []scene.Group{q.Group, quick}
		before := map[string]int64{}
		for _, g := range groups {
			before[g.Name] = ok(g.Owner(t.Context()))(t).Epoch
		}
		mark := ok(q.Mark(t.Context()))(t)
		began := time.Now()
		must(t, cluster.Upgrade(t.Context(), tag))
		for _, g := range groups {
			waitMonitors(t, g, "understudy:"+tag)
		}
		must(t, q.Settled(t.Context()))
		if err := q.Client.MissedNothing(began); err != nil {
			t.Errorf("upgrade to %s: %v", tag, err)
		}
		for _, g := range groups {
			if now := ok(g.Owner(t.Context()))(t); now.Epoch != before[g.Name] {
				say := t.Errorf
				if g.Name == quick.Name {
					// Its lease leaves kubelet 1.2 s to start the next monitor, which is a promise of nobody's.
					say = t.Logf
				}
				say("upgrade to %s: group %s has epoch %d, it had %d: %+v", tag, g.Name, now.Epoch, before[g.Name], now.Timeline)
			}
		}
		if news := mark.News(ok(q.Owner(t.Context()))(t).Timeline); len(news) > 0 {
			t.Errorf("upgrade to %s: the timeline tells of %+v", tag, news)
		}
		if now := ok(redis.One(scene.Redis))(t); now != pid {
			t.Errorf("upgrade to %s: redis is process %d, it was %d", tag, now, pid)
		}
		t.Logf("upgrade to %s took %s", tag, time.Since(began).Round(time.Second))
	}
}

// waitMonitors waits until each host of a group runs the monitor of an image, and
// says that it is ready.
func waitMonitors(t *testing.T, g scene.Group, image string) {
	t.Helper()
	must(t, cluster.Wait(t.Context(), "the monitors of "+g.Name, 3*time.Minute,
		func(ctx context.Context) (bool, string, error) {
			pods, err := g.Pods(ctx)
			if err != nil {
				return false, "", err
			}
			seen := ""
			done := len(pods) > 0
			for _, p := range pods {
				for _, c := range p.Status.InitContainerStatuses {
					if c.Name == monitorContainer {
						runs := c.State.Running != nil && c.Ready && scene.SameImage(c.Image, image)
						done = done && runs
						seen += fmt.Sprintf("%s runs %s: %v; ", p.Name, c.Image, runs)
					}
				}
			}
			return done, seen, nil
		}))
	must(t, g.WaitReady(t.Context(), time.Minute))
}
