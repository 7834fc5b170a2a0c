// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

// What nobody claims in its time the manager ends also where nobody ever owned the group: no
// monitor would.
func TestCallOfAGroupWithoutAnOwnerThatMustStartInTime(t *testing.T) {
	g := NewWithT(t)
	server := newFenceServer(t)
	server.group.Status.Owner = nil
	call := &understudyv1alpha1.ControlCall{}
	call.Namespace, call.CreationTimestamp = server.group.Namespace, metav1.NewTime(server.now)
	call.Spec = understudyv1alpha1.ControlCallSpec{
		GroupName: server.group.Name, Code: "MOVE", StartingDeadlineSeconds: ptr.To[int32](60),
	}
	after := func(d time.Duration) string {
		v, err := judge(t.Context(), server, call, server.now.Add(d))
		g.Expect(err).NotTo(HaveOccurred())
		if v == nil {
			return ""
		}
		return v.reason
	}
	g.Expect(after(time.Minute+callGrace-time.Second)).To(BeEmpty(), "the monitors' turn")
	g.Expect(after(time.Minute + callGrace)).To(Equal(understudyv1alpha1.ReasonNotStarted))
	call.Status.Owner = &understudyv1alpha1.ControlCallOwner{PodName: "db-0", PodUID: "a"}
	g.Expect(after(time.Hour)).To(BeEmpty(), "it was claimed")
	call.Status.Owner, call.Spec.StartingDeadlineSeconds = nil, nil
	g.Expect(after(time.Hour)).To(BeEmpty(), "it may wait for ever")
}
