// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package scene

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

// WaitRight waits until nothing is wrong any more in what all statuses of the group say.
func (g Group) WaitRight(ctx context.Context, within time.Duration) error {
	return g.Wait(ctx, "right statuses of "+g.Name, within, func(ctx context.Context) (bool, string, error) {
		o, resources, pods, err := g.all(ctx)
		if err != nil {
			return false, "", err
		}
		wrong := errors.Join(WrongOwner(o), WrongResources(o, resources), WrongHosts(o, pods))
		return wrong == nil, fmt.Sprint(wrong), nil
	})
}

// WaitServed is WaitRight for a group whose hosts need not all be ready.
func (g Group) WaitServed(ctx context.Context, within time.Duration) error {
	return g.Wait(ctx, "right statuses of what "+g.Name+" runs", within, func(ctx context.Context) (bool, string, error) {
		o, resources, _, err := g.all(ctx)
		if err != nil {
			return false, "", err
		}
		wrong := errors.Join(WrongOwner(o), WrongResources(o, resources))
		return wrong == nil, fmt.Sprint(wrong), nil
	})
}

func (g Group) all(ctx context.Context) (
	o *understudyv1alpha1.ResourceGroup, resources []understudyv1alpha1.ClusterResource, pods []corev1.Pod, err error,
) {
	if o, err = g.Get(ctx); err != nil {
		return nil, nil, nil, err
	}
	if resources, err = g.Resources(ctx); err != nil {
		return nil, nil, nil, err
	}
	pods, err = g.Pods(ctx)
	return o, resources, pods, err
}

// WrongOwner is what is wrong in what the owner of a group that is served says of it.
func WrongOwner(o *understudyv1alpha1.ResourceGroup) error {
	s := o.Status.Owner
	if s == nil {
		return errors.New("the group has no owner")
	}
	errs := []error{
		want("state of the group", s.State, understudyv1alpha1.GroupOnline),
		want("message of the group", s.Message, ""),
		want("released", s.Released, false),
		want("plan of the owner", s.PlanRevision, o.Status.PlanRevision),
		wantCondition(o.Status.Conditions, understudyv1alpha1.ConditionAccepted, true),
		wantCondition(o.Status.Conditions, understudyv1alpha1.ConditionReady, true),
		wantCondition(o.Status.Conditions, understudyv1alpha1.ConditionStopFailed, false),
		wantCondition(o.Status.Conditions, understudyv1alpha1.ConditionOwnerLost, false),
	}
	if o.Spec.Service != nil {
		errs = append(errs, wantCondition(o.Status.Conditions, understudyv1alpha1.ConditionServiceReady, true))
	}
	return errors.Join(append(errs, wrongHistory(*s), wrongTimeline(*s, o.Spec.Service != nil))...)
}

// wrongHistory: one owner after the other, each ended but the last.
func wrongHistory(s understudyv1alpha1.GroupOwnerStatus) error {
	if len(s.History) == 0 {
		return errors.New("the history is empty")
	}
	var errs []error
	for i, h := range s.History {
		if last := i == len(s.History)-1; last != (h.UntilTime == nil) || last != (h.Reason == "") {
			errs = append(errs, fmt.Errorf("history: epoch %d ended at %s, %q", h.Epoch, clockOf(h.UntilTime), h.Reason))
		}
		if i > 0 && (h.Epoch <= s.History[i-1].Epoch || h.SinceTime.Before(&s.History[i-1].SinceTime)) {
			errs = append(errs, fmt.Errorf("history: epoch %d comes after epoch %d", h.Epoch, s.History[i-1].Epoch))
		}
	}
	last := s.History[len(s.History)-1]
	return errors.Join(append(errs, want("last epoch of the history", last.Epoch, s.Epoch),
		want("last owner of the history", last.PodUID, s.PodUID))...)
}

// wrongTimeline: each interruption is over, and its times are in order.
func wrongTimeline(s understudyv1alpha1.GroupOwnerStatus, service bool) error {
	if len(s.Timeline) == 0 {
		return errors.New("the timeline is empty")
	}
	var errs []error
	for _, e := range s.Timeline {
		var before *metav1.MicroTime
		for _, t := range []*metav1.MicroTime{
			e.LastHeardTime, e.DetectedTime, e.OfflineTime, e.LeaseTakenTime, e.OnlineTime, e.EndpointTime,
		} {
			if t != nil && before != nil && t.Before(before) {
				errs = append(errs, fmt.Errorf("timeline: %s: %s comes after %s", DescribeEntry(e), clockOf(t), clockOf(before)))
			}
			before = cmp.Or(t, before)
		}
		if !complete(e, service) || e.Epoch > s.Epoch || e.Kind == KindRestart && e.FromPodName != e.ToPodName {
			errs = append(errs, fmt.Errorf("timeline: %s: %+v", DescribeEntry(e), e))
		}
	}
	return errors.Join(errs...)
}

