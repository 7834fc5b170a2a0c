//go:build e2e

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/test/scene"
)

// minimalResource is the resource of this test, minimalCode the control code of its type.
const (
	minimalResource = "entry"
	minimalCode     = "PING"
)

// TestMinimalProvider: a provider of somebody else's, without the SDK, is brought online,
// called and moved like the built-in one. Its control code ends later than it returns.
func TestMinimalProvider(t *testing.T) {
	kind := minimalType(t, understudyv1alpha1.ProviderSource{
		Inject: &understudyv1alpha1.InjectedProvider{Command: []string{"/provider-minimal"}},
	})
	g, err := cluster.Play(t.Context(), stage(t), "minimal", 2,
		scene.Actor{Name: minimalResource, Type: kind, Properties: map[string]any{}})
	must(t, err)
	must(t, g.WaitReady(t.Context(), 3*time.Minute))
	owner := ok(g.Owner(t.Context()))(t)
	standby, _, err := g.Standby(t.Context())
	must(t, err)
	callMinimal(t, g, owner.PodName)

	before := ok(g.Mark(t.Context()))(t)
	move := ok(g.Call(t.Context(), understudyv1alpha1.ControlCallSpec{Code: understudyv1alpha1.CodeMove}, time.Minute))(t)
	mustSucceed(t, move)
	moved, err := g.WaitEntry(t.Context(), before, time.Minute)
	must(t, err)
	if moved.Kind != scene.KindMove || moved.FromPodName != owner.PodName || moved.ToPodName != standby || moved.OfflineTime == nil {
		t.Errorf("%s, offline %v; want a move from %s, proven offline, to %s",
			scene.DescribeEntry(moved), moved.OfflineTime, owner.PodName, standby)
	}
	must(t, g.WaitReady(t.Context(), 2*time.Minute))
	after := ok(g.Resource(t.Context(), minimalResource))(t).Status.Owner
	if after.State != understudyv1alpha1.StateOnline || after.PodName != standby || after.Epoch <= owner.Epoch {
		t.Errorf("%s is %s on %s, epoch %d; want it Online on %s, with a larger epoch than %d",
			minimalResource, after.State, after.PodName, after.Epoch, standby, owner.Epoch)
	}
	callMinimal(t, g, standby)
}

// minimalType creates the type for as long as a test runs, with a provider from
// wherever, and returns its name.
func minimalType(t *testing.T, from understudyv1alpha1.ProviderSource) string {
	t.Helper()
	kind := &understudyv1alpha1.ResourceType{
		ObjectMeta: metav1.ObjectMeta{Name: "minimal"},
		Spec: understudyv1alpha1.ResourceTypeSpec{
			Description: "An entry in a map: examples/provider-minimal.",
			ControlCodes: []understudyv1alpha1.ControlCode{
				{Name: minimalCode, Code: 0x01800005, Access: understudyv1alpha1.ControlRead},
			},
		},
	}
	// It has no namespace to go with. It may be left from a run that was broken off,
	// or of another test, with another provider.
	_, err := controllerutil.CreateOrUpdate(t.Context(), cluster.Client, kind, func() error {
		kind.Spec.Provider = from
		return nil
	})
	must(t, err)
	t.Cleanup(func() { // after the stage's, which removes the group
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := cluster.Client.Delete(ctx, kind); err != nil {
			t.Error(err)
		}
	})
	return kind.Name
}

// callMinimal calls the control code on the host that is to answer it, and looks for its
// result in both places: the call, and the resource that was called.
func callMinimal(t *testing.T, g scene.Group, pod string) {
	t.Helper()
	const greeting = `{"greeting":"hello"}`
	call := ok(g.Call(t.Context(), understudyv1alpha1.ControlCallSpec{
		ResourceName: minimalResource, Code: minimalCode, Input: &runtime.RawExtension{Raw: []byte(greeting)},
	}, 30*time.Second))(t)
	mustSucceed(t, call)
	var answer struct{ Greeting string }
	if err := json.Unmarshal([]byte(call.Status.Output), &answer); err != nil || answer.Greeting != "hello" {
		t.Errorf("%s answers %q (%v), want its input %s", minimalCode, call.Status.Output, err, greeting)
	}
	if o := call.Status.Owner; o == nil || o.PodName != pod {
		t.Errorf("%s was run by %+v, want %s", minimalCode, o, pod)
	}
	must(t, cluster.Wait(t.Context(), "the result in the resource's status", 30*time.Second,
		func(ctx context.Context) (bool, string, error) {
			r, err := g.Resource(ctx, minimalResource)
			if err != nil || r.Status.Owner == nil {
				return false, "no owner", err
			}
			results := r.Status.Owner.ControlResults
			return slices.ContainsFunc(results, func(c understudyv1alpha1.ControlResult) bool {
				return c.Name == call.Name && c.Code == minimalCode && c.StatusCode == 0
			}), fmt.Sprintf("%+v", results), nil
		}))
}

// mustSucceed ends a test whose ControlCall had another outcome than success.
func mustSucceed(t *testing.T, call *understudyv1alpha1.ControlCall) {
	t.Helper()
	finished := apimeta.FindStatusCondition(call.Status.Conditions, understudyv1alpha1.ConditionFinished)
	if finished == nil || finished.Reason != understudyv1alpha1.ReasonSucceeded ||
		call.Status.StatusCode == nil || *call.Status.StatusCode != 0 {
		t.Fatalf("the call %s ended otherwise: %+v", call.Spec.Code, call.Status)
	}
}
