// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package scene

import (
	"context"
	"fmt"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

// Call makes a ControlCall and waits for its outcome, whatever that is.
func (g Group) Call(ctx context.Context, spec understudyv1alpha1.ControlCallSpec, within time.Duration) (*understudyv1alpha1.ControlCall, error) {
	spec.GroupName = g.Name
	call := &understudyv1alpha1.ControlCall{
		ObjectMeta: metav1.ObjectMeta{Namespace: g.Namespace, GenerateName: g.Name + "-"},
		Spec:       spec,
	}
	if err := g.Client.Create(ctx, call); err != nil {
		return nil, err
	}
	key := client.ObjectKeyFromObject(call)
	err := g.Wait(ctx, "the outcome of "+spec.Code, within, func(ctx context.Context) (bool, string, error) {
		if err := g.Client.Get(ctx, key, call); err != nil {
			return false, "", err
		}
		seen := "not claimed"
		if o := call.Status.Owner; o != nil {
			seen = "claimed by " + o.PodName
		}
		return apimeta.IsStatusConditionTrue(call.Status.Conditions, understudyv1alpha1.ConditionFinished), seen, nil
	})
	return call, err
}

// succeeded says why a call did not.
func succeeded(call *understudyv1alpha1.ControlCall) error {
	finished := apimeta.FindStatusCondition(call.Status.Conditions, understudyv1alpha1.ConditionFinished)
	if finished == nil || finished.Reason != understudyv1alpha1.ReasonSucceeded || call.Status.StatusCode == nil || *call.Status.StatusCode != 0 {
		return fmt.Errorf("the call %s of %s ended otherwise: %+v", call.Spec.Code, call.Spec.GroupName, call.Status)
	}
	return nil
}
