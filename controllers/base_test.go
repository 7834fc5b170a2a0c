// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// What the API server did not take is not there for the phases that follow.
func TestPatchThatIsNotTaken(t *testing.T) {
	g := NewWithT(t)
	pod := &corev1.Pod{}
	pod.Name, pod.Labels = "db-0", map[string]string{"role": "standby"}
	change := func(p *corev1.Pod) { p.Labels["role"], p.Spec.NodeName = "owner", "a" }
	down := errors.New("down")
	changed, err := patched(pod, change, func(client.Patch) error { return down })
	g.Expect(changed).To(BeFalse())
	g.Expect(err).To(MatchError(down))
	g.Expect(pod).To(And(HaveField("Labels", HaveKeyWithValue("role", "standby")), HaveField("Spec.NodeName", "")))

	taken := func(client.Patch) error { return nil }
	g.Expect(patched(pod, change, taken)).To(BeTrue())
	g.Expect(pod.Labels).To(HaveKeyWithValue("role", "owner"))
	g.Expect(patched(pod, change, taken)).To(BeFalse(), "nothing to change")
}

// An error keeps no other phase from its work, and is not taken for a conflict.
func TestEveryPhaseRuns(t *testing.T) {
	g := NewWithT(t)
	down := errors.New("down")
	conflict := apierrors.NewConflict(schema.GroupResource{Resource: "pods"}, "db-0", errors.New("old"))
	ran := 0
	phase := func(err error) func(context.Context, *groupScope) error {
		return func(context.Context, *groupScope) error { ran++; return err }
	}
	run := func(phases ...func(context.Context, *groupScope) error) error {
		return (&groupReconciler{}).everyPhase(t.Context(), &groupScope{}, phases...)
	}
	fine := phase(nil)
	g.Expect(run(fine)).To(Succeed())
	err := run(phase(conflict), phase(down), fine)
	g.Expect(err).To(MatchError(down))
	_, err = result(0, err)
	g.Expect(err).To(HaveOccurred())
	again, err := result(time.Minute, run(phase(conflict), fine))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(again.RequeueAfter).To(Equal(conflictDelay))
	g.Expect(ran).To(Equal(6))
}