// WrongResources is what is wrong in what the owner of a group that is served says of
// its resources.
func WrongResources(o *understudyv1alpha1.ResourceGroup, resources []understudyv1alpha1.ClusterResource) error {
	if len(resources) == 0 {
		return errors.New("the group has no resources")
	}
	owner := ptr.Deref(o.Status.Owner, understudyv1alpha1.GroupOwnerStatus{})
	var errs []error
	for i := range resources {
		r := &resources[i]
		s := r.Status.Owner
		if s == nil {
			errs = append(errs, fmt.Errorf("%s has no status", r.Name))
			continue
		}
		wrong := errors.Join(
			want("state", s.State, understudyv1alpha1.StateOnline), want("message", s.Message, ""),
			want("epoch", s.Epoch, owner.Epoch), want("podUID", s.PodUID, owner.PodUID),
			want("podName", s.PodName, owner.PodName), want("nodeName", s.NodeName, owner.NodeName),
			want("plan", s.PlanRevision, o.Status.PlanRevision), want("generation", s.Generation, r.Generation),
			want("next restart", clockOf(s.NextRestartTime), clockOf(nil)),
			wantCondition(r.Status.Conditions, understudyv1alpha1.ConditionAccepted, true),
			wantCondition(r.Status.Conditions, understudyv1alpha1.ConditionOnline, true),
			wantCondition(r.Status.Conditions, understudyv1alpha1.ConditionPropertiesApplied, true),
			wrongTransitions(*s),
		)
		if s.LastFailure != nil && s.StateTime.Before(&s.LastFailure.Time) {
			wrong = errors.Join(wrong, fmt.Errorf("online since %s, failed after that: %+v", stamp(s.StateTime.Time), s.LastFailure))
		}
		if wrong != nil {
			errs = append(errs, fmt.Errorf("resource %s: %w", r.Name, wrong))
		}
	}
	return errors.Join(errs...)
}

// wrongTransitions: in order of time, the last one into the state that it is in.
func wrongTransitions(s understudyv1alpha1.ResourceOwnerStatus) error {
	if len(s.Transitions) == 0 {
		return errors.New("no transitions")
	}
	for i := range s.Transitions[1:] {
		if s.Transitions[i+1].Time.Before(&s.Transitions[i].Time) || s.Transitions[i+1].State == s.Transitions[i].State {
			return fmt.Errorf("transitions are out of order: %+v", s.Transitions)
		}
	}
	last := s.Transitions[len(s.Transitions)-1]
	return errors.Join(want("last transition", last.State, s.State), want("reason", s.Reason, last.Reason),
		want("time of the last transition", stamp(last.Time.Time), stamp(s.StateTime.Time)))
}

// WrongHosts is what is wrong in what a group whose hosts are all ready says of them.
func WrongHosts(o *understudyv1alpha1.ResourceGroup, pods []corev1.Pod) error {
	wanted := int(ptr.Deref(o.Spec.Hosts, 0))
	errs := []error{
		want("pods", len(pods), wanted), want("hosts in the status", len(o.Status.Hosts), wanted),
		wantCondition(o.Status.Conditions, understudyv1alpha1.ConditionHostsReady, true),
	}
	succession := ptr.Deref(o.Status.Succession, understudyv1alpha1.Succession{})
	errs = append(errs, want("hosts in line", len(succession.Line), wanted),
		want("hosts in reserve", len(succession.Reserve), 0), want("barred hosts", len(succession.Barred), 0))
	if n := len(succession.Line); n > 0 && o.Status.Owner != nil {
		errs = append(errs, want("last in line", succession.Line[n-1].PodName, o.Status.Owner.PodName))
	}
	for i := range pods {
		p := &pods[i]
		h, found := o.Status.Hosts[p.Name]
		if !found || !p.DeletionTimestamp.IsZero() {
			errs = append(errs, fmt.Errorf("pod %s: in the status %t, to be deleted %v", p.Name, found, p.DeletionTimestamp))
			continue
		}
		wrong := errors.Join(
			want("ready", h.Ready, true), want("reason", h.Reason, ""), want("message", h.Message, ""),
			want("podUID", h.PodUID, string(p.UID)), want("nodeName", h.NodeName, p.Spec.NodeName),
			want("plan", h.PlanRevision, o.Status.PlanRevision),
			want("role", p.Labels[understudyv1alpha1.LabelRole], role(o, p)),
		)
		if wrong != nil {
			errs = append(errs, fmt.Errorf("host %s: %w", p.Name, wrong))
		}
	}
	if o.Status.Owner != nil && !slices.ContainsFunc(pods, func(p corev1.Pod) bool {
		return string(p.UID) == o.Status.Owner.PodUID && p.Name == o.Status.Owner.PodName && p.Spec.NodeName == o.Status.Owner.NodeName
	}) {
		errs = append(errs, fmt.Errorf("the owner %s on %s is none of the pods", o.Status.Owner.PodName, o.Status.Owner.NodeName))
	}
	return errors.Join(errs...)
}

func role(o *understudyv1alpha1.ResourceGroup, p *corev1.Pod) string {
	if o.Status.Owner != nil && o.Status.Owner.PodUID == string(p.UID) {
		return understudyv1alpha1.RoleOwner
	}
	return understudyv1alpha1.RoleStandby
}

func wantCondition(conditions []metav1.Condition, name string, is bool) error {
	c := apimeta.FindStatusCondition(conditions, name)
	if c == nil {
		return fmt.Errorf("no condition %s", name)
	}
	if (c.Status == metav1.ConditionTrue) != is {
		return fmt.Errorf("%s=%s: %s %s", name, c.Status, c.Reason, c.Message)
	}
	return nil
}
