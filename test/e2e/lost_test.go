//go:build e2e

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/ptr"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/internal/testprovider/caller"
	"github.com/understudy-dev/understudy/test/scene"
)

// freeze stops the API server until the test ends, or thaw.
func freeze(t *testing.T) (thaw func()) {
	t.Helper()
	let := ok(cluster.Local.Freeze())(t)
	t.Cleanup(func() { // before the stage's
		if err := let(); err != nil {
			t.Error(err)
		}
	})
	return func() { t.Helper(); must(t, let()) }
}

// TestCallbackSurvivesTheMonitor kills the monitor between a callback and its write: the
// API server answers nobody meanwhile. What was said is right within two seconds.
//
// Shows: SetInternalState.
func TestCallbackSurvivesTheMonitor(t *testing.T) {
	g := playCaller(t, 2, nil)
	owner := ok(g.Owner(t.Context()))(t)
	pod := ok(g.Pod(t.Context(), owner.PodName))(t)
	monitor := ok(g.OwnerContainer(t.Context(), monitorContainer))(t)
	provider := ok(g.OwnerContainer(t.Context(), scene.ActorContainer))(t)
	process := scene.Program{Command: "caller"}
	before := ok(provider.One(process))(t)
	request := json.RawMessage(`{"stateType":"APPLICATION_STATE_READY","active":true}`)
	callback(t, g, caller.Ask{Method: "SetInternalState", Request: request, Later: 700, Report: "/tmp/called"})
	thaw := freeze(t)
	// The monitor has answered the callback, and cannot have written it.
	called := filepath.Join(cluster.Local.Volume(pod, "empty-dir", "tmp"), "called")
	must(t, cluster.Wait(t.Context(), "the callback", 10*time.Second, func(context.Context) (bool, string, error) {
		text, err := os.ReadFile(called)
		if errors.Is(err, fs.ErrNotExist) {
			return false, "not made yet", nil
		}
		var answer caller.Answer
		if err == nil {
			err = json.Unmarshal(text, &answer)
		}
		if err == nil && answer.Error != "" {
			err = fmt.Errorf("it was answered %s", text)
		}
		return err == nil, string(text), err
	}))
	old := ok(monitor.One(monitorProgram))(t)
	must(t, scene.Signal(old, syscall.SIGKILL))
	must(t, cluster.Wait(t.Context(), "the next monitor", 10*time.Second, func(context.Context) (bool, string, error) {
		now, err := monitor.Find(monitorProgram)
		return len(now) == 1 && now[0] != old, fmt.Sprint(now), err
	}))
	thaw()
	from := time.Now()
	must(t, cluster.Wait(t.Context(), "the application state", 20*time.Second, func(ctx context.Context) (bool, string, error) {
		r, err := g.Resource(ctx, callerName)
		if err != nil {
			return false, "", err
		}
		c := apimeta.FindStatusCondition(r.Status.Conditions, understudyv1alpha1.ConditionApplicationReady)
		return c != nil && c.Status == "True", fmt.Sprintf("%+v", c), nil
	}))
	if took := time.Since(from); took > 2*time.Second {
		t.Errorf("what was said before the kill was right after %s, want 2 s", took)
	} else {
		t.Logf("right after %s", took)
	}
	after := ok(g.Owner(t.Context()))(t)
	if after.Epoch != owner.Epoch || ok(provider.One(process))(t) != before {
		t.Errorf("epoch %d, it was %d; the provider must be the same process, too", after.Epoch, owner.Epoch)
	}
}

// TestAPIServerAwayForAMinute: a program is killed and comes back, the host stops itself
// when its lease is over, and comes back. All of it is told afterwards, with its times.
func TestAPIServerAwayForAMinute(t *testing.T) {
	g, err := cluster.PlayAs(t.Context(), stage(t), "away", func(s *understudyv1alpha1.ResourceGroupSpec) {
		s.Hosts = ptr.To[int32](1) // with another host it would be that one's to tell
	}, scene.Run("hello", "/hello"))
	must(t, err)
	must(t, g.WaitReady(t.Context(), 3*time.Minute))
	container := ok(g.OwnerContainer(t.Context(), scene.ActorContainer))(t)
	hello := scene.Program{Command: "hello"}
	old := ok(container.One(hello))(t)

	thaw := freeze(t)
	frozen := time.Now()
	must(t, scene.Signal(old, syscall.SIGKILL))
	gone := func(wanted bool) func(context.Context) (bool, string, error) {
		return func(context.Context) (bool, string, error) {
			pids, err := container.Find(hello)
			return (len(pids) == 0) == wanted && !slices.Contains(pids, old), fmt.Sprint(pids), err
		}
	}
	must(t, cluster.Wait(t.Context(), "the program to be back", 10*time.Second, gone(false)))
	must(t, cluster.Wait(t.Context(), "the host to stop itself", 30*time.Second, gone(true)))
	// The minute is what is asked for, not something that is waited for.
	timer := time.NewTimer(time.Until(frozen.Add(time.Minute)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
	thaw()
	thawed := time.Now()
	var told []understudyv1alpha1.ResourceTransition
	must(t, cluster.Wait(t.Context(), "news of the resource", 30*time.Second, func(ctx context.Context) (bool, string, error) {
		r, err := g.Resource(ctx, "hello")
		if err != nil || r.Status.Owner == nil {
			return false, "", err
		}
		told = r.Status.Owner.Transitions
		return r.Status.Owner.StateTime.After(frozen), fmt.Sprintf("%+v", told), nil
	}))
	t.Logf("the first news came %s after the API server", time.Since(thawed))
	if took := time.Since(thawed); took > 5*time.Second {
		t.Errorf("the first news came after %s, want 5 s", took)
	}
	must(t, g.WaitReady(t.Context(), time.Minute))
	told = ok(g.Resource(t.Context(), "hello"))(t).Status.Owner.Transitions
	var states []understudyv1alpha1.ResourceState
	last := frozen.Add(-time.Second)
	for _, one := range told {
		if one.Time.Time.Before(frozen) {
			continue
		}
		if one.Time.Time.Before(last) {
			t.Errorf("%s at %s comes after %s", one.State, one.Time.Time, last)
		}
		last = one.Time.Time
		states = append(states, one.State)
	}
	// In between are the pending states.
	for _, want := range []understudyv1alpha1.ResourceState{
		understudyv1alpha1.StateFailed, understudyv1alpha1.StateOnline, understudyv1alpha1.StateOffline, understudyv1alpha1.StateOnline,
	} {
		i := slices.Index(states, want)
		if i < 0 {
			t.Fatalf("%s is missing, in its place, in what was told: %+v", want, told)
		}
		states = states[i+1:]
	}
	for _, one := range told {
		if one.State == understudyv1alpha1.StateFailed && one.Time.Time.After(thawed) {
			t.Errorf("the failure is told for %s, when the API server was back since %s", one.Time.Time, thawed)
		}
	}
}
