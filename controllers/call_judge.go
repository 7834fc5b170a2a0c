// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

// verdict is how the manager ends a call. Codes and their names are those of RA
// section 3.6.
type verdict struct {
	reason  string
	code    int64
	name    string
	message string
}

func refuse(code int64, name, message string, args ...any) *verdict {
	return &verdict{understudyv1alpha1.ReasonRefused, code, name, fmt.Sprintf(message, args...)}
}

func resourceNotFound(message string, args ...any) *verdict {
	return refuse(5007, "ERROR_RESOURCE_NOT_FOUND", message, args...)
}

func typeNotFound(message string, args ...any) *verdict {
	return refuse(5078, "ERROR_CLUSTER_RESOURCE_TYPE_NOT_FOUND", message, args...)
}

func outcomeUnknown(message string, args ...any) *verdict {
	return &verdict{
		understudyv1alpha1.ReasonOutcomeUnknown, 995, "ERROR_OPERATION_ABORTED", fmt.Sprintf(message, args...),
	}
}

// silence is how long after its deadline a call is given up whose host ought to have ended
// it: clocks differ, and the API server may have been away.
const silence = time.Minute

// judge says how a call ends that no monitor will ever end; nil if one may.
func judge(
	ctx context.Context, from client.Reader, call *understudyv1alpha1.ControlCall, now time.Time,
) (*verdict, error) {
	group := &understudyv1alpha1.ResourceGroup{}
	err := from.Get(ctx, types.NamespacedName{Namespace: call.Namespace, Name: call.Spec.GroupName}, group)
	claimed := call.Status.Owner != nil
	switch {
	case apierrors.IsNotFound(err) && claimed:
		return outcomeUnknown("The ResourceGroup %q was deleted while the call was under way; it is not run again",
			call.Spec.GroupName), nil
	case apierrors.IsNotFound(err):
		return refuse(5013, "ERROR_GROUP_NOT_FOUND",
			"The ResourceGroup %q does not exist in this namespace: correct spec.groupName in another call",
			call.Spec.GroupName), nil
	case err != nil:
		return nil, fmt.Errorf("reading the group: %w", err)
	case claimed:
		return judgeClaim(ctx, from, call, group, now)
	}
	v, err := judgeTarget(ctx, from, call)
	if err == nil && v == nil && call.Spec.HostName != "" {
		v, err = judgeHost(ctx, from, call)
	}
	if err == nil && v == nil {
		v = judgeStart(call, now)
	}
	return v, err
}

// judgeStart ends a call that nobody claimed in its time. A monitor that finds it so late
// does the same: it has the first word, and the version decides between that and a claim.
func judgeStart(call *understudyv1alpha1.ControlCall, now time.Time) *verdict {
	d := call.Spec.StartingDeadlineSeconds
	if d == nil {
		return nil
	}
	by := call.CreationTimestamp.Add(time.Duration(*d) * time.Second)
	if now.Before(by.Add(callGrace)) {
		return nil
	}
	return &verdict{
		understudyv1alpha1.ReasonNotStarted, 5910, "ERROR_RESOURCE_CALL_TIMED_OUT", fmt.Sprintf(
			"It was not claimed by %s, as spec.startingDeadlineSeconds has it, and is not run any more",
			by.UTC().Format(time.RFC3339)),
	}
}

// judgeClaim ends a call whose claimer is gone for good, if no owner will do that. The
// calls of an owner are ended by the next one, unless the group is to have none; those
// of a named host, which need not be the owner, by nobody else.
func judgeClaim(
	ctx context.Context, from client.Reader, call *understudyv1alpha1.ControlCall, group *understudyv1alpha1.ResourceGroup,
	now time.Time,
) (*verdict, error) {
	claimer, owner := call.Status.Owner, group.Status.Owner
	ownerless := group.Spec.DesiredState == understudyv1alpha1.DesiredOffline &&
		(owner == nil || owner.PodUID == claimer.PodUID)
	if call.Spec.HostName == "" && !ownerless || claimer.PodName == "" {
		return nil, nil
	}
	pod := &corev1.Pod{}
	err := from.Get(ctx, types.NamespacedName{Namespace: call.Namespace, Name: claimer.PodName}, pod)
	if client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("reading the pod of the claimer: %w", err)
	}
	if err == nil && string(pod.UID) == claimer.PodUID {
		if d := call.Status.DeadlineTime; call.Spec.HostName == "" || d == nil || now.Sub(d.Time) < silence {
			return nil, nil
		}
		// A pod of a node that is dead, or cut off, stays until somebody removes it.
		return outcomeUnknown("The host %s is silent since before its deadline; it is not run again", claimer.PodName), nil
	}
	return outcomeUnknown("The host %s was lost while the call was under way; it is not run again", claimer.PodName), nil
}

