// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package scene

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

// Group is one ResourceGroup on the stage.
type Group struct {
	*Cluster
	Namespace, Name string
}

// Get reads the group.
func (g Group) Get(ctx context.Context) (*understudyv1alpha1.ResourceGroup, error) {
	o := &understudyv1alpha1.ResourceGroup{}
	return o, g.Client.Get(ctx, client.ObjectKey{Namespace: g.Namespace, Name: g.Name}, o)
}

// Resource reads one of its resources.
func (g Group) Resource(ctx context.Context, name string) (*understudyv1alpha1.ClusterResource, error) {
	o := &understudyv1alpha1.ClusterResource{}
	return o, g.Client.Get(ctx, client.ObjectKey{Namespace: g.Namespace, Name: name}, o)
}

// Resources reads all of its resources.
func (g Group) Resources(ctx context.Context) ([]understudyv1alpha1.ClusterResource, error) {
	list := &understudyv1alpha1.ClusterResourceList{}
	err := g.Client.List(ctx, list, client.InNamespace(g.Namespace), client.MatchingFields{"spec.groupName": g.Name})
	return list.Items, err
}

// Lease reads its record of ownership.
func (g Group) Lease(ctx context.Context) (*coordinationv1.Lease, error) {
	o := &coordinationv1.Lease{}
	return o, g.Client.Get(ctx, client.ObjectKey{Namespace: g.Namespace, Name: leasev1.Name(g.Name)}, o)
}

// Pods are its host pods.
func (g Group) Pods(ctx context.Context) ([]corev1.Pod, error) {
	list := &corev1.PodList{}
	err := g.Client.List(ctx, list, client.InNamespace(g.Namespace), client.MatchingLabels{understudyv1alpha1.LabelGroup: g.Name})
	return list.Items, err
}

// Pod reads one of its host pods.
func (g Group) Pod(ctx context.Context, name string) (*corev1.Pod, error) {
	o := &corev1.Pod{}
	return o, g.Client.Get(ctx, client.ObjectKey{Namespace: g.Namespace, Name: name}, o)
}

// Owner is what the owner says of itself and the group.
func (g Group) Owner(ctx context.Context) (understudyv1alpha1.GroupOwnerStatus, error) {
	o, err := g.Get(ctx)
	if err != nil {
		return understudyv1alpha1.GroupOwnerStatus{}, err
	}
	if o.Status.Owner == nil {
		return understudyv1alpha1.GroupOwnerStatus{}, fmt.Errorf("group %s/%s has no owner", g.Namespace, g.Name)
	}
	return *o.Status.Owner, nil
}

// Address is the address and port of the group's Service.
func (g Group) Address(ctx context.Context) (string, error) {
	s := &corev1.Service{}
	if err := g.Client.Get(ctx, client.ObjectKey{Namespace: g.Namespace, Name: g.Name}, s); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s:%d", s.Spec.ClusterIP, s.Spec.Ports[0].Port), nil
}

// WaitReady waits until all that is wanted online is, the Service points there, and
// all hosts stand ready.
func (g Group) WaitReady(ctx context.Context, within time.Duration) error {
	return g.Wait(ctx, "group "+g.Name, within, func(ctx context.Context) (bool, string, error) {
		o, err := g.Get(ctx)
		if err != nil {
			return false, "", err
		}
		resources, err := g.Resources(ctx)
		if err != nil {
			return false, "", err
		}
		return readyAndSettled(o, resources), Describe(o, resources), nil
	})
}

func online(o *understudyv1alpha1.ResourceGroup) bool {
	s := o.Status
	return s.Owner != nil && apimeta.IsStatusConditionTrue(s.Conditions, understudyv1alpha1.ConditionReady) &&
		len(s.Owner.Timeline) > 0 && complete(s.Owner.Timeline[len(s.Owner.Timeline)-1], o.Spec.Service != nil)
}

func readyAndSettled(o *understudyv1alpha1.ResourceGroup, resources []understudyv1alpha1.ClusterResource) bool {
	for i := range resources {
		s := resources[i].Status.Owner
		if s == nil || s.State != understudyv1alpha1.StateOnline || o.Status.Owner == nil || s.Epoch != o.Status.Owner.Epoch {
			return false
		}
	}
	ready := 0
	for _, h := range o.Status.Hosts {
		if h.Ready {
			ready++
		}
	}
	return online(o) && len(resources) > 0 && o.Spec.Hosts != nil && ready >= int(*o.Spec.Hosts)
}

// Describe says in one line how a group and its resources are.
func Describe(o *understudyv1alpha1.ResourceGroup, resources []understudyv1alpha1.ClusterResource) string {
	var parts []string
	if owner := o.Status.Owner; owner != nil {
		part := fmt.Sprintf("%s on %s, epoch %d", owner.State, owner.PodName, owner.Epoch)
		if owner.Message != "" {
			part += " (" + owner.Message + ")"
		}
		parts = append(parts, part)
	} else {
		parts = append(parts, "no owner")
	}
	for i := range resources {
		state := "unknown"
		if s := resources[i].Status.Owner; s != nil {
			state = strings.TrimSpace(fmt.Sprintf("%s %s", s.State, s.Message))
		}
		parts = append(parts, resources[i].Name+" "+state)
	}
	var names []string
	for name := range o.Status.Hosts {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if h := o.Status.Hosts[name]; h.Ready {
			parts = append(parts, name+" ready")
		} else {
			parts = append(parts, strings.TrimSpace(fmt.Sprintf("%s not ready: %s %s", name, h.Reason, h.Message)))
		}
	}
	for _, condition := range o.Status.Conditions {
		good := condition.Type != understudyv1alpha1.ConditionStopFailed && condition.Type != understudyv1alpha1.ConditionOwnerLost
		if (condition.Status == "True") != good {
			parts = append(parts, fmt.Sprintf("%s=%s: %s %s", condition.Type, condition.Status, condition.Reason, condition.Message))
		}
	}
	return strings.Join(parts, "; ")
}

// Standby is a ready host that is not the owner.
func (g Group) Standby(ctx context.Context) (string, understudyv1alpha1.HostStatus, error) {
	o, err := g.Get(ctx)
	if err != nil {
		return "", understudyv1alpha1.HostStatus{}, err
	}
	for name, h := range o.Status.Hosts {
		if h.Ready && (o.Status.Owner == nil || h.PodUID != o.Status.Owner.PodUID) {
			return name, h, nil
		}
	}
	return "", understudyv1alpha1.HostStatus{}, fmt.Errorf("group %s has no host that stands by: %s", g.Name, Describe(o, nil))
}

// SetLease changes the duration of the group's lease, which counts from its next
// epoch on.
func (g Group) SetLease(ctx context.Context, seconds int32) error {
	o, err := g.Get(ctx)
	if err != nil {
		return err
	}
	patch := fmt.Sprintf(`{"spec":{"leaseDurationSeconds":%d}}`, seconds)
	return g.Client.Patch(ctx, o, client.RawPatch(types.MergePatchType, []byte(patch)))
}
