// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package scene

import (
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

// stand is a group with which all is right: it failed over from a-0 to a-1, and a-0 is back.
type stand struct {
	group    understudyv1alpha1.ResourceGroup
	resource understudyv1alpha1.ClusterResource
	pods     []corev1.Pod
}

func rightStand() *stand {
	at := func(second int64) *metav1.MicroTime { return ptr.To(metav1.NewMicroTime(time.Unix(second, 0))) }
	true_, false_ := metav1.ConditionTrue, metav1.ConditionFalse
	s := &stand{}
	s.group.Spec.Hosts = ptr.To[int32](2)
	s.group.Status = understudyv1alpha1.ResourceGroupStatus{
		PlanRevision: "plan",
		Conditions: []metav1.Condition{
			{Type: "Accepted", Status: true_}, {Type: "Ready", Status: true_}, {Type: "HostsReady", Status: true_},
			{Type: "StopFailed", Status: false_}, {Type: "OwnerLost", Status: false_},
		},
		Succession: &understudyv1alpha1.Succession{Line: []understudyv1alpha1.Successor{{PodName: "a-0"}, {PodName: "a-1"}}},
		Hosts: map[string]understudyv1alpha1.HostStatus{
			"a-0": {PodUID: "0", NodeName: "n-0", Ready: true, PlanRevision: "plan"},
			"a-1": {PodUID: "1", NodeName: "n-1", Ready: true, PlanRevision: "plan"},
		},
		Owner: &understudyv1alpha1.GroupOwnerStatus{
			Epoch: 9, PodUID: "1", PodName: "a-1", NodeName: "n-1", PlanRevision: "plan", State: "Online",
			Timeline: []understudyv1alpha1.TimelineEntry{
				{Kind: KindStart, Cause: "Released", Epoch: 5, ToPodName: "a-0", LeaseTakenTime: at(1), OnlineTime: at(2)},
				{Kind: KindFailover, Cause: "OwnerSilent", Epoch: 9, FromPodName: "a-0", ToPodName: "a-1",
					LastHeardTime: at(3), DetectedTime: at(6), LeaseTakenTime: at(7), OnlineTime: at(8)},
			},
			History: []understudyv1alpha1.OwnershipEntry{
				{Epoch: 5, PodUID: "0", SinceTime: *at(1), UntilTime: at(7), Reason: "OwnerLost"},
				{Epoch: 9, PodUID: "1", SinceTime: *at(7)},
			},
		},
	}
	s.resource.Generation = 2
	s.resource.Status = understudyv1alpha1.ClusterResourceStatus{
		Conditions: []metav1.Condition{
			{Type: "Accepted", Status: true_}, {Type: "Online", Status: true_}, {Type: "PropertiesApplied", Status: true_},
		},
		Owner: &understudyv1alpha1.ResourceOwnerStatus{
			Generation: 2, Epoch: 9, PodUID: "1", PodName: "a-1", NodeName: "n-1", PlanRevision: "plan", State: "Online",
			StateTime: *at(8), Reason: "Started",
			Transitions: []understudyv1alpha1.ResourceTransition{
				{Time: *at(7), State: "OnlinePending", Reason: "Starting"}, {Time: *at(8), State: "Online", Reason: "Started"},
			},
		},
	}
	for i, name := range []string{"0", "1"} {
		s.pods = append(s.pods, corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "a-" + name, UID: types.UID(name), Labels: map[string]string{
				understudyv1alpha1.LabelRole: []string{understudyv1alpha1.RoleStandby, understudyv1alpha1.RoleOwner}[i],
			}},
			Spec: corev1.PodSpec{NodeName: "n-" + name},
		})
	}
	return s
}

func (s *stand) wrong() error {
	resources := []understudyv1alpha1.ClusterResource{s.resource}
	return errors.Join(WrongOwner(&s.group), WrongResources(&s.group, resources), WrongHosts(&s.group, s.pods))
}

func TestRight(t *testing.T) {
	if err := rightStand().wrong(); err != nil {
		t.Error(err)
	}
}

// TestWrong: each thing that is wrong is found.
func TestWrong(t *testing.T) {
	for want, spoil := range map[string]func(*stand){
		"no owner":                              func(s *stand) { s.group.Status.Owner = nil },
		"state of the group: Failed":            func(s *stand) { s.group.Status.Owner.State = "Failed" },
		"plan of the owner":                     func(s *stand) { s.group.Status.Owner.PlanRevision = "old" },
		"StopFailed=True":                       func(s *stand) { s.group.Status.Conditions[3].Status = metav1.ConditionTrue },
		"HostsReady=False":                      func(s *stand) { s.group.Status.Conditions[2].Status = metav1.ConditionFalse },
		"no condition OwnerLost":                func(s *stand) { s.group.Status.Conditions = s.group.Status.Conditions[:4] },
		"history: epoch 5 ended at":             func(s *stand) { s.group.Status.Owner.History[0].UntilTime = nil },
		"history: epoch 9 comes after":          func(s *stand) { s.group.Status.Owner.History[0].Epoch = 10 },
		"last epoch of the history":             func(s *stand) { s.group.Status.Owner.History[1].Epoch = 8 },
		"00:00:07.000 comes after 00:00:10.000": func(s *stand) { s.group.Status.Owner.Timeline[1].DetectedTime.Time = time.Unix(10, 0) },
		"timeline: Failover":                    func(s *stand) { s.group.Status.Owner.Timeline[1].OnlineTime = nil },
		"hosts in the status: 1":                func(s *stand) { delete(s.group.Status.Hosts, "a-0") },
		"pods: 1":                               func(s *stand) { s.pods = s.pods[:1] },
		"pod a-0: in the status true":           func(s *stand) { s.pods[0].DeletionTimestamp = ptr.To(metav1.Now()) },
		"host a-1: podUID":                      func(s *stand) { s.pods[1].UID = "2" },
		"host a-0: role: owner":                 func(s *stand) { s.pods[0].Labels[understudyv1alpha1.LabelRole] = understudyv1alpha1.RoleOwner },
		"is none of the pods":                   func(s *stand) { s.group.Status.Owner.NodeName = "n-2" },
		"last in line: a-0":                     func(s *stand) { s.group.Status.Succession.Line[1].PodName = "a-0" },
		"barred hosts: 1":                       func(s *stand) { s.group.Status.Succession.Barred = []understudyv1alpha1.BarredHost{{}} },
		"state: Failed":                         func(s *stand) { s.resource.Status.Owner.State = "Failed" },
		"epoch: 5":                              func(s *stand) { s.resource.Status.Owner.Epoch = 5 },
		"generation: 1":                         func(s *stand) { s.resource.Status.Owner.Generation = 1 },
		"PropertiesApplied=False":               func(s *stand) { s.resource.Status.Conditions[2].Status = metav1.ConditionFalse },
		"failed after that": func(s *stand) {
			s.resource.Status.Owner.LastFailure = &understudyv1alpha1.ResourceFailure{Time: metav1.NowMicro()}
		},
		"Online=False":                 func(s *stand) { s.resource.Status.Conditions[1].Status = metav1.ConditionFalse },
		"transitions are out of order": func(s *stand) { s.resource.Status.Owner.Transitions[0].State = "Online" },
		"time of the last transition":  func(s *stand) { s.resource.Status.Owner.StateTime = metav1.NowMicro() },
	} {
		t.Run(want, func(t *testing.T) {
			s := rightStand()
			spoil(s)
			if err := s.wrong(); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v", err)
			}
		})
	}
}