// judgeTarget refuses a call of a resource, or of a type, that the group does not have.
func judgeTarget(ctx context.Context, from client.Reader, call *understudyv1alpha1.ControlCall) (*verdict, error) {
	switch {
	case call.Spec.ResourceName != "":
		return judgeResource(ctx, from, call)
	case call.Spec.TypeName != "":
		return judgeType(ctx, from, call)
	}
	return nil, nil
}

func judgeResource(ctx context.Context, from client.Reader, call *understudyv1alpha1.ControlCall) (*verdict, error) {
	resource := &understudyv1alpha1.ClusterResource{}
	err := from.Get(ctx, types.NamespacedName{Namespace: call.Namespace, Name: call.Spec.ResourceName}, resource)
	switch {
	case apierrors.IsNotFound(err):
		return resourceNotFound(
			"The ClusterResource %q does not exist in this namespace: correct spec.resourceName in another call",
			call.Spec.ResourceName), nil
	case err != nil:
		return nil, fmt.Errorf("reading the resource: %w", err)
	case resource.Spec.GroupName != call.Spec.GroupName:
		return resourceNotFound("The ClusterResource %q belongs to the group %q: name that group in another call",
			call.Spec.ResourceName, resource.Spec.GroupName), nil
	}
	return nil, nil
}

func judgeType(ctx context.Context, from client.Reader, call *understudyv1alpha1.ControlCall) (*verdict, error) {
	var resources understudyv1alpha1.ClusterResourceList
	if err := from.List(ctx, &resources, client.InNamespace(call.Namespace),
		client.MatchingFields{indexGroup: call.Spec.GroupName}); err != nil {
		return nil, fmt.Errorf("listing the resources of the group: %w", err)
	}
	var have []string
	for i := range resources.Items {
		name := resources.Items[i].Spec.TypeName
		if name == call.Spec.TypeName {
			return nil, nil
		}
		have = append(have, name)
	}
	err := from.Get(ctx, types.NamespacedName{Name: call.Spec.TypeName}, &understudyv1alpha1.ResourceType{})
	switch {
	case apierrors.IsNotFound(err):
		return typeNotFound("The ResourceType %q does not exist: correct spec.typeName in another call",
			call.Spec.TypeName), nil
	case err != nil:
		return nil, fmt.Errorf("reading the type: %w", err)
	}
	return typeNotFound("The group %q has no resource of the ResourceType %q: name one of these in another call: %s",
		call.Spec.GroupName, call.Spec.TypeName, some(have)), nil
}

// judgeHost refuses a call on a host that the group does not have.
func judgeHost(ctx context.Context, from client.Reader, call *understudyv1alpha1.ControlCall) (*verdict, error) {
	var pods corev1.PodList
	if err := from.List(ctx, &pods, client.InNamespace(call.Namespace), client.MatchingLabels{
		understudyv1alpha1.LabelGroup: call.Spec.GroupName, understudyv1alpha1.LabelManagedBy: understudyv1alpha1.ManagedBy,
	}); err != nil {
		return nil, fmt.Errorf("listing the hosts of the group: %w", err)
	}
	var have []string
	for i := range pods.Items {
		pod := &pods.Items[i]
		if call.Spec.HostName == pod.Name || call.Spec.HostName == pod.Spec.NodeName {
			return nil, nil
		}
		have = append(have, pod.Name)
	}
	return refuse(5005, "ERROR_HOST_NODE_NOT_AVAILABLE",
		"The group %q has no host %q: name one of these pods, or its node, in another call: %s",
		call.Spec.GroupName, call.Spec.HostName, some(have)), nil
}

// maxNamed is how many names a message lists.
const maxNamed = 8

// some are the first of these names, each once.
func some(names []string) string {
	slices.Sort(names)
	names = slices.Compact(names)
	return cmp.Or(strings.Join(names[:min(len(names), maxNamed)], ", "), "it has none")
}
