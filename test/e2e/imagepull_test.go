//go:build e2e

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/util/retry"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/test/scene"
)

// missingImage cannot be pulled: nobody listens there.
const missingImage = "127.0.0.1:1/missing:1"

// unpulled is what is said of one host whose image is missing, at a try or between two.
var unpulled = regexp.MustCompile(`container ` + scene.ActorContainer + `: (ErrImagePull|ImagePullBackOff): [^:]*"` + missingImage + `"`)

// TestImagePullFailure: an image that cannot be had costs a standby at most.
func TestImagePullFailure(t *testing.T) {
	// The template of a group that runs is changed to one.
	t.Run("Changed", func(t *testing.T) {
		t.Parallel()
		g, err := cluster.Play(t.Context(), stage(t), "changed", 2, scene.Run("hello", "/hello"))
		must(t, err)
		l := watched(t, g, hello)
		good := changeImage(t, g, missingImage)
		waitUnpulled(t, g, 1)
		now := ok(g.Owner(t.Context()))(t)
		if news := l.mark.News(now.Timeline); len(news) > 0 || now.Epoch != l.owner.Epoch || now.PodUID != l.owner.PodUID {
			t.Errorf("the owner is %s, epoch %d, it was %s, %d; the timeline tells of %+v",
				now.PodName, now.Epoch, l.owner.PodName, l.owner.Epoch, news)
		}
		must(t, g.WaitServed(t.Context(), time.Minute))
		if pid := ok(ok(g.OwnerContainer(t.Context(), scene.ActorContainer))(t).One(hello))(t); pid != l.pid {
			t.Errorf("the program is process %d, it was %d", pid, l.pid)
		}

		// Mended, and changed otherwise, so that the owner's host is of an old template, too.
		changeTemplate(t, g, func(s *corev1.PodSpec) {
			s.Containers[0].Image = good
			s.Containers[0].Env = []corev1.EnvVar{{Name: "MENDED", Value: "true"}}
		})
		entry := ok(l.WaitEntry(t.Context(), l.mark, 2*time.Minute))(t)
		must(t, l.WaitRight(t.Context(), 2*time.Minute))
		if entry.Kind != scene.KindMove || entry.FromPodName != l.owner.PodName || entry.OfflineTime == nil {
			t.Errorf("%s, offline %v; want one move from %s, proven offline", scene.DescribeEntry(entry), entry.OfflineTime, l.owner.PodName)
		}
		for _, p := range ok(g.Pods(t.Context()))(t) {
			if c := p.Spec.Containers[0]; c.Image != good || len(c.Env) == 0 || c.Env[0].Name != "MENDED" {
				t.Errorf("the host %s is of another template: %+v", p.Name, c)
			}
		}
		if seen, err := l.rivals.Stop(); err != nil || len(seen) != 1 || seen[0].PID != l.pid {
			t.Errorf("processes of the first hosts: %+v, %v; want %d alone", seen, err, l.pid)
		}
		oneRuns(t, g, hello, entry.ToPodName)
	})
	// A new group begins with one.
	t.Run("FromTheStart", func(t *testing.T) {
		t.Parallel()
		g, err := cluster.PlayAs(t.Context(), stage(t), "new", func(s *understudyv1alpha1.ResourceGroupSpec) {
			s.Template.Spec.Containers[0].Image = missingImage
		}, scene.Run("hello", "/hello"))
		must(t, err)
		waitUnpulled(t, g, 2)
		o := ok(g.Get(t.Context()))(t)
		if !apimeta.IsStatusConditionTrue(o.Status.Conditions, understudyv1alpha1.ConditionAccepted) || o.Status.Owner != nil {
			t.Errorf("%s; want it accepted, and that nobody has it", scene.Describe(o, nil))
		}
		changeImage(t, g, "demo-programs:dev")
		l := watched(t, g, hello)
		l.untouched(t)
		if timeline := ok(g.Owner(t.Context()))(t).Timeline; len(timeline) != 1 || timeline[0].Kind != scene.KindStart {
			t.Errorf("the timeline tells of %+v, want the start alone", timeline)
		}
	})
}

// changeImage gives the containers of a group another image, and returns the one before.
func changeImage(t *testing.T, g scene.Group, image string) (before string) {
	t.Helper()
	changeTemplate(t, g, func(s *corev1.PodSpec) { before, s.Containers[0].Image = s.Containers[0].Image, image })
	return before
}

// changeTemplate changes the template of a group.
func changeTemplate(t *testing.T, g scene.Group, change func(*corev1.PodSpec)) {
	t.Helper()
	must(t, retry.RetryOnConflict(retry.DefaultRetry, func() error {
		o, err := g.Get(t.Context())
		if err != nil {
			return err
		}
		change(&o.Spec.Template.Spec)
		return g.Client.Update(t.Context(), o)
	}))
}

// waitUnpulled waits until HostsReady tells of so many hosts, and of no other, that the
// image of their container cannot be pulled.
func waitUnpulled(t *testing.T, g scene.Group, hosts int) {
	t.Helper()
	must(t, cluster.Wait(t.Context(), "the image that is missing in HostsReady", time.Minute,
		func(ctx context.Context) (bool, string, error) {
			o, err := g.Get(ctx)
			if err != nil {
				return false, "", err
			}
			c := apimeta.FindStatusCondition(o.Status.Conditions, understudyv1alpha1.ConditionHostsReady)
			if c == nil {
				return false, "no condition", nil
			}
			return c.Status == "False" && c.Reason == understudyv1alpha1.ReasonHostsMissing &&
				len(unpulled.FindAllString(c.Message, -1)) == hosts &&
				strings.HasPrefix(c.Message, fmt.Sprintf("%d of 2 hosts are ready; ", 2-hosts)), c.Message, nil
		}))
}
