//go:build e2e

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/internal/testprovider/caller"
	"github.com/understudy-dev/understudy/test/scene"
)

// callerName is the resource whose provider makes the callbacks that it is asked for.
const callerName = "caller"

// callerType creates the type for as long as a test runs, adjusted.
func callerType(t *testing.T, adjust func(*understudyv1alpha1.ResourceTypeSpec)) {
	t.Helper()
	kind := &understudyv1alpha1.ResourceType{ObjectMeta: metav1.ObjectMeta{Name: callerName}}
	_, err := controllerutil.CreateOrUpdate(t.Context(), cluster.Client, kind, func() error {
		kind.Spec = understudyv1alpha1.ResourceTypeSpec{
			Description: "Makes callbacks: internal/testprovider/caller.",
			Provider: understudyv1alpha1.ProviderSource{
				Inject: &understudyv1alpha1.InjectedProvider{Command: []string{"/caller"}},
			},
			PropertiesSchema: &runtime.RawExtension{Raw: []byte(
				`{"type":"object","properties":{"pending":{"type":"boolean"}}}`)},
			ControlCodes: []understudyv1alpha1.ControlCode{
				{Name: "CALL", Code: int64(caller.Call)}, {Name: "FINISH", Code: int64(caller.Finish)},
				{Name: "EXTEND", Code: int64(caller.Extend)},
				{Name: "EXTEND-TYPE", Code: int64(caller.ExtendType), Target: understudyv1alpha1.TargetType},
			},
		}
		if adjust != nil {
			adjust(&kind.Spec)
		}
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
}

// playCaller creates a group with such a resource and waits until it is online.
func playCaller(t *testing.T, hosts int32, adjust func(*understudyv1alpha1.ClusterResourceSpec)) scene.Group {
	t.Helper()
	callerType(t, nil)
	g, err := cluster.Play(t.Context(), stage(t), "surface", hosts,
		scene.Actor{Name: callerName, Type: callerName, Properties: map[string]any{}, Adjust: adjust})
	must(t, err)
	must(t, g.WaitReady(t.Context(), 3*time.Minute))
	return g
}

// callback has the provider make a callback and returns its answer.
func callback(t *testing.T, g scene.Group, ask caller.Ask) caller.Answer {
	t.Helper()
	input, err := json.Marshal(ask)
	must(t, err)
	call := ok(g.Call(t.Context(), understudyv1alpha1.ControlCallSpec{
		ResourceName: callerName, Code: "CALL", Input: &runtime.RawExtension{Raw: input},
	}, 30*time.Second))(t)
	mustSucceed(t, call)
	var answer caller.Answer
	if err := json.Unmarshal([]byte(call.Status.Output), &answer); err != nil {
		t.Fatalf("%s: the output %q: %v", ask.Method, call.Status.Output, err)
	}
	return answer
}
